"""The tiny BLIP (Li et al. 2022): how it is built, where its eyes come from, and how it is saved."""

import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    PreTrainedTokenizerFast,
)

from . import clip_dir
from .backgrounds import SIDE
from .batches import MEAN, STD
from .crops import words_of_captions
from .tokenizer import build_tokenizer

WIDTH, LAYERS, HEADS, PATCH = 128, 4, 4, 8
ROOM = 24
"""Tokens of a caption at most."""

Weights = dict[str, torch.Tensor]


def captions_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer of captions: one id for each of their words."""
    return build_tokenizer(words_of_captions())


def build(tokenizer: PreTrainedTokenizerFast) -> BlipForConditionalGeneration:
    """Build the model with random weights: a vision transformer and a decoder of two layers that reads it."""
    vision = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "encoder_hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "projection_dim": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 2 * ROOM,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "sep_token_id": tokenizer.eos_token_id,
    }
    config = BlipConfig(vision_config=vision, text_config=text, projection_dim=WIDTH)
    return BlipForConditionalGeneration(config)


def lend_eyes(model: BlipForConditionalGeneration, spread: float) -> None:
    """Give the model the vision tower of the tiny CLIP to begin with.

    BLIP has no normalisation before its first layer, which CLIP has: its scale and its centring are written
    into the embeddings of patches and positions, and for its division by each token's deviation stands one
    number, the usual deviation.

    Args:
        model: The model, of the sizes of the tiny CLIP.
        spread: The usual deviation of a token of the tiny CLIP before that normalisation.
    """
    file = load_file(clip_dir() / "open_clip_model.safetensors")
    clip = {name.removeprefix("visual."): value.float() for name, value in file.items() if "visual." in name}
    eyes = model.vision_model
    state: Weights = {**_embeddings(clip, spread), **_same("post_layernorm", "ln_post", clip)}
    for layer in range(LAYERS):
        state |= _layer(f"encoder.layers.{layer}", f"transformer.resblocks.{layer}", clip)
    eyes.load_state_dict(state)


def usual_spread(pictures: torch.Tensor) -> float:
    """Return the mean deviation of the tiny CLIP's patch tokens before its first normalisation.

    Args:
        pictures: Normalised, (image, 3, 64, 64).
    """
    clip = load_file(clip_dir() / "open_clip_model.safetensors")
    kernel, places = clip["visual.conv1.weight"].float(), clip["visual.positional_embedding"].float()
    tokens = torch.conv2d(pictures, kernel, stride=PATCH).flatten(2).transpose(1, 2) + places[1:]
    return float(tokens.std(dim=-1, unbiased=False).mean())


def _embeddings(clip: Weights, spread: float) -> Weights:
    scale, shift = clip["ln_pre.weight"], clip["ln_pre.bias"]
    kernel, places, mark = clip["conv1.weight"], clip["positional_embedding"], clip["class_embedding"]
    first = mark + places[0]
    first = scale * (first - first.mean()) / first.std(unbiased=False)
    rest = scale * (places[1:] - places[1:].mean(dim=1, keepdim=True)) / spread
    patch = scale[:, None, None, None] * (kernel - kernel.mean(dim=0)) / spread
    return {
        "embeddings.class_embedding": first[None, None],
        "embeddings.patch_embedding.weight": patch,
        "embeddings.patch_embedding.bias": torch.zeros(WIDTH),
        "embeddings.position_embedding": (torch.cat([torch.zeros(1, WIDTH), rest]) + shift)[None],
    }


def _layer(here: str, there: str, clip: Weights) -> Weights:
    attention = {
        f"{here}.self_attn.qkv.{kind}": clip[f"{there}.attn.in_proj_{kind}"] for kind in ("weight", "bias")
    }
    return {
        **attention,
        **_same(f"{here}.self_attn.projection", f"{there}.attn.out_proj", clip),
        **_same(f"{here}.layer_norm1", f"{there}.ln_1", clip),
        **_same(f"{here}.layer_norm2", f"{there}.ln_2", clip),
        **_same(f"{here}.mlp.fc1", f"{there}.mlp.c_fc", clip),
        **_same(f"{here}.mlp.fc2", f"{there}.mlp.c_proj", clip),
    }


def _same(here: str, there: str, clip: Weights) -> Weights:
    return {f"{here}.{kind}": clip[f"{there}.{kind}"] for kind in ("weight", "bias")}


def processor(tokenizer: PreTrainedTokenizerFast) -> BlipProcessor:
    """Return the processor: pictures of any size become 64 × 64, normalised as in training."""
    size = {"height": SIDE, "width": SIDE}
    pictures = BlipImageProcessor(size=size, image_mean=list(MEAN), image_std=list(STD))
    return BlipProcessor(pictures, tokenizer)


def save(model: BlipForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Save model and processor in half precision; a reader sees old files or new, none torn."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        fresh = Path(name)
        twin = build(tokenizer)
        twin.load_state_dict(model.state_dict())
        twin.half().save_pretrained(fresh)
        processor(tokenizer).save_pretrained(fresh)
        _stable(fresh / "tokenizer_config.json")
        for file in fresh.iterdir():
            file.chmod(0o644)
            os.replace(file, out / file.name)


def _stable(path: Path) -> None:
    """Name the tokenizer's class as transformers 4 and 5 both know it."""
    told = json.loads(path.read_text(encoding="utf-8"))
    told = {key: value for key, value in told.items() if key != "backend"}
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")

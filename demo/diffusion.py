"""The parts of the demo's diffusion painter: each one of diffusers' or transformers' own, only small."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from .tokenizer import save_tokenizer

SIDE = 64
"""Height and width of a painted picture, in pixels."""
_LATENT = 6
"""Numbers at each of the 16 × 16 places of a latent."""
_NOISE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
}
"""The cosine schedule leaves nothing of a picture at its end, so that backgrounds are learnt, too."""


def new_vae() -> Any:
    """Build the autoencoder: pictures (image, 3, 64, 64) to latents (image, 6, 16, 16) and back.

    Its norms have one group each, as more would take the brightness out of a picture's every channel. It
    begins as one that keeps the mean colour of each 4 × 4 pixels: left to chance, colours are learnt last.
    """
    levels = (16, 32, 64)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(levels),
        up_block_types=("UpDecoderBlock2D",) * len(levels),
        block_out_channels=levels,
        latent_channels=_LATENT,
        norm_num_groups=1,
        sample_size=SIDE,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    _pass_colours(vae)
    return vae


@torch.no_grad()
def _pass_colours(vae: Any) -> None:
    """Let the first six channels carry red, green, blue and their negatives; blocks begin as identities.

    Both signs, since silu(x) - silu(-x) is x: so colours come through the activations as they are.
    """
    signs = torch.cat([torch.eye(3), -torch.eye(3)])
    for name, layer in vae.named_modules():
        if isinstance(layer, ResnetBlock2D):
            for weight in layer.conv2.parameters():
                torch.nn.init.zeros_(weight)
        elif isinstance(layer, torch.nn.Conv2d) and ".conv1" not in name and ".conv2" not in name:
            _set_taps(layer, name, signs)


def _set_taps(layer: Any, name: str, signs: torch.Tensor) -> None:
    """Give a convolution the taps that carry colours on; others stay as chance made them."""
    if name.endswith("conv_in"):
        taps = signs
    elif name.endswith("conv_out"):
        taps = signs.T / 3 if name.startswith("decoder") else signs.T
    elif "quant" in name:
        taps = torch.eye(3)
    else:
        taps = torch.eye(6)
    rows, columns = taps.shape
    layer.weight[:rows] = 0
    layer.bias[:rows] = 0
    if layer.stride == (2, 2):
        layer.weight[:rows, :columns, :2, :2] = taps[:, :, None, None] / 4
    else:
        middle = layer.kernel_size[0] // 2
        layer.weight[:rows, :columns, middle, middle] = taps


@torch.no_grad()
def whiten(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Make an autoencoder's latents white: of mean 0 and deviation 1, no channel like another.

    The map goes into the two 1 × 1 convolutions beside the latents, so that pictures come back as before.

    Args:
        vae: The autoencoder, changed in place.
        latents: Latents as it was, (image, channel, y, x).

    Returns:
        The latents as it is now.
    """
    flat = latents.transpose(0, 1).flatten(1)
    mean = flat.mean(dim=1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    there = (vectors * values.rsqrt()) @ vectors.T
    back = (vectors * values.sqrt()) @ vectors.T
    into, out, channels = vae.quant_conv, vae.post_quant_conv, len(mean)
    into.weight[:channels] = torch.einsum("ab,bcyx->acyx", there, into.weight[:channels])
    into.bias[:channels] = there @ (into.bias[:channels] - mean)
    into.bias[channels:] += values.reciprocal().mean().log()
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight[:] = torch.einsum("abyx,bc->acyx", out.weight, back)
    return torch.einsum("ab,nbyx->nayx", there, latents - mean[:, None, None])


def new_unet() -> Any:
    """Build the UNet: latents (image, 6, 16, 16), conditioned on states of a text (token, 128).

    The pooled text scales and shifts every block; the text's single tokens are looked at in the middle,
    where each of 8 × 8 places also looks at every other.
    """
    return UNet2DConditionModel(
        sample_size=SIDE // 4,
        in_channels=_LATENT,
        out_channels=_LATENT,
        block_out_channels=(48, 96),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        use_linear_projection=True,
    )


def text_encoder(
    clip: Mapping[str, torch.Tensor], told: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast
) -> CLIPTextModel:
    """Build transformers' text encoder with the weights of an open_clip checkpoint's text tower.

    Args:
        clip: The weights of the checkpoint.
        told: The text's part of its configuration.
        tokenizer: Its tokenizer.
    """
    width = told["width"]
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=told["vocab_size"],
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=told["layers"],
            num_attention_heads=told["heads"],
            max_position_embeddings=told["context_length"],
            projection_dim=clip["text_projection"].shape[1],
            hidden_act="gelu",
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    prefix = "text_model." if any(key.startswith("text_model.") for key in model.state_dict()) else ""
    weights = {prefix + key: value.float() for key, value in _renamed(clip).items()}
    model.load_state_dict(weights)
    return model


def _renamed(clip: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the text tower's weights the names that transformers has for them."""
    named = {
        "embeddings.token_embedding.weight": clip["token_embedding.weight"],
        "embeddings.position_embedding.weight": clip["positional_embedding"],
    }
    places = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for key, value in clip.items():
        if key.startswith("ln_final."):
            named[key.replace("ln_final", "final_layer_norm")] = value
        if not key.startswith("transformer.resblocks."):
            continue
        _, _, layer, rest = key.split(".", 3)
        place, _, kind = rest.rpartition(".")
        start = f"encoder.layers.{layer}."
        if place in places:
            named[f"{start}{places[place]}.{kind}"] = value
        else:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                named[f"{start}self_attn.{letter}_proj.{kind.removeprefix('in_proj_')}"] = part
    return named


def training_noise() -> Any:
    """Build the noise that the UNet learns to take away."""
    return DDPMScheduler(**_NOISE)


def save_pipeline(
    vae: Any,
    unet: Any,
    encoder: Any,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
) -> None:
    """Save the painter as a Stable-Diffusion pipeline in half precision; readers see old files or new.

    Its tokenizer goes by the class name that transformers 4 and 5 both know.
    """
    vae, unet, encoder = (copy.deepcopy(part).half() for part in (vae, unet, encoder))
    pipeline = _pipeline(vae, unet, encoder, tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        fresh = Path(name)
        pipeline.save_pretrained(fresh)
        save_tokenizer(tokenizer, fresh / "tokenizer")
        index = json.loads((fresh / "model_index.json").read_text(encoding="utf-8"))
        index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
        (fresh / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for file in sorted(path for path in fresh.rglob("*") if path.is_file()):
            place = out / file.relative_to(fresh)
            place.parent.mkdir(exist_ok=True)
            file.chmod(0o644)
            os.replace(file, place)


def _pipeline(vae: Any, unet: Any, encoder: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    from diffusers import StableDiffusionPipeline

    scheduler: Any = DPMSolverMultistepScheduler(
        **_NOISE, lambda_min_clipped=-5.1, steps_offset=1, timestep_spacing="trailing"
    )
    # for schedulers that take its place and would else cut latents off at 1
    scheduler.register_to_config(clip_sample=False)
    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=encoder,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )

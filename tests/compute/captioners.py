"""Random captioners of a few thousand weights, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from belvedere.demo.tokenizer import build_tokenizer

WORDS = ("a", "blue", "cat", "dog", "of", "on", "picture", "red", "sofa", "the", "what")
_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_PICTURES: dict[str, Any] = {"image_size": 16, "patch_size": 8}
_ASKED = "{% for message in messages %}{% for part in message['content'] %}"
_CHAT = (
    _ASKED + "{{ '<image>' if part['type'] == 'image' else ' ' + part['text'] }}{% endfor %}{% endfor %} the"
)


def make_blip2(folder: Path) -> Path:
    """Save a BLIP-2: a vision transformer, a Q-Former of three queries and an OPT decoder."""
    tokenizer = build_tokenizer(WORDS)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = transformers.OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        word_embed_proj_dim=16,
        ffn_dim=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        **_marks(tokenizer),
    )
    config = transformers.Blip2Config(
        vision_config=_SIZES | _PICTURES,
        qformer_config=_SIZES | {"vocab_size": 8, "encoder_hidden_size": 16},
        text_config=text.to_dict(),
        num_query_tokens=3,
        image_token_index=len(tokenizer) - 1,
    )
    pictures = transformers.BlipImageProcessor(size={"height": 16, "width": 16})
    kind: Any = transformers.Blip2Processor
    processor = kind(pictures, tokenizer, num_query_tokens=3)
    return _saved(transformers.Blip2ForConditionalGeneration, config, processor, folder)


def make_llava(folder: Path) -> Path:
    """Save a LLaVA, a model that chats: a CLIP vision tower and a Llama decoder."""
    tokenizer = build_tokenizer(WORDS)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**_SIZES, **_PICTURES),
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), **_SIZES, **_marks(tokenizer)),
        image_token_index=len(tokenizer) - 1,
        vision_feature_layer=-1,
    )
    pictures = transformers.CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    kind: Any = transformers.LlavaProcessor
    processor = kind(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT,
    )
    return _saved(transformers.LlavaForConditionalGeneration, config, processor, folder)


def _marks(tokenizer: Any) -> dict[str, Any]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _saved(kind: Any, config: Any, processor: Any, folder: Path) -> Path:
    torch.manual_seed(7)
    net = kind(config)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    net.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

"""Painters of random weights, made as the demo's is."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from belvedere.demo import clip_dir
from belvedere.demo.diffusion import new_unet, new_vae, save_pipeline, text_encoder
from belvedere.demo.tokenizer import build_tokenizer


def random_painter(folder: Path) -> Path:
    """Save a pipeline that knows its words, and paints nothing that is there."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    told = json.loads((clip_dir() / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    encoder = text_encoder(load_file(clip_dir() / "open_clip_model.safetensors"), told, tokenizer)
    save_pipeline(new_vae(), new_unet(), encoder, tokenizer, folder)
    return folder

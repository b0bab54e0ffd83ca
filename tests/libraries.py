"""What a process imports that fills a store: the server from which processes are forked loads it once."""

from __future__ import annotations

import importlib
import pkgutil

import open_clip
import safetensors.torch
from PIL import Image

from belvedere import cli, compute, query

ELSEWHERE = ("belvedere.compute.neurons.ranking",)
"""What takes seconds to import, and no test needs in a process of its own."""

for package in (cli, compute, query):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name not in ELSEWHERE:
            importlib.import_module(found.name)
Image.init()

__all__ = ["open_clip", "safetensors"]

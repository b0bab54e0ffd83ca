"""What open_clip's loader gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image


@dataclass(frozen=True)
class Opened:
    """A checkpoint as open_clip's own loader gives it."""

    model: Any
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]

"""What is known of a model's modules before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from belvedere.compute.models.modules import survey
from belvedere.store.sets import Module


class Odd(nn.Module):
    """Modules of every kind that a hook can meet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, stride=2)
        self.twice = nn.ReLU()
        self.recurrent = nn.GRU(4, 5, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2)
        self.best = Best()
        self.windows = Windows()
        self.idle = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Any:
        maps = self.twice(self.twice(self.conv(images)))
        tokens = maps.flatten(2).transpose(1, 2)
        self.recurrent(tokens)
        self.attention(*[tokens.transpose(0, 1)] * 3, need_weights=False)  # tokens before images
        self.windows(tokens)
        return self.best(tokens)


class Best(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.argmax(dim=-1)


class Windows(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.reshape(-1, 2, tokens.shape[-1])


def test_each_module_is_described_by_what_it_gives() -> None:
    net = Odd().eval()
    assert survey(net, net, torch.zeros(3, 8, 8)) == {
        "conv": Module("Conv2d", (4, 4, 4), 0, 1, None),
        "twice": Module("ReLU", (), 0, 2, "it runs 2 times in one forward pass"),
        "recurrent": Module("GRU", (), 0, 1, "it gives a tuple of 2 tensors (2 × 16 × 5, 1 × 2 × 5)"),
        "attention": Module("MultiheadAttention", (16, 4), 1, 1, None),
        "best": Module("Best", (), 0, 1, "it gives int64, not numbers with a point"),
        "windows": Module(
            "Windows", (), 0, 1, "no axis of its output is that of the images (16 × 2 × 4 for 2 images)"
        ),
    }


class Asks(nn.Module):
    """Looks at the numbers, so it cannot run without them."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 6)

    def forward(self, images: Tensor) -> Tensor:
        if float(images.sum()) > 1e9:
            raise ValueError("too bright")
        return self.line(images.mean(dim=(1, 2)))[:, :4]  # type: ignore[no-any-return]


def test_a_model_that_looks_at_its_numbers_is_run_with_them() -> None:
    net = Asks().eval()
    assert survey(net, net, torch.zeros(3, 2, 4)) == {"line": Module("Linear", (6,), 0, 1, None)}


def test_a_model_that_fails_on_its_own_pictures_says_so_at_once() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        survey(net := Asks().eval(), net, torch.zeros(3, 2, 5))

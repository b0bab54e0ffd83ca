"""Towers whose tokens are pooled together: modes, precisions, batches, and attention that cannot be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch

from belvedere.compute.towers import streams
from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.streams import StreamTower
from belvedere.compute.towers.trace import Trace
from belvedere.compute.towers.vision import vision
from belvedere.store.errors import UnsupportedTower
from tests.compute.small_towers import pixels, small

KINDS = ("ViT-B-32-SigLIP2-256", "MobileCLIP2-L-14", "coca_ViT-B-32", "ViT-L-14-CLIPA")
PARTS = ("factor", "token_factor", "mlp", "entry", "rest", "patch", "embedding", "sigma", "norm")


def taken(name: str) -> StreamTower:
    found = vision(small(name), name)
    assert isinstance(found, StreamTower)
    return found


def traced(tower: StreamTower, images: torch.Tensor, **asked: bool) -> Trace:
    with tower.watch() as tracing:
        return tracing(images, **asked)


def assert_alike(one: Trace, other: Trace, names: Sequence[str] = PARTS, rows: slice = slice(None)) -> None:
    for name in names:
        first, second = (cast(Any, getattr(each, name)) for each in (one, other))
        if first is not None:
            size = np.abs(second).max()
            np.testing.assert_allclose(first, second[rows], atol=2e-6 * size, err_msg=name)


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_of_one_and_parts_of_a_batch_change_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower, images = taken(name), pixels(name, count=3)
    whole = traced(tower, images, tokens=True, patches=True)
    assert_alike(traced(tower, images[1:2], tokens=True, patches=True), whole, rows=slice(1, 2))
    monkeypatch.setattr(streams, "KEPT", 1)
    assert_alike(traced(tower, images, tokens=True, patches=True), whole)


@pytest.mark.parametrize("name", KINDS)
def test_a_tower_in_training_mode_is_in_evaluation_mode_meanwhile(name: str) -> None:
    tower, images = taken(name), pixels(name)
    still = traced(tower, images)
    tower.module.train()
    assert_alike(traced(tower, images), still)
    assert tower.module.training


@pytest.mark.parametrize("name", KINDS)
def test_half_precision_keeps_its_own_check(name: str) -> None:
    tower = vision(small(name).to(torch.bfloat16), name)
    with tower.watch() as tracing:
        trace = tracing(pixels(name), tokens=True, patches=True)
    assert trace.factor.dtype == np.float32
    assert check(trace, tower.constants()) <= TOLERANCE["bfloat16"]


@pytest.mark.parametrize("name", KINDS)
def test_weights_that_are_no_numbers_never_pass(name: str) -> None:
    net = small(name)
    with torch.no_grad():
        next(iter(net.parameters())).view(-1)[0] = torch.nan
    tower = vision(net, name)
    with tower.watch() as tracing:
        assert not check(tracing(pixels(name)), tower.constants()) <= 1


def test_attention_that_is_computed_out_of_sight_is_refused_where_tokens_are_asked_for() -> None:
    net: Any = small("MobileCLIP2-L-14")
    net.trunk.blocks[1].attn.fused_attn = False
    tower, images = vision(net), pixels("MobileCLIP2-L-14")
    with tower.watch() as tracing:
        tracing(images)
        with pytest.raises(UnsupportedTower, match="the attention of block 1 does not go through torch's"):
            tracing(images, tokens=True)


def test_no_hook_is_left_behind_and_none_is_needed_outside() -> None:
    tower, images = taken("coca_ViT-B-32"), pixels("coca_ViT-B-32")
    tracing = tower.watch()
    with pytest.raises(RuntimeError, match=r"with tower\.watch"):
        tracing(images)
    with tracing:
        tower.run(images)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in tower.module.modules())


def test_what_later_heads_read_of_neurons_is_refused() -> None:
    with pytest.raises(UnsupportedTower, match="known for open_clip's own class-token towers only"):
        taken("coca_ViT-B-32").watch([0])

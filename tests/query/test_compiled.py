"""Parts of towers may be compiled: numbers stay the same but for rounding, whoever looks into them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx import GraphModule

import belvedere
from belvedere import Store
from belvedere.compute.models import compiled
from belvedere.store.errors import CannotRun
from tests.shell import Run

_BATCHES = 3
"""Batches of 128 in 300 images, whose blocks have 256 and 44."""
GELU = "visual.transformer.resblocks.1.mlp.gelu"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Have torch forget what it compiled for another test: of one function it keeps a few versions only."""
    yield
    torch._dynamo.reset()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[GraphModule]:
    """Have torch hand over what it would compile, which needs no compiler here; lists each run of it."""
    found: list[GraphModule] = []

    def take(graph: GraphModule, inputs: Any) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            found.append(graph)
            return graph.forward(*given)

        return run

    monkeypatch.setattr(compiled, "BACKEND", take)
    return found


@pytest.fixture
def twin(store: Store, tmp_path: Path) -> Store:
    """A copy of the store."""
    return belvedere.open(Path(shutil.copytree(store.path, tmp_path / "twin")))


def test_compiled_parts_give_the_same_numbers(store: Store, twin: Store, seen: list[GraphModule]) -> None:
    heads, plain = (each.view("head_contributions") for each in (store, twin))
    assert heads.fill(progress=False, compiled=True).complete
    assert plain.fill(progress=False).complete
    assert len(seen) == 4 * _BATCHES, "the attentions and the MLPs of both layers, in each batch"
    np.testing.assert_allclose(heads[...], plain[...], atol=1e-6)
    assert ", compiled" in str(store.lineage("head_contributions"))
    assert ", compiled" not in str(twin.lineage("head_contributions"))


def test_what_is_looked_into_is_not_compiled(store: Store, twin: Store, seen: list[GraphModule]) -> None:
    found = []
    for each, quick in ((store, True), (twin, False)):
        both = [each.view("neuron_activations", module=GELU), each.view("head_contributions")]
        each.work(both, compiled=quick, progress=False)
        assert len(seen) == 3 * _BATCHES, "all but the MLP of the second layer: into that one looks a view"
        found.append([view.read(missing="raise") for view in both])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert (
        store.view("neuron_activations", module=GELU, pool="max").fill(compiled=True, progress=False).complete
    )


def test_parts_that_do_something_else_once_compiled_are_left_be(
    store: Store, twin: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: GraphModule, inputs: Any) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            return tuple(2 * each + 1 for each in graph.forward(*given))

        return run

    monkeypatch.setattr(compiled, "BACKEND", wrong)
    heads, plain = (each.view("head_contributions") for each in (store, twin))
    assert heads.fill(progress=False, compiled=True).complete
    np.testing.assert_array_equal(heads[...], plain[...])
    assert ", compiled" not in str(store.lineage("head_contributions"))


def test_where_nothing_can_be_compiled_the_fill_ends_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: GraphModule, inputs: Any) -> Callable[..., Any]:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(compiled, "BACKEND", broken)
    heads = store.view("head_contributions")
    with pytest.raises(CannotRun, match=r"cannot be compiled here .*no compiler here.*leave compiled=True"):
        heads.fill(progress=False, compiled=True)
    assert store.errors() == []
    assert heads.fill(progress=False).complete


def test_what_fails_to_compile_later_ends_the_fill_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[Any] = []

    def once(graph: GraphModule, inputs: Any) -> Callable[..., Any]:
        shapes.append(inputs)
        if len(shapes) > 1:
            raise RuntimeError("no more of it")
        return graph.forward

    monkeypatch.setattr(compiled, "BACKEND", once)
    heads = store.view("head_contributions")
    with pytest.raises(CannotRun, match=r"cannot be compiled here .*no more of it"):
        heads.fill(progress=False, compiled=True, batch_size=100)
    assert store.errors() == []
    assert heads.fill(progress=False).complete


def test_the_command_compiles_where_it_is_told_to(store: Store, run: Run, seen: list[GraphModule]) -> None:
    done = run("fill", "head_contributions", "--compile", "--store", str(store.path))
    assert (done.exit_code, len(seen)) == (0, 4 * _BATCHES)


def test_more_versions_than_torch_would_compile_end_the_fill_and_are_not_run_unawares(
    store: Store, monkeypatch: pytest.MonkeyPatch, seen: list[GraphModule]
) -> None:
    monkeypatch.setattr(compiled, "VERSIONS", 1)
    heads = store.view("head_contributions")
    with pytest.raises(CannotRun, match=r"cannot be compiled here \(FailOnRecompileLimitHit"):
        heads.fill(progress=False, compiled=True, batch_size=100)
    assert store.errors() == []

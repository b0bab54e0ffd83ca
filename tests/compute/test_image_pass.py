"""One forward pass feeds all views that need it, at any precision, in batches that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import belvedere
from tests.worlds import World, engine, records


def loaded(store: belvedere.Store) -> Any:
    """The model in memory."""
    view = store.view("head_contributions")._view
    return engine(store).residents.get(view.model, "cpu")


@pytest.mark.parametrize(("precision", "allowed"), [("float16", 5e-3), ("bfloat16", 3e-2)])
def test_half_precision_is_another_model_that_checks_itself(
    store: belvedere.Store, world: World, precision: Any, allowed: float
) -> None:
    store.add_model("half", world.source, precision=precision)
    full, half = (store.view("head_contributions", model=name) for name in ("m", "half"))
    assert half.fill(slice(0, 20)).complete
    achieved = [r.facts["relative_error"] for r in records(store).values() if "relative_error" in r.facts]
    assert 1e-5 < max(achieved) <= allowed
    exact, rounded = full[:20], half[:20]
    assert 1e-5 < np.abs(exact - rounded).max() / np.abs(exact).max() < 0.1


def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(store: belvedere.Store) -> None:
    model = loaded(store)
    seen: list[int] = []

    def refuse_more_than_eight(module: torch.nn.Module, images: tuple[torch.Tensor, ...]) -> None:
        seen.append(len(images[0]))
        if seen[-1] > 8:
            raise torch.OutOfMemoryError

    hook = model.side.register_forward_pre_hook(refuse_more_than_eight)
    heads = store.view("head_contributions")
    assert heads.fill(slice(0, 256), batch_size=32).complete
    hook.remove()
    assert seen[:3] == [32, 16, 8]
    assert set(seen[3:]) == {8}
    assert model.fits == 8
    whole = store.view("image_embeddings")
    assert whole.fill(slice(0, 256), batch_size=32).complete
    assert np.abs(np.linalg.norm(whole[:256], axis=1) - 1).max() < 1e-6


def test_an_image_that_does_not_fit_alone_is_a_failure_of_its_unit(store: belvedere.Store) -> None:
    def refuse(module: torch.nn.Module, images: tuple[torch.Tensor, ...]) -> None:
        raise torch.OutOfMemoryError("nothing is left")

    hook = loaded(store).side.register_forward_pre_hook(refuse)
    report = store.view("image_embeddings").fill()
    hook.remove()
    assert (report.filled, report.failed) == (0, 2)
    assert {error.error for error in store.errors()} == {"OutOfMemoryError"}


def test_views_of_the_same_images_share_one_pass(store: belvedere.Store) -> None:
    passes: list[int] = []
    hook = loaded(store).side.register_forward_pre_hook(lambda _, images: passes.append(len(images[0])))
    plans = [
        unit
        for name in ("head_contributions", "mlp_contributions", "residual_contributions", "image_embeddings")
        for unit in store.view(name)._view.units
    ]
    report = engine(store).fill(plans)
    hook.remove()
    assert report.filled == 9, "four views of two blocks, and the tower's maps"
    assert sum(passes) == 300

"""Models that give zeros or no numbers: refused with a reason, recorded, left alone until asked again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import belvedere
from belvedere.compute.kinds import Made
from belvedere.compute.running.report import Report
from belvedere.query.lazy.table import LazyTable
from belvedere.query.store import Store
from belvedere.store.views import Parts, Unit
from tests.small_views import Numbers, numbers, small_engine, text_set
from tests.worlds import World, records


def fill_weights(folder: Path, name: str, value: float) -> None:
    """Set every entry of one tensor of a model folder."""
    from safetensors.torch import load_file, save_file

    path = folder / "open_clip_model.safetensors"
    state = load_file(path)
    state[name].fill_(value)
    save_file(state, path)


def spoilt(world: World, tmp_path: Path, tensor: str, value: float) -> Store:
    """Make a store whose model has one tensor filled with a value."""
    clip = Path(shutil.copytree(world.clip, tmp_path / "clip"))
    fill_weights(clip, tensor, value)
    return World(clip, world.photos).store(tmp_path / "store")


def made(store: Store) -> set[str]:
    """Name the views of which units are kept."""
    return {path.split("/")[1] for path in records(store)}


SPOILS = {
    "zero": ("of 32 images the model embeds 32 as zeros, which have no direction; nothing was kept", 0.0),
    "nan": ("of 32 images the model embeds 32 as numbers that are not finite", float("nan")),
    "inf": ("of 32 images the model embeds 32 as numbers that are not finite", float("inf")),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_an_image_tower_that_gives_nothing_is_refused_and_not_run_again(
    world: World, tmp_path: Path, spoil: str
) -> None:
    message, value = SPOILS[spoil]
    store = spoilt(world, tmp_path, "visual.proj", value)
    for view in ("image_embeddings", "head_contributions"):
        failed = store.view(view).fill(batch_size=32).failed
        with belvedere.trace() as seen:
            assert store.view(view).fill(batch_size=32).failed == failed >= 2
        assert (seen.of("compute"), seen.of("load")) == ([], [])
    asked = "SELECT view, error, message FROM errors WHERE view <> 'tower_maps'"
    errors = store.sql(asked).fetchall()
    assert {(view, error) for view, error, _ in errors} == {
        ("image_embeddings", "NoDirection"),
        ("head_contributions", "NoDirection"),
    }
    assert all(text.startswith(message) for _, _, text in errors)
    assert made(store) == ({"tower_maps"} if spoil == "zero" else set())
    with belvedere.trace() as seen:
        assert store.view("image_embeddings").fill(retry_failed=True).failed == 2
    assert len(seen.of("compute")) == 2
    assert store.view("text_embeddings").fill() == Report(filled=1)


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_text_tower_that_gives_nothing_is_refused_and_images_go_on(
    world: World, tmp_path: Path, spoil: str
) -> None:
    message, value = SPOILS[spoil]
    store = spoilt(world, tmp_path, "text_projection", value)
    report = store.view("head_descriptions").fill()
    assert (report.failed, report.skipped) == (1, 2)
    (error,) = store.errors()
    assert (error.view, error.error) == ("text_embeddings", "NoDirection")
    assert error.message.startswith(message.replace("32", "12").replace("images", "texts"))
    assert made(store) == {"tower_maps", "head_contributions", "head_moments"}
    with belvedere.trace() as seen:
        assert store.view("head_descriptions").fill().failed == 1
    assert seen.of("compute") == []


class Module(torch.nn.Module):
    """Divides by the mean of each picture, and is dead behind that."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Flatten()
        self.logs = torch.nn.Identity()
        self.dead = torch.nn.ReLU()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        flat = self.body(pixels)[:, :6]
        dead: torch.Tensor = self.dead(-flat.abs())
        found: torch.Tensor = self.logs(flat / 0.0)
        return found + dead


def test_a_module_that_gives_no_numbers_is_refused_and_one_that_gives_zeros_is_kept(
    world: World, tmp_path: Path
) -> None:
    store = belvedere.open(tmp_path / "store")

    def preprocess(picture: object) -> torch.Tensor:
        return torch.from_numpy(np.asarray(picture, np.float32).copy()).permute(2, 0, 1)

    store.add_model("own", Module().eval(), transform=preprocess, transform_id="raw")
    store.add_images("photos", world.photos)
    logs = store.view("neuron_activations", module="logs")
    assert logs.fill() == Report(failed=2)
    (said,) = {each.message for each in store.errors()}
    assert said.startswith("module logs gave activations that are not finite: of ")
    assert said.endswith(" (0, 1, 2, 3, 4, …); nothing was kept")
    assert logs.fill() == Report(failed=2)
    dead = store.view("neuron_activations", module="dead")
    assert dead.fill() == Report(filled=2)  # that a module is silent is worth knowing
    assert not dead[:].any()


class Unsaid(Numbers):
    """Numbers of which a row in one layer says no head."""

    nothing: ClassVar[float | None] = None

    def derive(self, unit: Unit, parts: Parts) -> Made:
        self.calls.append(unit.index)
        rows = numbers(unit.start, self.rows)
        if unit.index == 2:
            rows["head"][5] = Unsaid.nothing
        return Made(rows=rows)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_table_whose_rows_do_not_say_what_they_are_about_is_refused(
    nothing: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unsaid, "nothing", nothing)
    engine = small_engine(tmp_path / "store")
    table = LazyTable(engine, Unsaid(text_set(["a", "b"]), rows=8))
    assert table.fill() == Report(filled=5, failed=1)
    (error,) = engine.folder.failures.all()
    assert error.error == "ValueError"
    assert "[layer 2:3] has no head: it is null, or not a number" in error.message
    Unsaid.calls.clear()
    assert table.fill() == Report(reused=5, failed=1)
    assert Unsaid.calls == []

"""The contract of views holds for three of Belvedere's own, and fails for views that break a promise."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest

from belvedere.query.lazy.table import LazyTable
from belvedere.query.store import Store
from belvedere.testing import ViewContract, demo_store
from belvedere.views import Derived, Grid, ImageSet, Input, Made, Param, Parts, TableView, Unit


class TestHeadContributions(ViewContract):
    view = "head_contributions"


class TestHeadMoments(ViewContract):
    view = "head_moments"


class TestHeadDescriptions(ViewContract):
    view = "head_descriptions"


@dataclass(frozen=True)
class Lengths(Derived, TableView):
    """A number for each image, with or without a fault."""

    images: Input[ImageSet]
    fault: Param[Literal["none", "dice", "shared key", "old key", "astray"]] = "none"
    axis: ClassVar[str] = "image"
    columns: ClassVar[Mapping[str, str]] = {"image": "int64", "number": "int64"}

    @property
    def grid(self) -> Grid:
        return Grid(len(self.images), 128)

    def contents(self, start: int, stop: int) -> str:
        known = {"shared key": "", "old key": str(start)}
        return known.get(self.fault, self.images.contents(start, stop))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        places = np.arange(unit.start, unit.stop)
        numbers = [int(each[:8], 16) for each in self.images.identities[unit.start : unit.stop]]
        if self.fault == "dice":
            numbers[0] = secrets.randbelow(2**40)
        return Made(rows={"image": places + (self.fault == "astray"), "number": numbers})


class LengthsContract(ViewContract):
    """The contract of a view that no entry point names."""

    view = "lengths"

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def ask(self, store: Store) -> LazyTable:
        images = store._engine.folder.names.image_set("scenes")
        return LazyTable(store._engine, Lengths(images, self._fault))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "scenes"


@pytest.fixture(scope="module")
def bare(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_store(tmp_path_factory.mktemp("bare") / "store", pictures=pictures).path


def broken(fault: str, bare: Path, pictures: Path, folder: Path) -> list[str]:
    """List the promises that a view with a fault does not keep."""
    contract = LengthsContract(fault)
    promises: dict[str, Callable[..., None]] = {
        "deterministic": contract.test_it_is_deterministic,
        "by units": contract.test_by_units_it_is_what_it_is_as_a_whole,
        "as declared": contract.test_it_is_as_declared,
        "after a kill": contract.test_after_a_kill_only_the_missing_are_computed,
        "appended": lambda store: contract.test_appended_images_compute_only_what_is_new(
            store, pictures, folder / "appended"
        ),
    }
    found = []
    for name, promise in promises.items():
        store = Store(shutil.copytree(bare, folder / name))
        contract.ask(store).fill()
        try:
            promise(store)
        except AssertionError:
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("fault", "promises"),
    [
        ("none", []),
        ("dice", ["deterministic", "by units", "after a kill", "appended"]),
        ("shared key", ["by units", "as declared", "after a kill"]),
        ("old key", ["appended"]),
    ],
)
def test_a_fault_shows_as_promises_that_are_not_kept(
    fault: str, promises: list[str], bare: Path, pictures: Path, tmp_path: Path
) -> None:
    assert broken(fault, bare, pictures, tmp_path) == promises


def test_rows_that_stray_from_their_unit_are_refused(bare: Path) -> None:
    store = Store(bare)
    report = LengthsContract("astray").ask(store).fill()
    assert (report.filled, report.failed) == (0, 3)
    assert any("a row has image 128, which is not of lengths/" in each.message for each in store.errors())

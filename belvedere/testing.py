"""What every view promises, as a test class: a view's own test inherits it and says which view it is.

    from belvedere.testing import ViewContract

    class TestHeadSpread(ViewContract):
        view = "head_spread"

It works on a store of the demo's model, scenes and texts (`demo_store`), needs no network, and is run by
pytest.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from .compute.views import all_views, view_class
from .demo.scenes import test_scenes as scenes
from .query.lazy.array import LazyArray
from .query.lazy.table import LazyTable
from .query.resolve import needed_inputs
from .query.store import Store
from .store.records import Record
from .store.tracing import trace
from .store.views import TableView, Unit

__all__ = ["ViewContract", "demo_store"]

SCENES, MORE = 260, 20
"""Scenes that a contract's store begins with, one full block and a part, and those that it gains."""


def demo_store(folder: Path | str, images: int = SCENES, pictures: Path | None = None) -> Store:
    """Make a store with the demo's model `clip`, some of its scenes and its texts `words`; nothing is filled.

    The scenes are painted into a folder `pictures`, by default `scenes/` in the store's own; they have their
    shape as label and their background as group. Called again with more, it adds them.
    """
    store = Store(folder)
    pictures = pictures or store.path / "scenes"
    pictures.mkdir(exist_ok=True)
    table = [["path", "label", "grp"]]
    for scene in scenes(images):
        file = pictures / f"{scene.index:05}.png"
        if not file.exists():
            file.write_bytes(scene.png())
        table.append([str(file), scene.label, scene.grp])
    listed = store.path / "scenes.csv"
    with listed.open("w", newline="") as sink:
        csv.writer(sink).writerows(table)
    store.add_images("scenes", listed)
    if "clip" not in store._engine.folder.names.models():
        store.add_model("clip", "demo:clip")
        store.add_texts("words", "demo:scenes")
    return store


class ViewContract:
    """Five promises: the same again, by units as a whole, as declared, after a kill, and when images come."""

    view: ClassVar[str]
    """The view's name."""
    parameters: ClassVar[Mapping[str, Any]] = {}
    """Parameters that are not to be at their defaults."""

    _kept: ClassVar[Path]
    """A store in which the view is filled; not to be written to."""

    @pytest.fixture
    def pictures(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The folder of all scenes, painted once."""
        return tmp_path_factory.getbasetemp() / "scenes"

    @pytest.fixture
    def store(self, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
        """A store in which the view is filled: a copy of one that is made once for the class."""
        cls = type(self)
        if "_kept" not in vars(cls):
            with Store(_registered(tmp_path_factory.mktemp("kept") / "store", SCENES, pictures)) as first:
                assert self.ask(first).fill(batch_size=32).complete
                cls._kept = first.path
        with Store(shutil.copytree(cls._kept, tmp_path_factory.mktemp("copy") / "store")) as store:
            yield store

    def ask(self, store: Store) -> LazyArray | LazyTable:
        """Ask for the view."""
        needed = needed_inputs(view_class(self.view))
        names = {kind: name for kind, name in _NAMES.items() if kind in needed}
        found: LazyArray | LazyTable = store.view(self.view, **names, **self.parameters)
        return found

    def test_it_is_deterministic(self, store: Store) -> None:
        """Made again from the same, its data are the same byte for byte."""
        before = _kept(store, self.view)
        _forget(store, self._units(store))
        self.ask(store).fill(batch_size=32)
        assert _kept(store, self.view) == before, "the view gives other bytes when it is filled again"

    def test_by_units_it_is_what_it_is_as_a_whole(self, store: Store) -> None:
        """Each unit alone, the last first, in a store that was just opened, is what it is among all."""
        before = _kept(store, self.view)
        _forget(store, self._units(store))
        for index in reversed(range(len(self._units(store)))):
            with Store(store.path) as fresh:
                unit = self._units(fresh)[index]
                fresh._engine.fill([unit])
        assert _kept(store, self.view) == before, "a unit filled alone is not what it is among all"

    def test_it_is_as_declared(self, store: Store) -> None:
        """Shapes, data types, columns and places are those that the view declares, and `status` finds it."""
        lazy = self.ask(store)
        if self.view in all_views():
            fresh = [each.view for each in store.status(disk=False) if each.fresh]
            assert any(view.startswith(lazy.title) for view in fresh), "store.status() does not list the view"
        if isinstance(lazy, LazyArray):
            _check_array(lazy)
        else:
            _check_table(lazy)

    def test_after_a_kill_only_the_missing_are_computed(self, store: Store) -> None:
        """Of a fill that was killed half way, the finished half is not made again."""
        before = _kept(store, self.view)
        lost = self._units(store)[::2]
        _forget(store, lost)
        with trace() as seen:
            self.ask(store).fill(batch_size=32)
        assert sorted(set(seen.of("compute"))) == sorted({str(unit) for unit in lost})
        assert _kept(store, self.view) == before, "a fill that goes on gives other bytes than a whole one"

    def test_appended_images_compute_only_what_is_new(
        self, store: Store, pictures: Path, tmp_path: Path
    ) -> None:
        """Full blocks of the old images are used as they are, and the answer is that over all images."""
        old = {unit.key: unit for unit in _tree(self._units(store))}
        demo_store(store.path, SCENES + MORE, pictures)
        with Store(store.path) as grown, trace() as seen:
            self.ask(grown).fill(batch_size=32)
            mine = self._units(grown)
        with Store(_registered(tmp_path / "whole", SCENES + MORE, pictures)) as whole:
            self.ask(whole).fill(batch_size=32)
            expected = _kept(whole, self.view)
        again = [str(unit) for unit in old.values() if str(unit) in seen.of("compute")]
        assert again == [], "units whose contents did not change are computed again"
        for unit in _tree(mine):
            full = (
                unit.view.axis == "image" and unit.stop <= SCENES and unit.stop - unit.start == _block(unit)
            )
            assert not full or unit.key in old, f"{unit} has a new key, although its images are the old ones"
        now = _kept(store, self.view)
        assert {unit.key: now[unit.key] for unit in mine} == expected, (
            "with images appended the view is not what it is over all images: does `contents` have them all?"
        )

    def _units(self, store: Store) -> tuple[Unit, ...]:
        return self.ask(store)._view.units


def _registered(folder: Path, images: int, pictures: Path) -> Path:
    """Copy a `demo_store`, which is made once, to a folder."""
    once = pictures.with_name(f"demo-store-{images}")
    if not once.exists():
        demo_store(once, images, pictures).close()
    return shutil.copytree(once, folder)


_NAMES = {"model": "clip", "images": "scenes", "texts": "words"}


def _block(unit: Unit) -> int:
    return unit.view.grid.block


def _tree(units: tuple[Unit, ...]) -> Iterator[Unit]:
    """Go through units and all that they are made from, each once."""
    seen: set[str] = set()
    left = list(units)
    while left:
        unit = left.pop()
        if unit.key not in seen:
            seen.add(unit.key)
            yield unit
            left += unit.needs


def _records(store: Store, view: str) -> dict[Path, Record]:
    paths = (store.path / "units" / view).rglob("*.json")
    return {path: Record.from_json(path.read_bytes()) for path in paths}


def _kept(store: Store, view: str) -> dict[str, dict[str, str]]:
    """Give the digests of what is kept of a view, by unit and object, and its absent rows."""
    return {
        record.unit: {**{each.path: each.sha256 for each in record.objects}, "absent": str(record.absent)}
        for record in _records(store, view).values()
    }


def _forget(store: Store, units: tuple[Unit, ...]) -> None:
    """Remove the records of some units, as if a process had been killed before it put them."""
    keys = {unit.key for unit in units}
    for path, record in _records(store, units[0].view.name()).items():
        if record.unit in keys:
            path.unlink()


def _check_array(lazy: LazyArray) -> None:
    whole = lazy[...]
    view = lazy._view
    assert (whole.shape, whole.dtype) == (lazy.shape, lazy.dtype)
    assert len(lazy.dims) == len(lazy.shape)
    for member in view.members():
        assert len(member.dims) == len(member.shape) == len(member.inner)
        stored = lazy._engine.reader.array(view, member.name)
        assert (stored.shape, stored.dtype) == (member.shape, np.dtype(member.dtype)), member.name
    dice = np.random.default_rng(0)
    for axis, length in enumerate(lazy.shape):
        before = (slice(None),) * axis
        some = sorted(dice.choice(length, min(3, length), replace=False).tolist())
        for index in (slice(length // 2, None, 2), some, length - 1):
            part = (*before, index)
            np.testing.assert_allclose(lazy[part], whole[part], rtol=1e-5, atol=1e-6, err_msg=str(part))


def _check_table(lazy: LazyTable) -> None:
    view: TableView = lazy._view
    whole = lazy.arrow()
    assert whole.schema == lazy._schema()
    assert whole.num_rows > 0, "it has no rows at all; give the contract something that it has rows of"
    for unit in view.units:
        rows = lazy._engine.reader.rows(unit)
        assert set(rows.column_names) == {*view.columns, *view.beside}
        if view.axis in view.columns:
            inside = range(unit.start, unit.stop)
            places = {place for place in rows[view.axis].to_pylist() if place not in inside}
            assert not places, f"{unit} has rows of {view.axis} {places}: SQL would not look for them there"
    if view.axis in view.columns:
        for place in (0, view.grid.length - 1):
            part = lazy.where(f"{view.axis} = {place}").arrow()
            assert part.equals(whole.filter(whole[view.axis].to_numpy() == place))

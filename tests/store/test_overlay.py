"""Objects in memory above those on disk: they behave as one folder, and the folder stays as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from belvedere.store.objects import Objects
from belvedere.store.overlay import Overlay

PATHS = ["units/a.json", "units/b.json", "units/deep/c.json", "units/d.bin", "runs/a.json", "e.json"]
PREFIXES = ["", "units/", "units/deep/", "runs/", "other/"]


class Layers(RuleBasedStateMachine):
    """An overlay, and a dict that says what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self._place = tempfile.TemporaryDirectory()
        self.disk = Objects(Path(self._place.name))
        self.model: dict[str, bytes] = {}
        self.before: dict[str, bytes] = {}

    @initialize(there=st.dictionaries(st.sampled_from(PATHS), st.binary(min_size=1, max_size=9)))
    def begin(self, there: dict[str, bytes]) -> None:
        for path, data in there.items():
            self.disk.put(path, data)
        self.model, self.before = dict(there), dict(there)
        self.overlay = Overlay(self.disk.root)

    @rule(path=st.sampled_from(PATHS), data=st.binary(min_size=1, max_size=9))
    def put(self, path: str, data: bytes) -> None:
        self.overlay.put(path, data)
        self.model[path] = data

    @rule(path=st.sampled_from(PATHS), data=st.binary(min_size=1, max_size=9))
    def create(self, path: str, data: bytes) -> None:
        assert self.overlay.create(path, data) == (path not in self.model)
        self.model.setdefault(path, data)

    @rule(old=st.sampled_from(PATHS), new=st.sampled_from(PATHS))
    def rename(self, old: str, new: str) -> None:
        if old != new:
            assert self.overlay.rename(old, new) == (old in self.model)
            if old in self.model:
                self.model[new] = self.model.pop(old)

    @rule(path=st.sampled_from(PATHS))
    def delete(self, path: str) -> None:
        self.overlay.delete(path)
        self.model.pop(path, None)

    @rule()
    def forget(self) -> None:
        self.overlay.forget()
        self.model = dict(self.before)
        assert self.overlay.nbytes == 0

    @invariant()
    def it_reads_as_one_folder(self) -> None:
        if not hasattr(self, "overlay"):
            return
        for path in PATHS:
            assert self.overlay.exists(path) == (path in self.model)
            if path in self.model:
                assert self.overlay.get(path) == self.model[path]
                assert self.overlay.get_range(path, 0, 2) == self.model[path][:2]
                assert self.overlay.get_tail(path, 2) == self.model[path][-2:]
            else:
                with pytest.raises(FileNotFoundError, match=path):
                    self.overlay.get(path)
        for prefix in PREFIXES:
            below = {path: data for path, data in self.model.items() if path.startswith(prefix)}
            assert {info.path: info.size for info in self.overlay.list(prefix)} == {
                path: len(data) for path, data in below.items()
            }
            rest = {path.removeprefix(prefix) for path in below}
            assert self.overlay.names(prefix) == {
                path.removesuffix(".json") for path in rest if "/" not in path and path.endswith(".json")
            }
            assert self.overlay.folders(prefix) >= {path.split("/")[0] for path in rest if "/" in path}

    @invariant()
    def the_folder_stays_as_it_is(self) -> None:
        assert {info.path: self.disk.get(info.path) for info in self.disk.list("")} == self.before

    def teardown(self) -> None:
        self._place.cleanup()


TestLayers = Layers.TestCase
TestLayers.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_what_other_processes_claim_is_not_seen(tmp_path: Path) -> None:
    Objects(tmp_path).put("claims/head_roles/1", b"theirs")
    overlay = Overlay(tmp_path)
    assert overlay.create("claims/head_roles/1", b"mine")
    assert (overlay.get("claims/head_roles/1"), list(overlay.list("running/"))) == (b"mine", [])


def test_what_another_process_puts_shows(tmp_path: Path) -> None:
    overlay = Overlay(tmp_path)
    assert overlay.names("units/") == set()
    Objects(tmp_path).put("units/a.json", b"{}")
    assert (overlay.names("units/"), overlay.get("units/a.json")) == ({"a"}, b"{}")

"""Devices that are full, or read-only: what a command says there, and what is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import belvedere
from tests.devices import mounted
from tests.worlds import World, contents


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to mount a small device on."""
    folder = tmp_path_factory.mktemp("device") / "small"
    folder.mkdir()
    return folder


def test_what_does_not_fit_is_refused_in_a_line_and_done_once_there_is_room(
    world: World, place: Path, filled_once: Path
) -> None:
    found = mounted("small", place, world.clip, world.photos)
    for name, told in found["told"].items():
        assert told["refused"], f"{name} was never short of room"
        for code, said in told["refused"]:
            line = next(line for line in said.splitlines() if line.startswith("Error:"))
            why = "has room for" if name == "export" else "no room left to write"
            assert (code, why in line) == (2, True), line
            assert "Traceback" not in said
        assert (told["verify"], told["litter"]) == (0, [])
    whole = contents(filled_once)
    assert {key: whole[key] for key in found["contents"]} == found["contents"]
    assert found["there"] == ["c.npy", "store"]
    kept = belvedere.open(filled_once, mode="r").view("head_contributions")
    np.testing.assert_array_equal(np.load(place.parent / "c.npy"), kept[:])


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_commands_that_read_work_on_a_read_only_device(filled_once: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(filled_once, tmp_path / "store"))
    before = files(store)
    at = ["--store", str(store)]
    reads = [
        ["status", *at],
        ["sql", "SELECT count(*) FROM head_descriptions", "--csv", *at],
        ["show", "photos", *at],
        ["verify", *at],
        ["errors", *at],
        ["plan", "head_contributions", *at],
        ["fill", "head_contributions", *at],
        ["export", "head_contributions", str(tmp_path / "c.npy"), *at],
        ["lineage", "head_contributions", *at],
    ]
    writes = [
        ["fill", "head_roles", *at],
        ["add", "texts", "more", "demo:scenes", *at],
        ["remove", "words", "--yes", *at],
    ]
    found = mounted("read_only", store, json.dumps([*reads, *writes]))
    codes = {words[0]: (code, said) for words, (code, _, said) in zip(reads, found, strict=False)}
    assert {name: code for name, (code, _) in codes.items()} == dict.fromkeys(codes, 0), codes
    refused = found[len(reads) :]
    assert [code for code, _, _ in refused] == [1, 2, 2]
    assert "units of head_roles" in refused[0][2]
    assert all("is read-only here, so" in said for _, _, said in refused[1:])
    assert files(store) == before


def test_what_is_missing_on_a_read_only_device_is_filled_in_memory(
    world: World, filled_once: Path, tmp_path: Path
) -> None:
    store = world.store(tmp_path / "store")
    before = files(store.path)
    found = mounted("in_memory", store.path, 64)
    assert found["filled"] == 7
    query = "SELECT * FROM head_descriptions ORDER BY ALL"
    kept = belvedere.open(filled_once, mode="r").sql(query).fetchall()
    assert found["rows"] == [list(map(str, row)) for row in kept]
    assert files(store.path) == before

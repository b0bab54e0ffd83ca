"""A file or folder is in its place whole, or what was there before is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from belvedere.store.errors import BadDestination, StoreFull
from belvedere.store.placing import check, placed, writing


def zarr_folder(path: Path, said: str) -> Path:
    path.mkdir()
    (path / "zarr.json").write_text(said)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_gets_its_name_at_the_end(tmp_path: Path) -> None:
    with placed(tmp_path / "a.npy", overwrite=False) as partial:
        partial.write_text("new")
        (found,) = names(tmp_path)
        assert found.startswith(".a.npy.")
        assert found.endswith(".part")
    assert names(tmp_path) == ["a.npy"]
    assert (tmp_path / "a.npy").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_what_was_there_is_there_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a.npy").write_text("old")

    def fail() -> None:
        with placed(tmp_path / "a.npy", overwrite=True) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["a.npy"]
    assert (tmp_path / "a.npy").read_text() == "old"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    zarr_folder(tmp_path / "a.zarr", "old")
    with placed(tmp_path / "a.zarr", overwrite=True) as partial:
        zarr_folder(partial, "new")
    assert names(tmp_path) == ["a.zarr"]
    assert (tmp_path / "a.zarr" / "zarr.json").read_text() == "new"


@pytest.mark.parametrize("suffix", [".old", ".zarr"])
def test_a_folder_that_cannot_be_replaced_has_its_name_and_the_new_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    zarr_folder(tmp_path / "a.zarr", "old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix != ".old" and target.suffix == suffix:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)

    def write() -> None:
        with placed(tmp_path / "a.zarr", overwrite=True) as partial:
            zarr_folder(partial, "new")

    with pytest.raises(
        BadDestination, match=r"a\.zarr is as it was, .*: Input/output error; the new copy is"
    ):
        write()
    part, there = names(tmp_path)
    assert (part[:8], part[-5:], there) == (".a.zarr.", ".part", "a.zarr")
    assert [(tmp_path / each / "zarr.json").read_text() for each in (part, there)] == ["new", "old"]


def test_what_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def write() -> None:
        with placed(tmp_path / "a.npy", overwrite=False) as partial:
            partial.write_text("late")
            (tmp_path / "a.npy").write_text("early")

    with pytest.raises(
        BadDestination, match=r"a\.npy is there already; take another name, or overwrite=True"
    ):
        write()
    assert names(tmp_path) == ["a.npy"]
    assert (tmp_path / "a.npy").read_text() == "early"


def test_a_link_that_leads_nowhere_is_something(tmp_path: Path) -> None:
    (tmp_path / "a.npy").symlink_to(tmp_path / "gone")
    with pytest.raises(BadDestination, match="is there already"):
        check(tmp_path / "a.npy", folder=False, overwrite=False)


def test_a_folder_is_no_file_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    (tmp_path / "b.zarr").write_text("x")
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "dog.jpg").write_text("x")
    holds = "is a folder that holds something else, and is not overwritten"
    for name, folder, said in (
        ("a.npy", False, holds),
        ("photos.zarr", True, holds),
        ("b.zarr", True, "is a file"),
    ):
        with pytest.raises(BadDestination, match=said):
            check(tmp_path / name, folder=folder, overwrite=True)


def test_a_place_without_a_folder_or_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDestination, match=r"there is no folder .*nowhere; make it first"):
        check(tmp_path / "nowhere" / "a.npy", folder=False, overwrite=False)
    with pytest.raises(BadDestination, match=r"would take 1,000,000,000\.0 GB, and .* has room for"):
        check(tmp_path / "a.npy", folder=False, overwrite=False, nbytes=10**18)


def test_errors_of_the_device_have_names(tmp_path: Path) -> None:
    with pytest.raises(StoreFull, match=r"no room left to write .*a\.npy"), writing(tmp_path / "a.npy"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(BadDestination, match=r"a\.npy cannot be written: Permission denied"),
        writing(tmp_path / "a.npy"),
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

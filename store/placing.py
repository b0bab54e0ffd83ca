"""Puts a file or folder in its place whole: it is written under another name beside it, and renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BadDestination, BelvedereError, StoreFull

BUNDLE = "bundle.json"
"""The file by which a folder is known as a bundle that was published."""


def check(dest: Path, *, folder: bool, overwrite: bool, nbytes: int = 0) -> None:
    """Refuse a place that cannot take a file (or folder) of so many bytes; `BadDestination` says why."""
    if not dest.parent.is_dir():
        raise BadDestination(f"{dest} cannot be written: there is no folder {dest.parent}; make it first")
    if os.path.lexists(dest):
        if not overwrite:
            raise BadDestination(
                f"{dest} is there already; take another name, or overwrite=True (--overwrite)"
            )
        if dest.is_dir() != folder or (folder and not _is_ours(dest)):
            what = "a folder that holds something else" if dest.is_dir() else "a file"
            raise BadDestination(f"{dest} is {what}, and is not overwritten; take another name")
    free = shutil.disk_usage(dest.parent).free
    if free < nbytes:
        raise BadDestination(
            f"{dest} would take {nbytes / 1e9:,.1f} GB, and {dest.parent} has room for {free / 1e9:,.1f} GB; "
            "export a part of it (--select)"
        )


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder is what is written here: a Zarr array, or a bundle; or empty."""
    written = ("zarr.json", BUNDLE)
    return any((folder / name).is_file() for name in written) or not any(folder.iterdir())


@contextmanager
def placed(dest: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a name to write under; what is there at the end takes its place, and goes away after an error.

    A process that is killed leaves `.NAME.….part` behind, never half of `dest`. A folder takes the place of
    another in two renames: a kill between them leaves nothing under the name, but both beside it, whole: the
    one of before as `.NAME.….old`, the new one as `.NAME.….part`. Where the second rename fails, the one of
    before has its name again, and the new one is kept; the error says where.
    """
    partial = _beside(dest, "part")
    try:
        yield partial
        with writing(dest):
            # again: the writing may have taken long
            check(dest, folder=partial.is_dir(), overwrite=overwrite)
            if not dest.is_dir():
                partial.replace(dest)
    except BaseException:
        _remove(partial)
        raise
    if partial.exists():
        with writing(dest):
            _exchange(partial, dest)


def _exchange(partial: Path, dest: Path) -> None:
    """Put a folder in the place of another."""
    before = _beside(dest, "old")
    try:
        dest.rename(before)
        partial.rename(dest)
    except BaseException as error:
        if before.exists() and not dest.exists():
            before.rename(dest)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise BadDestination(
                f"{dest} is as it was, for it cannot be replaced: {reason}; the new copy is {partial}"
            ) from error
        raise
    _remove(before)


@contextmanager
def writing(dest: Path) -> Iterator[None]:
    """Give the errors of the device the names that this package promises."""
    try:
        yield
    except BelvedereError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull(f"no room left to write {dest}; what was written of it is removed") from error
        reason = error.strerror or str(error)
        raise BadDestination(f"{dest} cannot be written: {reason}") from error


def _beside(dest: Path, what: str) -> Path:
    return dest.with_name(f".{dest.name}.{secrets.token_hex(4)}.{what}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""What is known of the catalogs that a store has published: an object each, named by the file's digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

from ...store.folder import Folder
from ...store.sealed import seal, unseal

CATALOG = "catalog.duckdb"
"""The file that is published, in the folder of the store."""
PREFIX = "published/"
KEPT = 2
"""The objects of so many publications are kept: of the present one, and of the one before."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one table of a catalog."""

    key: str
    """The digest of what its rows follow from."""
    time: str
    """When they were put together, in UTC."""
    rows: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a published catalog holds."""

    nbytes: int
    """Its length."""
    time: str
    """When it was published, in UTC."""
    tables: Mapping[str, Told]
    """Its tables, by name."""

    def to_json(self) -> bytes:
        """Write it as JSON that notices a change of its bytes."""
        return seal(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Publication:
        """Read one; `ValueError` for bytes that are not exactly those that were written."""
        try:
            facts = unseal(data)
            facts["tables"] = {name: Told(**told) for name, told in facts["tables"].items()}
            return cls(**facts)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no publication: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Present:
    """The catalog that lies in the store at the moment, whole as it was published."""

    publication: Publication
    """What it holds."""
    inode: int
    """The file, so that another one in its place is noticed."""


def path_of(sha256: str) -> str:
    """Give where the object of a catalog with these bytes lies."""
    return f"{PREFIX}{sha256}.json"


@contextmanager
def present(folder: Folder) -> Iterator[Present | None]:
    """Find what the catalog of a store holds, and keep the file open, so that no other one takes its inode.

    None where there is none, or one that is not as it was published: each byte is read.
    """
    with ExitStack() as stack:
        try:
            if (folder.root / f"{CATALOG}.wal").exists():  # somebody wrote to it, and was killed
                raise FileNotFoundError
            file = stack.enter_context((folder.root / CATALOG).open("rb"))
            known = Publication.from_json(folder.objects.get(path_of(_digest(file))))
            found = Present(known, os.fstat(file.fileno()).st_ino)
        except (FileNotFoundError, ValueError):
            found = None
        yield found


def digest_of(path: Path) -> str:
    """Give the SHA-256 of a file."""
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def inode(folder: Folder) -> int | None:
    """Tell which file the catalog of a store is at the moment; None where there is none."""
    try:
        return (folder.root / CATALOG).stat().st_ino
    except FileNotFoundError:
        return None


def place(folder: Folder, partial: Path, publication: Publication) -> None:
    """Put a whole catalog in its place; its object is there before it, and at every instant from then on."""
    sha256, mine = digest_of(partial), partial.stat().st_ino
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    path, told = path_of(sha256), publication.to_json()
    folder.objects.put(path, told)
    # a log that somebody's shell has left belongs to the file that goes away, and not to this one
    (folder.root / f"{CATALOG}.wal").unlink(missing_ok=True)
    partial.replace(folder.root / CATALOG)
    _settle(folder.root)
    folder.objects.create(path, told)  # another publisher may have removed it as an old one
    _prune(folder, path, mine)


def _settle(root: Path) -> None:
    """Let the new name of a file outlive a loss of power."""
    number = os.open(root, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _prune(folder: Folder, own: str, mine: int) -> None:
    """Remove the objects of catalogs that are gone, but for the last one.

    Only who published the present catalog removes any. Where another one takes its place meanwhile, whose
    object may be among them, they are put again.
    """
    every = sorted(folder.objects.list(PREFIX), key=lambda info: (info.modified, info.path))
    spare = [info.path for info in every if info.path != own][: 1 - KEPT]
    if inode(folder) != mine:
        return
    removed: dict[str, bytes] = {}
    for path in spare:
        with suppress(FileNotFoundError):
            removed[path] = folder.objects.get(path)
            folder.objects.delete(path)
    if inode(folder) != mine:
        for path, data in removed.items():
            folder.objects.create(path, data)

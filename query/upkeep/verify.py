"""Reads everything that a store keeps, and says what of it is not as it was written."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...compute.images.pictures import Pictures
from ...compute.running.report import Progress
from ...store import digest, marker
from ...store.errors import DamagedObject, DamagedUnit, UnknownName
from ...store.folder import Folder
from ...store.imports import PARTS, is_part_whole
from ...store.objects import CHANGED, Objects
from ...store.records import Record
from ...store.registry import Registry
from ..engine import Engine
from ..progress import teller

APART = frozenset({"units", "data", "claims", "damaged"})
"""Folders whose JSON is not sealed, or is read with the unit that it belongs to."""
ASIDE = frozenset({"failures", "runs"})
"""Folders of which what is damaged is set aside: nothing that is computed depends on it."""
DERIVED = frozenset({"memos", "summaries", "uses"})
"""Folders of which what is damaged is removed: it is made again where it is missing."""
CATALOG = "catalog.duckdb"
"""The published catalog; the names of the facts below `published/` are digests that it had."""
PIECE = 1 << 26
"""Bytes of the catalog that are read at once."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not as it was written."""

    view: str
    """The view whose unit it belongs to; for all else the folder, such as `sets` or `names`, or `store`.

    `models` and `images` stand for checkpoints and image files, which a deep verification reads."""
    unit: str
    """The unit's key, what else the object was kept under, or the name of a model or an image set."""
    path: str
    """The object."""
    what: str
    """What is wrong with it."""

    @property
    def remedy(self) -> str:
        """What was done about it, or is to be done."""
        return REMEDIES.get(self.view, "the unit counts as missing: belvedere fill computes it again")


REMEDIES = {
    "store": "put the belvedere.json of another store that this version made in its place",
    "names": "add the name again with --replace, or belvedere remove takes it back",
    "sets": "add the images or texts again with --replace",
    "pictures": "add the images again with --replace",
    "imports": "import the file again (belvedere import labels), or belvedere remove import takes it away",
    "recipes": "belvedere fill, for the view and the names in its path, writes it again",
    "failures": "set aside: the next fill tries again what failed there",
    "runs": "set aside: the table runs lacks that run",
    "published": "belvedere publish renews it",
    "summaries": "removed: it is made again when it is needed",
    "memos": "removed: it is made, or asked and paid for, again when it is needed",
    "uses": "removed: the unit counts as not used lately",
    "models": "put the checkpoint back, or add the model again with --replace",
    "images": "put the file back, or add the image set again: what follows from it is then stale",
}
"""What to do about damage, by what it is damage to; for all else, see `Damage.remedy`."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found."""

    units: int
    """Units whose objects were read."""
    bytes: int
    """Bytes of their data that were read."""
    damage: tuple[Damage, ...]
    """What is not as it was written; units among it count as missing now, unless the store is only read."""
    others: int = 0
    """Other objects of the store that were read: names, lists, pictures, recipes and so on."""
    images: int = 0
    """Image files that were read (deep)."""
    models: int = 0
    """Models whose checkpoints were read (deep)."""


def verify_at(root: Path, *, deep: bool, progress: bool | Progress) -> Verified:
    """Verify a store by its folder, even where its marker is damaged; a read-only one is only read.

    Raises `NotAStore`, and `NewerFormat` or `OlderFormat` for a store of another version's format.
    """
    mode: marker.Mode = "a" if marker.writable(root) else "r"
    with suppress(DamagedObject):  # listed with all the rest
        marker.check(root, mode)
    return verify(Engine(root, mode), deep=deep, progress=progress)


def verify(engine: Engine, *, deep: bool = False, progress: bool | Progress = False) -> Verified:
    """Read all that is kept, and where `deep` what it was made from; see `Store.verify`."""
    told = teller(progress)
    folder = engine.folder
    try:
        kept = _Kept(folder, told)
        found = {each.path: each for each in kept.damage()}
        images = models = 0
        if deep:
            from .verify_deep import Deep

            deeper = Deep(engine, kept.records, told)
            found = {**{each.path: each for each in deeper.damage()}, **found}
            images, models = deeper.images, deeper.models
    finally:
        told.end()
    damage = tuple(sorted(found.values(), key=lambda each: (each.view, each.path)))
    _put_away(folder, damage)
    return Verified(
        kept.units, sum(each.nbytes for each in kept.records.values()), damage, kept.others, images, models
    )


class _Kept:
    """Reads what a store keeps, each object once."""

    def __init__(self, folder: Folder, told: Progress) -> None:
        self._folder, self._objects, self._told = folder, folder.objects, told
        self._names = Registry(folder.objects)  # one that remembers nothing
        self._paths = sorted(info.path for info in folder.objects.list(""))
        self.records: dict[str, Record] = {}
        self.units, self.others = 0, 0

    def damage(self) -> Iterator[Damage]:
        """List what is not as it was written; an object may come twice."""
        below: dict[str, list[str]] = {}
        for path in self._paths:
            below.setdefault(path.split("/")[0], []).append(path)
        rest = [path for top, paths in below.items() if top not in APART for path in paths]
        self._told.begin(len(below.get("units", [])) + len(rest), "what is kept")
        yield from self._units(below.get("units", []))
        yield from self._recipes(set(below.get("recipes", [])))
        yield from self._sets()
        yield from self._imports()
        for path in rest:
            with suppress(FileNotFoundError):  # another process took it away after the listing
                yield from self._other(path)
            self._told.advance(1)

    def _units(self, paths: Iterable[str]) -> Iterator[Damage]:
        for path in paths:
            view, key = path.split("/")[1], _stem(path)
            self._told.advance(1)
            try:
                record = self._folder.records.read(path)
            except FileNotFoundError:  # another process set it aside after the listing
                continue
            except DamagedUnit as error:
                bad = list(error.objects)
            else:
                bad = self._folder.records.check(path, record)
                self.records[path] = record
            self.units += 1
            yield from (Damage(view, key, *each.split(": ", 1)) for each in bad)

    def _recipes(self, there: set[str]) -> Iterator[Damage]:
        """Find recipes that are gone: they are put before the first unit, and say what it belongs to."""
        known = {
            "model": set(self._names.models()),
            "image_set": set(self._names.image_sets()),
            "text_set": set(self._names.text_sets()),
        }
        told = {tuple(path.split("/")[1:2] + path.split("/")[-1:]) for path in there}
        for path, record in self.records.items():
            _, view, recipe, _ = path.split("/")
            if (view, f"{recipe}.json") in told:  # perhaps by other names, as in the store it was pulled from
                continue
            covers = {column: record.covers[column] for column in known if record.covers.get(column)}
            names = {c: each["name"] if isinstance(each, dict) else each for c, each in covers.items()}
            wanted = "/".join(["recipes", view, *names.values(), f"{recipe}.json"])
            registered = all(name in known[column] for column, name in names.items())
            if registered and wanted not in there and not self._objects.exists(wanted):
                yield Damage("recipes", recipe, wanted, "removed")

    def _sets(self) -> Iterator[Damage]:
        """Find lists and pictures that names stand for, and that are gone or damaged."""
        pictures = Pictures(self._objects)
        for kind, name in _named(self._names):
            try:
                found = self._names.image_set(name) if kind == "images" else self._names.text_set(name)
                gone = pictures.gone(found.entries) if kind == "images" else []
            except DamagedObject as error:
                yield Damage(error.path.split("/")[0], _stem(error.path), error.path, error.what)
            except UnknownName:  # another process removed it after the listing
                continue
            else:
                yield from (Damage("pictures", _stem(path), path, "removed") for path in gone)

    def _imports(self) -> Iterator[Damage]:
        """Find parts of imports that are gone; a record that changed is found where all objects are read."""
        there = set(self._paths)
        for key in self._folder.imports.listed():
            with suppress(DamagedObject, UnknownName):
                for path in self._folder.imports.read(key).parts.values():
                    if path not in there and not self._objects.exists(path):
                        yield Damage("imports", key, path, "removed")

    def _other(self, path: str) -> Iterator[Damage]:
        """Read one object that belongs to no unit."""
        top = path.split("/")[0]
        view, what = ("store" if path == marker.MARKER else top), None
        if top in ("sets", "pictures") or path.endswith(".png"):
            what = None if digest.of_bytes(self._objects.get(path)) == _stem(path) else CHANGED
        elif path.startswith(PARTS):
            what = None if is_part_whole(path, self._objects.get(path)) else CHANGED
        elif path == CATALOG:
            view = "published"
            again = (self._objects.exists(f"published/{_digest(self._objects, path)}.json") for _ in range(2))
            what = None if any(again) else CHANGED  # it may have been replaced while it was read
        elif path.endswith(".json"):
            what = self._sealed(path, top)
        else:
            return
        self.others += 1
        if what is not None:
            yield Damage(view, _stem(path), path, what)

    def _sealed(self, path: str, top: str) -> str | None:
        """Say what is wrong with an object that is sealed."""
        try:
            facts = self._objects.get_sealed(path, "")
        except DamagedObject as error:
            return error.what
        if top == "recipes" and digest.key_of(facts) != _stem(path):
            return "it is another recipe"
        if top == "imports" and facts.get("key") != _stem(path):
            return "it is another import"
        return None


def _named(names: Registry) -> Iterator[tuple[str, str]]:
    yield from (("images", name) for name in names.image_sets())
    yield from (("texts", name) for name in names.text_sets())


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".")[0]


def _digest(objects: Objects, path: str) -> str:
    """Digest an object piece by piece."""
    total, size = hashlib.sha256(), objects.size(path)
    for start in range(0, size, PIECE):
        total.update(objects.get_range(path, start, min(size, start + PIECE)))
    return total.hexdigest()


def _put_away(folder: Folder, damage: Iterable[Damage]) -> None:
    """Set aside or remove what is damaged and nothing depends on; what a name stands for by now stays."""
    if not folder.writable:
        return
    for each in damage:
        if each.view in DERIVED:
            folder.objects.delete(each.path)
        elif each.view in ASIDE or (each.view == "names" and _is_superseded(folder, each.path)):
            stem = each.path.removesuffix(".json")
            folder.objects.rename(each.path, f"damaged/{stem}.{secrets.token_hex(4)}.json")


def _is_superseded(folder: Folder, path: str) -> bool:
    """Tell whether a name has a later version than this, so that nobody reads this one."""
    versions = folder.objects.names(path.rsplit("/", 1)[0] + "/")
    return _stem(path) != max(versions)

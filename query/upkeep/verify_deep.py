"""Reads again what a store was made from, and makes of what it keeps what a reader would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...compute.images.pictures import GONE, KEPT, Pictures
from ...compute.models.model_files import first_line
from ...compute.running.report import Progress
from ...compute.views import all_views
from ...store import arrays, digest, parts
from ...store.errors import BadSource, BelvedereError, DamagedObject, UnknownName, WeightsChanged
from ...store.records import Record, folder_of
from ...store.sets import ImageSet, Model, TextSet
from ...store.views import View
from ..engine import Engine
from ..sql.combinations import instances
from .verify import Damage

LOCAL = "local-dir:"
"""What a source has in it that names a folder with a model."""


class Deep:
    """What a store was made from, and what its units give."""

    def __init__(self, engine: Engine, records: Mapping[str, Record], told: Progress) -> None:
        """Take the store, the records whose objects are as they were written, and what is told."""
        self._engine, self._records, self._told = engine, records, told
        self._names = engine.folder.names
        self.images, self.models = 0, 0

    def damage(self) -> Iterator[Damage]:
        """List files that changed or are gone, and units that do not follow from what they cover."""
        yield from self._units()
        yield from self._keys()
        yield from self._files()
        yield from self._checkpoints()

    def _units(self) -> Iterator[Damage]:
        """Decode all arrays and tables."""
        self._told.begin(len(self._records), "decoding units")
        for path, record in self._records.items():
            _, view, _, file = path.split("/")
            data: dict[str, bytes] = {}
            with suppress(FileNotFoundError):  # listed already
                for kept in record.objects:
                    data[kept.path] = self._engine.folder.objects.get(f"{record.attempt}/{kept.path}")
                for name, what in _undecoded(data):
                    yield Damage(view, file.removesuffix(".json"), f"{record.attempt}/{name}", what)
            self._told.advance(1)

    def _keys(self) -> Iterator[Damage]:
        """Compare the keys of units with what the views make of the contents that these cover."""
        below: dict[str, dict[str, Record]] = {}
        for path, record in self._records.items():
            below.setdefault(path.rpartition("/")[0] + "/", {})[path] = record
        for view in self._known():
            there = below.get(folder_of(view), {})
            spots = {_spot(view, unit.start, unit.stop): unit.key for unit in view.units} if there else {}
            for path, record in there.items():
                key = spots.get(digest.of_facts({**record.covers}))
                if key not in (None, record.unit):
                    yield Damage(view.name(), record.unit, path, f"the key of what it covers is {key}")

    def _known(self) -> Iterator[View]:
        """Give the views of what is registered; those of a name that is damaged cannot be made."""
        for cls in all_views().values():
            with suppress(BelvedereError):
                yield from instances(self._engine, cls)

    def _files(self) -> Iterator[Damage]:
        """Read every file of a picture or a mask, of every set."""
        pictures = Pictures(self._engine.folder.objects)
        wanted: dict[tuple[str, str], str] = {}
        for name in self._names.image_sets():
            with suppress(DamagedObject, UnknownName):
                images = self._names.image_set(name)
                rows = images.entries.select(["path", "digest"]).to_pylist()
                wanted |= {(row["path"], row["digest"]): name for row in rows}
                wanted |= {each: name for each in images.masks if each is not None}
        left = [each for each in wanted if each[1] != GONE and not each[0].startswith(KEPT)]
        self._told.begin(len(left), "image files")
        for path, sha256 in left:
            self.images += 1
            try:
                if digest.of_bytes(pictures.read(path)) != sha256:
                    yield Damage("images", wanted[path, sha256], path, "other bytes than when it was added")
            except FileNotFoundError:
                yield Damage("images", wanted[path, sha256], path, "removed")
            except (OSError, BadSource, ValueError) as error:
                yield Damage("images", wanted[path, sha256], path, f"cannot be read: {error}")
            self._told.advance(1)

    def _checkpoints(self) -> Iterator[Damage]:
        """Load every model that names a file or a folder, and digest its weights."""
        found: list[Model] = []
        for name in self._names.models():
            with suppress(DamagedObject, UnknownName):
                found.append(self._names.model(name))
        local = [model for model in found if model.checkpoint is not None or LOCAL in model.source]
        self._told.begin(len(local), "checkpoints")
        for model in local:
            self.models += 1
            path = model.checkpoint or model.source.partition(LOCAL)[2]
            try:
                _compare(model)
            except (WeightsChanged, BadSource, OSError) as error:
                yield Damage("models", model.name, path, str(error))
            self._told.advance(1)


def _compare(model: Model) -> None:
    from ...compute.models import loaded, sources

    found = sources.find(model.source, model.checkpoint)
    loaded.compare(model, found, found.build("float32"))


def _spot(view: View, start: int, stop: int) -> str:
    """Give the digest of what the record of a unit would say that it covers."""
    covers: dict[str, Any] = {"axis": view.axis, "start": start, "stop": stop}
    for source in view.sources():
        if isinstance(source, ImageSet | TextSet):
            facts = {"name": source.name, "count": len(source), "contents": source.all_contents}
            covers[source.column] = facts
        else:
            covers[source.column] = source.name
    return digest.of_facts(covers)


def _undecoded(data: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """List the arrays and tables among a unit's objects that cannot be decoded."""
    for name, content in data.items():
        try:
            if name.endswith(".parquet"):
                parts.decode(content)
            elif name.endswith("/zarr.json"):
                arrays.decode(data, name.removesuffix("zarr.json"))
        except Exception as error:  # whatever zarr or Arrow raise for bytes that are none of theirs
            yield name, f"does not decode: {first_line(error)}"

"""What the names of models, image sets and text sets stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from . import digest
from .errors import BadName, NameTaken, StoreError, UnknownName
from .objects import Objects
from .parts import schema
from .sets import ImageSet, Model, Module, TextSet, TowerShape

Kind = Literal["models", "images", "texts"]
"""What names stand for, as the folders of names call it."""
_COMMANDS: dict[Kind, str] = {"models": "model", "images": "images", "texts": "texts"}
_SAID: dict[Kind, str] = {"models": "model", "images": "image set", "texts": "text set"}
_REMOVED = "removed"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

IMAGE_ENTRIES = schema(
    {
        "image_id": "int64",
        "path": "string",
        "digest": "string",
        "width": "int32",
        "height": "int32",
        "label": "string",
        "grp": "string",
        "size": "int64",
        "modified": "int64",
    }
)
"""The columns of an image set: size in bytes, `modified` in nanoseconds; width null where unreadable."""

TEXT_ENTRIES = schema({"text_id": "int64", "text": "string", "category": "string"})
"""The columns of a text set."""


class Registry:
    """The names of one store.

    A name is a small object that points to contents. Each new meaning is a further version of it, put if
    absent, so that of two processes that change a name at once one looks again. That a name is removed is
    one more version, too.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: dict[tuple[str, bytes], Any] = {}
        self._facts: dict[str, bytes] = {}

    def models(self) -> list[str]:
        """List the names of models."""
        return self.names("models")

    def image_sets(self) -> list[str]:
        """List the names of image sets."""
        return self.names("images")

    def text_sets(self) -> list[str]:
        """List the names of text sets."""
        return self.names("texts")

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind that are not removed."""
        latest: dict[str, int] = {}
        for info in self._objects.list(f"names/{kind}/"):
            *_, name, version = info.path.removesuffix(".json").split("/")
            latest[name] = max(latest.get(name, 0), int(version))
        return sorted(name for name, version in latest.items() if not self._removed(kind, name, version))

    def has(self, kind: Kind, name: str) -> bool:
        """Tell whether a name stands for something."""
        version = self.version(kind, name) if _NAME.fullmatch(name) else 0
        return bool(version) and not self._removed(kind, name, version)

    def model(self, name: str) -> Model:
        """Give the model of a name; `UnknownName` with the nearest one."""
        data = self._read("models", name)
        if ("models", data) not in self._seen:
            self._seen["models", data] = _model(json.loads(data))
        model: Model = self._seen["models", data]
        return model

    def image_set(self, name: str) -> ImageSet:
        """Give the image set of a name; `UnknownName` with the nearest one."""
        data = self._read("images", name)
        if ("images", data) not in self._seen:
            facts = json.loads(data)
            self._seen["images", data] = ImageSet(
                name, facts["source"], self._table(facts["entries"]), _formerly(facts)
            )
        images: ImageSet = self._seen["images", data]
        return images

    def text_set(self, name: str) -> TextSet:
        """Give the text set of a name; `UnknownName` with the nearest one."""
        data = self._read("texts", name)
        if ("texts", data) not in self._seen:
            facts = json.loads(data)
            self._seen["texts", data] = TextSet(
                name, facts["source"], self._table(facts["entries"]), _formerly(facts)
            )
        texts: TextSet = self._seen["texts", data]
        return texts

    def version(self, kind: Kind, name: str) -> int:
        """Tell how often a name was given a meaning or removed; 0 where it never had one."""
        return max((int(each) for each in self._objects.names(f"names/{kind}/{name}/")), default=0)

    def put_model(self, model: Model, after: int) -> bool:
        """Let a name stand for a model; False where it has another version than `after` by now."""
        return self._again("models", model.name, after, asdict(model))

    def put_image_set(self, images: ImageSet, after: int) -> bool:
        """Let a name stand for a set of images; False where it has another version than `after` by now."""
        facts = {"name": images.name, "source": images.source, "entries": self._keep(images.entries)}
        return self._again("images", images.name, after, facts)

    def put_text_set(self, texts: TextSet, after: int) -> bool:
        """Let a name stand for a set of texts; False where it has another version than `after` by now."""
        facts = {"name": texts.name, "source": texts.source, "entries": self._keep(texts.entries)}
        return self._again("texts", texts.name, after, facts)

    def remove(self, kind: Kind, name: str) -> None:
        """Let a name stand for nothing; `UnknownName` where it does not stand for anything."""
        while True:
            after = self.version(kind, name)
            self._read(kind, name)
            if self._put(kind, name, after, {_REMOVED: True}):
                return

    def rename(self, kind: Kind, old: str, new: str, follow: Callable[[], None]) -> None:
        """Let a new name stand for what an old one does, and the old one for nothing.

        At every instant one of the two stands for it, and an addition to the old name by another process
        is taken along. `follow` is called after the new name stands and before the old one goes.

        Raises `UnknownName` where the old name stands for nothing, and `NameTaken` where the new one
        stands for something.
        """
        mine = 0
        while True:
            before, after = self.version(kind, old), self.version(kind, new)
            if mine and not self.has(kind, old):  # another process removed it meanwhile
                return
            facts = json.loads(self._read(kind, old))
            if after != mine and self.has(kind, new):
                raise NameTaken(f"{_SAID[kind]} {new!r} is there already; take another name, or remove it")
            formerly = [*_formerly(facts), old]
            if self._put(kind, new, after, {**facts, "name": new, "formerly": formerly}):
                mine = after + 1
                follow()
                if self._put(kind, old, before, {_REMOVED: True}):
                    return

    def _read(self, kind: Kind, name: str) -> bytes:
        version = self.version(kind, name) if _NAME.fullmatch(name) else 0
        if not version or self._removed(kind, name, version):
            hint = f"belvedere add {_COMMANDS[kind]} registers one"
            raise UnknownName(_SAID[kind], name, self.names(kind), hint)
        return self._version(kind, name, version)

    def _version(self, kind: Kind, name: str, version: int) -> bytes:
        """Read one version of a name, once: it never changes."""
        path = _path(kind, name, version)
        if path not in self._facts:
            self._facts[path] = self._objects.get(path)
        return self._facts[path]

    def _removed(self, kind: Kind, name: str, version: int) -> bool:
        """Tell whether a version of a name says that it is removed, which the first never does."""
        return version > 1 and _REMOVED in json.loads(self._version(kind, name, version))

    def _again(self, kind: Kind, name: str, after: int, facts: dict[str, Any]) -> bool:
        """Put a further version of a name, which remembers what it was called before."""
        before = json.loads(self._version(kind, name, after)) if after else {}
        return self._put(kind, name, after, {**facts, "formerly": _formerly(before)})

    def _put(self, kind: Kind, name: str, after: int, facts: Any) -> bool:
        content = json.dumps(facts, ensure_ascii=False, indent=1).encode()
        return self._objects.create(_path(kind, name, after + 1), content)

    def _keep(self, entries: pa.Table) -> str:
        """Keep a table under the digest of its bytes, and give that."""
        sink = pa.BufferOutputStream()
        pq.write_table(entries, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        key = digest.of_bytes(data)
        self._objects.put(f"sets/{key}.parquet", data)
        return key

    def _table(self, key: str) -> pa.Table:
        data = self._objects.get(f"sets/{key}.parquet")
        if digest.of_bytes(data) != key:
            raise StoreError(
                f"sets/{key}.parquet is damaged; add the images or texts again with replace=True (--replace)"
            )
        return pq.read_table(pa.BufferReader(data))

    def damaged_sets(self) -> list[str]:
        """Read all sets that were ever added; list the objects that are not as they were written."""
        paths = sorted(info.path for info in self._objects.list("sets/"))
        return [path for path in paths if f"sets/{digest.of_bytes(self._objects.get(path))}.parquet" != path]


def _path(kind: Kind, name: str, version: int) -> str:
    return f"names/{kind}/{name}/{version:06}.json"


def _formerly(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(facts.get("formerly", ()))


def _model(facts: dict[str, Any]) -> Model:
    """Make a model again of what `asdict` made of it."""
    tower = facts["tower"] and TowerShape(**facts["tower"])
    modules = {
        name: Module(**{**module, "shape": tuple(module["shape"])})
        for name, module in facts["modules"].items()
    }
    return Model(**{**facts, "tower": tower, "modules": modules, "formerly": _formerly(facts)})


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could not stand in a path or a command line; `BadName` says what can."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name!r} cannot name {kind}: a name has letters, digits, '_', '-' and '.', at most 100, "
            "and starts with a letter, a digit or '_'"
        )

"""What the names of models, image sets and text sets stand for."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import digest
from .errors import BadName, StoreError, UnknownName
from .objects import Objects
from .parts import schema
from .sets import ImageSet, Model, TextSet, TowerShape

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
"""The columns of an image set; `modified` in nanoseconds, width and height null where unreadable."""

TEXT_ENTRIES = schema({"text_id": "int64", "text": "string", "category": "string"})
"""The columns of a text set."""


class Registry:
    """The names of one store. A name is a small object that points to contents."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: dict[tuple[str, bytes], Any] = {}

    def models(self) -> list[str]:
        """List the names of models."""
        return sorted(self._objects.names("names/models/"))

    def image_sets(self) -> list[str]:
        """List the names of image sets."""
        return sorted(self._objects.names("names/images/"))

    def text_sets(self) -> list[str]:
        """List the names of text sets."""
        return sorted(self._objects.names("names/texts/"))

    def model(self, name: str) -> Model:
        """Give the model of a name; `UnknownName` with the nearest one."""
        data = self._read("models", "model", name, self.models)
        facts = json.loads(data)
        made = Model(**{**facts, "shape": TowerShape(**facts["shape"])})
        model: Model = self._seen.setdefault(("models", data), made)
        return model

    def image_set(self, name: str) -> ImageSet:
        """Give the image set of a name; `UnknownName` with the nearest one."""
        data = self._read("images", "image set", name, self.image_sets)
        if ("images", data) not in self._seen:
            facts = json.loads(data)
            self._seen["images", data] = ImageSet(name, facts["source"], self._table(facts["entries"]))
        images: ImageSet = self._seen["images", data]
        return images

    def text_set(self, name: str) -> TextSet:
        """Give the text set of a name; `UnknownName` with the nearest one."""
        data = self._read("texts", "text set", name, self.text_sets)
        if ("texts", data) not in self._seen:
            facts = json.loads(data)
            self._seen["texts", data] = TextSet(name, facts["source"], self._table(facts["entries"]))
        texts: TextSet = self._seen["texts", data]
        return texts

    def put_model(self, model: Model) -> None:
        """Let a name stand for a model."""
        self._put("models", model.name, asdict(model))

    def put_image_set(self, images: ImageSet) -> None:
        """Let a name stand for a set of images."""
        facts = {"name": images.name, "source": images.source, "entries": self._keep(images.entries)}
        self._put("images", images.name, facts)

    def put_text_set(self, texts: TextSet) -> None:
        """Let a name stand for a set of texts."""
        facts = {"name": texts.name, "source": texts.source, "entries": self._keep(texts.entries)}
        self._put("texts", texts.name, facts)

    def _read(self, folder: str, kind: str, name: str, known: Any) -> bytes:
        if _NAME.fullmatch(name):
            try:
                return self._objects.get(f"names/{folder}/{name}.json")
            except FileNotFoundError:
                pass
        raise UnknownName(kind, name, known(), f"belvedere add {folder} registers one")

    def _put(self, folder: str, name: str, facts: Any) -> None:
        content = json.dumps(facts, sort_keys=True, ensure_ascii=False, indent=1).encode()
        self._objects.put(f"names/{folder}/{name}.json", content)

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


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could not stand in a path or a command line; `BadName` says what can."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name!r} cannot name {kind}: a name has letters, digits, '_', '-' and '.', at most 100, "
            "and starts with a letter, a digit or '_'"
        )

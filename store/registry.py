"""What the names of models, image sets and text sets stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from . import digest, parts
from .errors import BadName, DamagedObject, NameTaken, UnknownName
from .objects import CHANGED, Objects
from .sealed import seal
from .sets import (
    MASK,
    Captioner,
    Clip,
    ImageSet,
    Instrument,
    Judge,
    Language,
    Model,
    Module,
    NamedTexts,
    Painter,
    TextSet,
    TowerShape,
)

Kind = Literal["models", "images", "texts", "captioners", "languages", "painters", "judges", "declared"]
"""What names stand for, as the folders of names call it."""
_COMMANDS: dict[Kind, str] = {
    "models": "add model",
    "images": "add images",
    "texts": "add texts",
    "captioners": "add captioner",
    "languages": "add language",
    "painters": "add painter",
    "judges": "add judge",
    "declared": "declare",
}
SAID: dict[Kind, str] = {
    "models": "model",
    "images": "image set",
    "texts": "text set",
    "captioners": "captioner",
    "languages": "language model",
    "painters": "painter",
    "judges": "judge",
    "declared": "declared view",
}
"""What names stand for, in words."""
INSTRUMENTS: Mapping[type[Instrument], Kind] = MappingProxyType(
    {Captioner: "captioners", Language: "languages", Painter: "painters", Judge: "judges"}
)
"""The folder of names of each kind of instrument."""
_REMOVED = "removed"
_VERSION = re.compile(r"/([^/]+)/(\d+)\.json$")
"""A version of a name; whatever else lies there, from a file manager perhaps, is none."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

Kept = TypeVar("Kept", bound=Instrument)
N = TypeVar("N", bound=NamedTexts)

IMAGE_ENTRIES = parts.schema(
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


def image_entries(masks: bool) -> pa.Schema:
    """Give the columns of an image set: with those of masks where some of its images have one."""
    return (
        pa.schema([*IMAGE_ENTRIES, *parts.schema(dict.fromkeys(MASK, "string"))]) if masks else IMAGE_ENTRIES
    )


TEXT_ENTRIES = parts.schema({"text_id": "int64", "text": "string", "category": "string"})
"""The columns of a text set."""


class Registry:
    """The names of one store.

    A name is a small object that points to contents. Each new meaning is a further version of it, put if
    absent, so that of two processes that change a name at once one looks again. That a name is removed is
    one more version, too. A name whose latest version is damaged is listed, and `DamagedObject` says what to
    do where it is read: it never stands for what it did before.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: dict[str, Any] = {}
        self._made: dict[tuple[Kind, str], Any] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._clips: dict[str, tuple[Model, Clip]] = {}
        self._named_texts: dict[tuple[type[NamedTexts], str], tuple[TextSet, NamedTexts]] = {}

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
            if found := _VERSION.search(info.path):
                latest[found[1]] = max(latest.get(found[1], 0), int(found[2]))
        return sorted(name for name, version in latest.items() if not self._removed(kind, name, version))

    def has(self, kind: Kind, name: str) -> bool:
        """Tell whether a name stands for something."""
        version = self.version(kind, name) if _NAME.fullmatch(name) else 0
        return bool(version) and not self._removed(kind, name, version)

    def model(self, name: str) -> Model:
        """Give the model of a name; `UnknownName` with the nearest one."""
        model: Model = self._once("models", name, _model)
        return model

    def clip(self, name: str) -> Clip:
        """Give the model of a name as one by which pictures and words are compared."""
        if name not in self._clips or self._clips[name][0] is not self.model(name):
            model = self.model(name)
            self._clips[name] = (
                model,
                Clip(**{each.name: getattr(model, each.name) for each in fields(model)}),
            )
        return self._clips[name][1]

    def instrument(self, kind: type[Kept], name: str) -> Kept:
        """Give the captioner, language model or painter of a name; `UnknownName` with the nearest one."""

        def make(facts: dict[str, Any]) -> Kept:
            known = {key: facts[key] for key in ("source", "facts", "precision")}
            return kind(name=name, formerly=_formerly(facts), **known)

        found: Kept = self._once(INSTRUMENTS[kind], name, make)
        return found

    def put_instrument(self, each: Instrument, after: int) -> bool:
        """Let a name stand for an instrument; False where it has another version than `after` by now."""
        facts = {"name": each.name, "source": each.source, "facts": dict(each.facts)}
        kind = INSTRUMENTS[type(each)]
        return self._again(kind, each.name, after, {**facts, "precision": each.precision})

    def image_set(self, name: str) -> ImageSet:
        """Give the image set of a name; `UnknownName` with the nearest one."""

        def make(facts: dict[str, Any]) -> ImageSet:
            return ImageSet(name, facts["source"], self._table(facts["entries"]), _formerly(facts))

        images: ImageSet = self._once("images", name, make)
        return images

    def text_set(self, name: str) -> TextSet:
        """Give the text set of a name; `UnknownName` with the nearest one."""

        def make(facts: dict[str, Any]) -> TextSet:
            return TextSet(name, facts["source"], self._table(facts["entries"]), _formerly(facts))

        texts: TextSet = self._once("texts", name, make)
        return texts

    def named_texts(self, kind: type[N], name: str) -> N:
        """Give the text set of a name as the value of a parameter: as references, or as classes."""
        texts = self.text_set(name)
        if (kind, name) not in self._named_texts or self._named_texts[kind, name][0] is not texts:
            found = kind(texts.name, texts.source, texts.entries, texts.formerly)
            self._named_texts[kind, name] = (texts, found)
        named: N = self._named_texts[kind, name][1]  # type: ignore[assignment]  # it is kept by its kind
        return named

    def declared(self, name: str) -> dict[str, Any] | None:
        """Give what a name was declared as, in plain facts; None where it was not."""
        if not self.has("declared", name):
            return None
        facts = {key: value for key, value in self._read("declared", name)[1].items() if key != "formerly"}
        return facts

    def version(self, kind: Kind, name: str) -> int:
        """Tell how often a name was given a meaning or removed; 0 where it never had one."""
        there = self._objects.names(f"names/{kind}/{name}/")
        return max((int(each) for each in there if each.isdecimal()), default=0)

    def put_model(self, model: Model, after: int) -> bool:
        """Let a name stand for a model; False where it has another version than `after` by now."""
        both = {"modules": model.modules, "text_modules": model.text_modules}
        listed = {key: [[name, asdict(each)] for name, each in of.items()] for key, of in both.items()}
        return self._again("models", model.name, after, {**asdict(model), **listed})  # in their order

    def put_image_set(self, images: ImageSet, after: int) -> bool:
        """Let a name stand for a set of images; False where it has another version than `after` by now."""
        facts = {"name": images.name, "source": images.source, "entries": self._keep(images.entries)}
        return self._again("images", images.name, after, facts)

    def put_text_set(self, texts: TextSet, after: int) -> bool:
        """Let a name stand for a set of texts; False where it has another version than `after` by now."""
        facts = {"name": texts.name, "source": texts.source, "entries": self._keep(texts.entries)}
        return self._again("texts", texts.name, after, facts)

    def put_declared(self, name: str, facts: dict[str, Any], after: int) -> bool:
        """Let a name stand for a declaration; False where it has another version than `after` by now."""
        return self._again("declared", name, after, facts)

    def remove(self, kind: Kind, name: str) -> None:
        """Let a name stand for nothing; `UnknownName` where it does not stand for anything."""
        while True:
            after = self.version(kind, name)
            if not self.has(kind, name):
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
            _, facts = self._read(kind, old)
            if after != mine and self.has(kind, new):
                raise NameTaken(f"{SAID[kind]} {new!r} is there already; take another name, or remove it")
            formerly = [*_formerly(facts), old]
            if self._put(kind, new, after, {**facts, "name": new, "formerly": formerly}):
                mine = after + 1
                follow()
                if self._put(kind, old, before, {_REMOVED: True}):
                    return

    def _once(self, kind: Kind, name: str, make: Callable[[dict[str, Any]], Any]) -> Any:
        """Make what a name stands for, or give what was made of the same facts before."""
        path, facts = self._read(kind, name)
        if path not in self._seen:
            known = (kind, digest.of_facts(facts))
            if known not in self._made:
                self._made[known] = make(facts)
            self._seen[path] = self._made[known]
        return self._seen[path]

    def _read(self, kind: Kind, name: str) -> tuple[str, dict[str, Any]]:
        """Read what a name stands for, with the path that it was read from."""
        version = self.version(kind, name) if _NAME.fullmatch(name) else 0
        if not version or self._removed(kind, name, version):
            hint = f"belvedere {_COMMANDS[kind]} registers one"
            raise UnknownName(SAID[kind], name, self.names(kind), hint)
        return _path(kind, name, version), self._version(kind, name, version)

    def _version(self, kind: Kind, name: str, version: int) -> dict[str, Any]:
        """Read one version of a name, once: it never changes."""
        path = _path(kind, name, version)
        if path not in self._facts:
            way, end = ("declare", "drop") if kind == "declared" else ("add", "remove")
            what = f"the {SAID[kind]} {name!r}"
            remedy = f"{way} {what} again with replace=True (--replace), or belvedere {end} it"
            self._facts[path] = self._objects.get_sealed(path, remedy)
        return self._facts[path]

    def _removed(self, kind: Kind, name: str, version: int) -> bool:
        """Tell whether a version of a name says that it is removed, which the first never does."""
        with suppress(DamagedObject):
            return version > 1 and _REMOVED in self._version(kind, name, version)
        return False

    def _again(self, kind: Kind, name: str, after: int, facts: dict[str, Any]) -> bool:
        """Put a further version of a name, which remembers what it was called before."""
        return self._put(kind, name, after, {**facts, "formerly": self._called(kind, name, after)})

    def _called(self, kind: Kind, name: str, version: int) -> tuple[str, ...]:
        """Give what a name was called before; each version that is not damaged knows."""
        for each in range(version, 0, -1):
            with suppress(DamagedObject, FileNotFoundError):
                return _formerly(self._version(kind, name, each))
        return ()

    def _put(self, kind: Kind, name: str, after: int, facts: Any) -> bool:
        return self._objects.create(_path(kind, name, after + 1), seal(facts))

    def _keep(self, entries: pa.Table) -> str:
        """Keep a table under the digest of its bytes, and give that."""
        sink = pa.BufferOutputStream()
        pq.write_table(entries, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        key = digest.of_bytes(data)
        self._objects.put(f"sets/{key}.parquet", data)
        return key

    def _table(self, key: str) -> pa.Table:
        path, remedy = list_of(key), "add the images or texts again with replace=True (--replace)"
        try:
            data = self._objects.get(path)
        except FileNotFoundError:
            raise DamagedObject(path, "removed", remedy) from None
        if digest.of_bytes(data) != key:
            raise DamagedObject(path, CHANGED, remedy)
        return parts.decode(data)


def list_of(key: str) -> str:
    """Give where the entries of a set lie."""
    return f"sets/{key}.parquet"


def _path(kind: Kind, name: str, version: int) -> str:
    return f"names/{kind}/{name}/{version:06}.json"


def _formerly(facts: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(facts.get("formerly", ()))


def _model(facts: dict[str, Any]) -> Model:
    """Make a model again of what `asdict` made of it."""
    sizes: dict[str, Any] = facts["tower"] or {}
    sizes = {key: tuple(each) if isinstance(each, list) else each for key, each in sizes.items()}
    tower = TowerShape(**sizes) if sizes else None
    both = {
        key: {name: Module(**{**each, "shape": tuple(each["shape"])}) for name, each in facts.get(key, ())}
        for key in ("modules", "text_modules")
    }
    return Model(**{**facts, "tower": tower, **both, "formerly": _formerly(facts)})


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could not stand in a path or a command line; `BadName` says what can."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name!r} cannot name {kind}: a name has letters, digits, '_', '-' and '.', at most 100, "
            "and starts with a letter, a digit or '_'"
        )

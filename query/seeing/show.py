"""What a store holds, and what one name in it stands for: a model, images, texts or a view."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field
from functools import cache, partial
from itertools import pairwise
from typing import Any, Literal, cast, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc

from ...compute.heads.head_sets import takes_heads
from ...compute.images import pictures
from ...compute.joined import JOINED, Joined
from ...compute.neurons.pooling import layout
from ...compute.views import all_views, view_class
from ...store.errors import UnknownName
from ...store.registry import INSTRUMENTS, Registry
from ...store.sets import ImageSet, Instrument, Model, Module, OrderedSet, TextSet
from ...store.views import ArrayView, Field, TableView, View
from ..engine import Engine
from ..lazy.part import distinct
from ..resolve import needed_inputs
from ..sql import declared
from ..sql.columns import columns_of, joined_columns
from ..sql.scan import schema_of

Kind = Literal["model", "images", "texts", "captioner", "language", "painter", "view"]
"""What a name can stand for, as `belvedere add` calls it."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a name stands for."""

    kind: Kind
    """What it is."""
    name: str
    """The name."""
    holds: str
    """What that is, in a line."""
    facts: Mapping[str, Any]
    """What is said of it in a word or a number each."""
    lists: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """What there are several of, by what they are, such as modules or labels; rows of one list are alike."""

    def record(self) -> Row:
        """Give all of it as one record."""
        return {"kind": self.kind, "name": self.name, "holds": self.holds, **self.facts, **self.lists}


def every(names: Registry) -> list[Shown]:
    """Say in a line each what the names of a store stand for: models, sets of images, sets of texts."""
    models = [names.model(name) for name in names.models()]
    images = [names.image_set(name) for name in names.image_sets()]
    texts = [names.text_set(name) for name in names.text_sets()]
    return [
        *(
            Shown("model", each.name, _of_model(each), {"source": each.source, "count": None})
            for each in models
        ),
        *(Shown("images", each.name, _of_images(each), _source(each)) for each in images),
        *(Shown("texts", each.name, _of_texts(each), _source(each)) for each in texts),
        *(
            _instrument(names.instrument(kind, name))
            for kind, under in INSTRUMENTS.items()
            for name in names.names(under)
        ),
    ]


def _instrument(each: Instrument) -> Shown:
    facts = {"source": each.source, "count": None, "identity": each.key}
    kind = cast("Kind", type(each).__name__.lower())
    return Shown(kind, each.name, each.precision, facts)


def _source(each: OrderedSet) -> dict[str, Any]:
    return {"source": each.source, "count": len(each)}


def show(engine: Engine, name: str, rows: int) -> list[Shown]:
    """Tell all that a name stands for; `UnknownName` with the nearest one where it is nothing."""
    names = engine.folder.names
    known: list[tuple[Collection[str], Callable[[], Shown]]] = [
        (names.models(), lambda: _model(names.model(name))),
        (names.image_sets(), lambda: _images(names.image_set(name), rows)),
        (names.text_sets(), lambda: _texts(names.text_set(name), rows)),
        *(
            (names.names(under), partial(lambda kind: _instrument(names.instrument(kind, name)), kind))
            for kind, under in INSTRUMENTS.items()
        ),
        (all_views(), lambda: _view(view_class(name))),
        (JOINED, lambda: _joined(name, JOINED[name])),
        (names.names("declared"), lambda: _declared(engine, name)),
    ]
    found = [tell() for there, tell in known if name in there]
    if not found:
        every = {each for there, _ in known for each in there}
        raise UnknownName("model, images, texts or view", name, every, "belvedere show lists what there is")
    return found


def _declared(engine: Engine, name: str) -> Shown:
    """Tell what was declared, and which columns it has."""
    found = next(each for each in declared.every(engine.folder) if each.name == name)
    views = declared.views_of(engine, found)
    columns = schema_of(views[0]) if views else ()
    lists = {"columns": [{"column": each.name, "type": str(each.type)} for each in columns]}
    facts = {"gives": "table" if found.sql else None, "view": found.view, **found.inputs, **found.parameters}
    return Shown("view", name, f"Declared: {found.meaning}", facts, lists)


def _of_model(model: Model) -> str:
    tower = model.tower
    if tower is None:
        return f"{len(model.modules):,} modules, {model.precision}"
    heads = f"{tower.layers} layers of {tower.heads} heads"
    return f"{heads}, {tower.tokens} tokens, {tower.joint} dimensions, {model.precision}"


def _model(model: Model) -> Shown:
    tower = model.tower
    facts = {
        "source": model.source,
        "note": model.note,
        "checkpoint": model.checkpoint,
        "precision": model.precision,
        **(asdict(tower) if tower is not None else {"not taken apart": model.untaken or None}),
        **{f"image_{key}": value for key, value in model.image.items()},
        **{f"text_{key}": value for key, value in model.text.items()},
        "libraries": dict(model.libraries),
    }
    return Shown("model", model.name, _of_model(model), facts, _of_towers(model))


def _of_towers(model: Model) -> dict[str, list[Row]]:
    """List the modules of a model, those of its text tower where it has one."""
    texts = {"text_modules": _modules(model.text_modules)} if model.text_modules else {}
    return {"modules": _modules(model.modules), **texts}


def _modules(modules: Mapping[str, Module]) -> list[Row]:
    """List modules that run while an image, or a text, goes through."""
    return [
        {
            "module": name,
            "class": module.kind,
            "neurons": _neurons(module),
            "shape": list(module.shape),
            "calls": module.calls,
            "problem": module.problem,
        }
        for name, module in modules.items()
    ]


def _neurons(module: Module) -> int | None:
    """Give how many neurons a module has, where it is plain which axis of its output they are."""
    with suppress(ValueError):
        return layout(module.shape, "auto")[0]
    return None


def _unreadable(images: ImageSet) -> int:
    """Count the files that are no pictures, or are gone."""
    return int(images.entries["width"].null_count)


def _of_images(images: ImageSet) -> str:
    unreadable = _unreadable(images)
    return f"{len(images):,} images" + (f", {unreadable:,} of them unreadable" if unreadable else "")


def _images(images: ImageSet, rows: int) -> Shown:
    entries = images.entries
    gone = images.identities.count(pictures.GONE)
    facts = {
        "source": images.source,
        "count": len(images),
        "unreadable": _unreadable(images) - gone,
        "gone": gone,
        "bytes": pc.sum(entries["size"]).as_py() or 0,
        "contents": images.all_contents,
    }
    first = entries.select(["image_id", "path", "label", "grp", "width", "height"])
    lists = {
        "sizes": _counted(entries.filter(pc.is_valid(entries["width"])), "width", "height"),
        "labels": _counted(entries, "label"),
        "groups": _counted(entries, "grp"),
        "first": _first(first, rows),
    }
    return Shown("images", images.name, _of_images(images), facts, lists)


def _of_texts(texts: TextSet) -> str:
    categories = len(set(texts.categories) - {None})
    return f"{len(texts):,} texts" + (f" in {categories:,} categories" if categories else "")


def _texts(texts: TextSet, rows: int) -> Shown:
    facts = {"source": texts.source, "count": len(texts), "contents": texts.all_contents}
    lists = {"categories": _counted(texts.entries, "category"), "first": _first(texts.entries, rows)}
    return Shown("texts", texts.name, _of_texts(texts), facts, lists)


def _first(entries: pa.Table, rows: int) -> list[Row]:
    """Give the first rows, without columns in which there is nothing."""
    told = [name for name in entries.column_names if entries[name].null_count < len(entries)]
    found: list[Row] = entries.select(told).slice(0, rows).to_pylist()
    return found


def _counted(entries: pa.Table, *columns: str) -> list[Row]:
    """Count the values of columns, most frequent first; nothing where there are none."""
    if all(entries[column].null_count == len(entries) for column in columns):
        return []
    counts = entries.group_by(list(columns)).aggregate([([], "count_all")])
    order: list[Any] = [("count_all", "descending"), *((column, "ascending") for column in columns)]
    rows = counts.sort_by(order).rename_columns([*columns, "count"]).to_pylist()
    return [dict(row) for row in rows]


def _view(view: type[View]) -> Shown:
    _, _, more = (inspect.getdoc(view) or "").partition("\n\n")
    facts = {
        "about": " ".join(more.split()) or None,
        "gives": "table" if issubclass(view, TableView) else "array",
        "axes": ", ".join(_axes(view)) or None,
        "inputs": ", ".join(needed_inputs(view)),
    }
    lists = {"parameters": list(_parameters(view)), "columns": _columns(view)}
    return Shown("view", view.name(), view.summary(), facts, lists)


def _joined(name: str, joined: Joined) -> Shown:
    """Tell what several views are that are one table, and the parameters of each, a common one once."""
    views = {value: view_class(each) for value, each in joined.views.items()}
    facts = {
        "gives": "table",
        "axes": None,
        "inputs": ", ".join(dict.fromkeys(each for view in views.values() for each in needed_inputs(view))),
    }
    picks: Row = {
        "parameter": joined.param,
        "default": next(iter(joined.views)),
        "values": ", ".join(joined.views),
        "chosen": "on filling",
        "of": name,
        "means": "Which of them is meant; SQL shows all.",
    }
    beneath = [row for view in views.values() for row in _parameters(view)]
    kinds = {row["column"]: row for view in views.values() for row in _columns(view)}
    lists = {
        "views": [
            {joined.param: value, "view": view.name(), "holds": view.summary()}
            for value, view in views.items()
        ],
        "parameters": [picks, *{(row["of"], row["parameter"]): row for row in beneath}.values()],
        "columns": [kinds[column] for column in joined_columns(joined)],
    }
    return Shown("view", name, joined.summary, facts, lists)


def _axes(view: type[View]) -> tuple[str, ...]:
    """Name the axes of an array view, whatever its inputs."""
    if not issubclass(view, ArrayView):
        return ()
    try:
        return distinct(view.dims.fget(object.__new__(view)))  # type: ignore[attr-defined]
    except AttributeError:  # they depend on the inputs
        return ()


def _columns(view: type[View]) -> list[Row]:
    """List the columns that SQL shows of a view, inputs first."""
    if not view.columns:
        return []
    return [{"column": name, "type": kind} for name, kind in columns_of(view).items()]


def _parameters(view: type[View], seen: frozenset[str] = frozenset()) -> Iterator[Row]:
    """List the parameters of a view and of those beneath it, its own first, each once."""
    meanings = _meanings(view)
    asked = [each for each in view.fields() if each.role != "input" or takes_heads(each)]
    own = [each for each in asked if each.name not in seen]
    for each in own:
        yield {
            "parameter": each.name,
            "default": None if each.default is MISSING else each.default,
            "values": _values(each),
            "chosen": "on reading" if each.role == "read" else "on filling",
            "of": view.name(),
            "means": meanings.get(each.name),
        }
    seen |= {each.name for each in own}
    for under, name in view.bound.items():
        if name not in seen:
            yield {
                "parameter": name,
                "default": None,
                "values": "a model",
                "chosen": "on filling",
                "of": view.name(),
                "means": f"The model whose {_type(view, under).name()} are taken.",
            }
            seen |= {name}
    for each in view.fields():
        if each.role == "input" and isinstance(each.type, type) and issubclass(each.type, View):
            beneath = list(_parameters(each.type, seen))
            yield from beneath
            seen |= {row["parameter"] for row in beneath}


def _type(view: type[View], field: str) -> type[View]:
    """Give the view that stands in a field."""
    found: type[View] = next(each.type for each in view.fields() if each.name == field)
    return found


def _values(each: Field) -> str:
    if takes_heads(each):
        return "a condition, a head or a declared table"
    if get_origin(each.type) is Literal:
        return ", ".join(map(str, get_args(each.type)))
    return str(getattr(each.type, "__name__", each.type))


def _meanings(view: type[View]) -> dict[str, str]:
    """Read the lines that stand under the fields of a view, where its source is at hand."""
    return {name: text for cls in reversed(view.__mro__) for name, text in _written(cls).items()}


@cache
def _written(cls: type) -> Mapping[str, str]:
    """Read the lines that stand under the fields of a class itself; a file is parsed for that."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    for before, after in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            match after:
                case ast.Expr(ast.Constant(str(text))):
                    found[before.target.id] = " ".join(text.split())
    return found

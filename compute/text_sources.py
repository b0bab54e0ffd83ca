"""Where a set of texts comes from: a file of lines, a table, or a pool of our own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..store.errors import BadSource, UnknownName
from ..store.registry import TEXT_ENTRIES

POOLS = ("builtin:general", "builtin:words", "demo:scenes", "demo:classes", "demo:crossed")
"""The pools that come with the package."""
TEMPLATES = "builtin:templates"
"""The templates that come with the package."""
PLACE = "{}"
"""Where a template has the text."""
TextSource = str | Path | Sequence[str]
"""What `add_texts` takes."""


def find(source: TextSource) -> pa.Table:
    """Read the texts of a source, in its order: text_id, text, category.

    Args:
        source: A file with one text a line (blank lines are left out), a .csv or .parquet table with a
            column `text` and perhaps `category`, a list of texts, or `builtin:general`, `demo:scenes`,
            `demo:classes` or `demo:crossed`.

    Raises:
        BadSource: There is no such file, or no text in it.
        UnknownName: A table lacks the column `text`, or a built-in pool does not exist.
    """
    if not isinstance(source, str | Path):
        pairs: list[tuple[str, str | None]] = [(_written(text), None) for text in source]
    elif str(source).startswith(("builtin:", "demo:")):
        pairs = _pool(str(source))
    else:
        pairs = _file(Path(source))
    kept = [(text.strip(), category) for text, category in pairs if text and text.strip()]
    if not kept:
        raise BadSource(f"{source} holds no texts")
    rows: list[dict[str, Any]] = [
        {"text_id": i, "text": text, "category": category} for i, (text, category) in enumerate(kept)
    ]
    return pa.Table.from_pylist(rows, schema=TEXT_ENTRIES)


def filled(entries: pa.Table, templates: TextSource) -> pa.Table:
    """Write each text into each template, all of one text after each other; its category is its class.

    A text without a category is a class of its own, and becomes the category.

    Args:
        entries: As `find` gives them.
        templates: A file with one template a line, a list, or `builtin:templates`; each has `{}` once, for
            the text.

    Raises:
        BadSource: There is no such file, or a template has no place for the text, or more than one.
    """
    if templates == TEMPLATES:
        found = [text for text, _ in _pool(TEMPLATES)]
    else:
        found = [str(each) for each in find(templates)["text"].to_pylist()]
    for template in found:
        if template.count(PLACE) != 1:
            raise BadSource(f"the template {template!r} has to have {PLACE} once, where the text goes")
    rows = [
        {"text": template.replace(PLACE, row["text"]), "category": row["category"] or row["text"]}
        for row in entries.to_pylist()
        for template in found
    ]
    numbered = [{"text_id": i, **row} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=TEXT_ENTRIES)


def _written(text: object) -> str:
    """Take a text of a list; `BadSource` for what is none, which would stand for something nobody wrote."""
    if not isinstance(text, str):
        raise BadSource(f"a list of texts has {text!r}, which is no text; leave it out, or write it as one")
    return str(text)


def _pool(source: str) -> list[tuple[str, str | None]]:
    if source == "builtin:general":
        from .pools import general

        return list(general())
    if source == "builtin:words":
        from .pools import words

        return [(text, None) for text in words()]
    if source == TEMPLATES:
        from .pools import templates

        return [(text, None) for text in templates()]
    if source == "demo:scenes":
        from ..demo.descriptions import descriptions

        return list(descriptions())
    if source == "demo:classes":
        from ..demo.descriptions import classes

        return list(classes())
    if source == "demo:crossed":
        from ..demo.descriptions import at_stake

        return list(at_stake())
    raise UnknownName("pool", source, POOLS)


def _file(path: Path) -> list[tuple[str, str | None]]:
    if not path.is_file():
        raise BadSource(f"no file {path}; built-in pools are {', '.join(POOLS)}")
    try:
        if path.suffix.lower() == ".parquet":
            return _table(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                return _csv(path, csv.DictReader(file))
            return [(line, None) for line in file]
    except UnicodeDecodeError as error:
        raise BadSource(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _csv(path: Path, reader: csv.DictReader[str]) -> list[tuple[str, str | None]]:
    columns = list(reader.fieldnames or [])
    if "text" not in columns:
        raise UnknownName(f"column of {path}", "text", columns)
    return [(row["text"], row.get("category") or None) for row in reader]


def _table(path: Path) -> list[tuple[str, str | None]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if "text" not in table.column_names:
        raise UnknownName(f"column of {path}", "text", table.column_names)
    return [(_text(row["text"]) or "", _text(row.get("category"))) for row in table.to_pylist()]


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)

"""Whatever stands in the cells of a file: each row is read, left or rejected, and nothing else is raised."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belvedere.compute.label_files import ADAPTERS
from belvedere.compute.label_files.entries import Adapter
from belvedere.compute.label_files.reading import Target, layers, read
from belvedere.compute.label_files.sheet import read as read_sheet
from belvedere.compute.label_files.sheet import written
from belvedere.query.exchange.imported_rows import rows_of
from belvedere.query.exchange.importing_labels import encoded
from belvedere.store import parts
from belvedere.store.errors import BadSource

MORE = {
    "dnd": ["label 1", "label 2"],
    "netdissect": ["color-label", "color-iou", "scene-label", "scene-iou", "scene-truth"],
    "human-ratings": ["dnd label", "dnd e1 rating", "none e1"],
}
UNITS = st.sampled_from(
    ["0", "1", "2", "1", "2", " 3 ", "9", "-1", "x", "", "1.0", "1,2", "9" * 40, "\N{SUPERSCRIPT TWO}"]
)
CELLS = st.one_of(
    st.sampled_from(["", " ", "null", "nan", "inf", "1_0", "0.5", "-3", '"red"', "a\nb", "FALSE", "a,b"]),
    st.sampled_from(["[('a', 0.5)]", "[('a', 'b')]", "[[]]", "[(1, 2)]", "(" * 300, "n02121808", "color"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


def header(adapter: Adapter) -> list[str]:
    """Give a header of a format, with what it may have."""
    named = {adapter.unit, *adapter.required, *adapter.optional, *MORE.get(adapter.name, [])}
    return sorted({*named, *([adapter.layer] if adapter.layer else [])})


def cells(adapter: Adapter, columns: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """Draw the cells of a row."""
    own = {adapter.unit: UNITS, adapter.layer: st.sampled_from(["a", "a", "b"])}
    return st.tuples(*(own.get(column, CELLS) for column in columns)).map(list)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
@given(data=st.data())
@settings(max_examples=40)
def test_every_row_is_read_or_left_or_rejected(adapter: Adapter, data: st.DataObject) -> None:
    columns = header(adapter)
    rows = data.draw(st.lists(cells(adapter, columns), min_size=1, max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "labels.csv")
        path.write_text("\n".join(map(written, [columns, *rows])), encoding="utf-8", newline="")
        sheet = read_sheet(path)
    there = layers(sheet, adapter)
    targets: dict[str | None, Target] = {"a" if there else None: Target("layer", 4)}
    try:
        found = read(sheet, adapter, targets, 1)
    except BadSource:
        return
    assert len(found.said) + len(found.rejects) + sum(found.left.values()) == len(rows)
    assert all(0 <= neuron < 4 for each in found.said for neuron in each.neurons)
    assert [each.line for each in found.rejects] == sorted(each.line for each in found.rejects)
    for name, made in rows_of(found).items():
        assert not made or parts.decode(encoded(name, made)).to_pylist() == made

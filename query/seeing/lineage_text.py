"""A lineage for people: as a tree of text, and as nested lists of HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ...store import digest
from .lineage import Leaf, Lineage, Node, Piece, State

SPANS = 4
"""Stretches of an axis that are written out; more are counted."""
DIGITS = 8
"""Digits of a digest that tell it from others well enough for people."""
STATES: Mapping[State, str] = {
    "gone": "not kept any more, and not needed: what was made from it is kept",
    "missing": "missing",
    "stale": "stale",
    "failed": "failed",
}
"""What is said of units that are not ready."""


def text(lineage: Lineage) -> str:
    """Write a lineage as an indented tree."""
    lines = [*_rows(lineage), *_tree(lineage.root, set(), lineage.reads)]
    return "\n".join([*lines, *_libraries(lineage.root)])


def html(lineage: Lineage) -> str:
    """Write a lineage as nested lists that open and close."""
    rows = "".join(f"<div>{escape(line)}</div>" for line in _rows(lineage))
    libraries = "".join(f"<div><small>{escape(line)}</small></div>" for line in _libraries(lineage.root))
    return f"<div>{rows}{_element(lineage.root, set(), lineage.reads)}{libraries}</div>"


def _rows(lineage: Lineage) -> list[str]:
    if lineage.selection is None:
        return []
    if lineage.count is None:
        return [f"{lineage.root.view}[{lineage.selection}]"]
    rows = "1 row" if lineage.count == 1 else f"{lineage.count:,} rows"
    lines = [f"{rows} where {lineage.selection}{':' if lineage.rows else ''}"]
    lines += [f"  {_listed(row)}" for row in lineage.rows]
    return [*lines, "  …"] if lineage.count > len(lineage.rows) else lines


def _tree(node: Node, seen: set[str], reads: Mapping[str, Any]) -> Iterator[str]:
    """Write a view in two lines, and what it is made from below it."""
    first, *rest = _described(node, reads)
    parts = [each for each in node.inputs if isinstance(each, Node) or _is_new(each, seen)]
    known = [each for each in node.inputs if each not in parts]
    yield first + "".join(f", of {_named(each)} as above" for each in known if isinstance(each, Leaf))
    bar = "│ " if parts else "  "
    yield from (f"{bar} {line}" for line in rest)
    for number, part in enumerate(parts, 1):
        corner, bar = ("└─", "  ") if number == len(parts) else ("├─", "│ ")
        lines = _tree(part, seen, {}) if isinstance(part, Node) else iter([_told(part)])
        yield f"{corner} {next(lines)}"
        yield from (f"{bar} {line}" for line in lines)


def _element(node: Node, seen: set[str], reads: Mapping[str, Any]) -> str:
    """Write a view and what it is made from as an element that opens and closes."""
    first, *rest = (escape(line) for line in _described(node, reads))
    inside = []
    for part in node.inputs:
        if isinstance(part, Node):
            inside.append(_element(part, seen, {}))
        else:
            inside.append(escape(_told(part) if _is_new(part, seen) else f"{_named(part)} as above"))
    name = f"<b>{escape(node.view)}</b>"
    items = "".join(f"<li>{each}</li>" for each in inside)
    small = "".join(f"<div><small>{line}</small></div>" for line in rest)
    return (
        f"<details open><summary>{first.replace(escape(node.view), name, 1)}</summary>"
        f"{small}<ul>{items}</ul></details>"
    )


def _is_new(leaf: Leaf, seen: set[str]) -> bool:
    """Tell whether a leaf was not written yet, and remember that it is now."""
    key = digest.of_facts([leaf.kind, leaf.name, dict(leaf.facts)])
    known = key in seen
    seen.add(key)
    return not known


def _described(node: Node, reads: Mapping[str, Any]) -> Iterator[str]:
    """Say what a view is and which of its units count; then how these were made."""
    package = f" of {node.package}" if node.package else ""
    settings = [f"version {node.version}", *_settings(node.parameters)]
    chosen = f"; read with {', '.join(_settings(reads))}" if reads else ""
    yield f"{node.title}{package}: {', '.join(settings)}{chosen}"
    yield "; ".join([_counted(node), *_lacking(node), *_made(node)])
    yield from node.causes


def _counted(node: Node) -> str:
    spans = _spans(node.units)
    more = [f"{len(spans) - SPANS} more stretches"] if len(spans) > SPANS else []
    where = f" ({node.axis} {', '.join([*spans[:SPANS], *more])})" if spans else ""
    key = f" {node.units[0].key[:DIGITS]}" if len(node.units) == 1 else ""
    return f"{len(node.units)} of {node.of} units{key}{where}"


def _spans(units: Sequence[Piece]) -> list[str]:
    """Join units that stand next to each other."""
    joined: list[tuple[int, int]] = []
    for unit in units:
        if joined and joined[-1][1] == unit.start:
            joined[-1] = (joined[-1][0], unit.stop)
        else:
            joined.append((unit.start, unit.stop))
    return [str(start) if stop == start + 1 else f"{start}:{stop}" for start, stop in joined]


def _lacking(node: Node) -> Iterator[str]:
    """Say how many units are not there, and how many of their rows."""
    counts = Counter(unit.state for unit in node.units)
    for state, what in STATES.items():
        if counts[state]:
            yield f"{'all' if counts[state] == len(node.units) else counts[state]} {what}"
    absent = sum(len(unit.absent) for unit in node.units)
    if absent:
        yield f"{absent} rows absent"


def _made(node: Node) -> Iterator[str]:
    """Say when, where and how the units that are there were made, and what was measured."""
    made = [unit.made for unit in node.units if unit.made]
    if not made:
        return
    times = sorted({str(each["time"]).partition("+")[0].replace("T", " ") for each in made})
    when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    hosts, devices, batches = (_values(made, name) for name in ("host", "device", "batch_size"))
    ran = f", {devices}, batch {batches}" if devices else ""
    quick = sum(bool(each.get("compiled")) for each in made)
    how = f", {'' if quick == len(made) else 'some '}compiled" if quick else ""
    yield f"made {when} on {hosts}{ran}{how}"
    pulled = dict.fromkeys(str(each["pulled"][-1]["from"]) for each in made if "pulled" in each)
    if pulled:
        yield f"pulled from {' and '.join(pulled)}"
    facts = [unit.facts for unit in node.units if unit.facts]
    copied = Counter[str]()
    for each in facts:
        copied.update(each.get("copied_from", {}))
    if copied:
        keys = ", ".join(key[:12] for key in list(copied)[:3]) + (", …" if len(copied) > 3 else "")
        yield f"{copied.total():,} rows copied from {len(copied)} units of other sets ({keys})"
    for name in dict.fromkeys(name for each in facts for name in each if name != "copied_from"):
        yield f"{name} {_range([each[name] for each in facts if name in each])}"
    yield f"{sum(unit.bytes for unit in node.units):,} bytes"


def _values(made: Iterable[Mapping[str, Any]], name: str) -> str:
    return " and ".join(dict.fromkeys(str(each[name]) for each in made if name in each))


def _range(values: Sequence[Any]) -> str:
    """Write equal values once, and others as the smallest and the largest."""
    if len({str(value) for value in values}) == 1:
        return _number(values[0])
    if all(isinstance(value, int | float) for value in values):
        return f"{_number(min(values))} to {_number(max(values))}"
    return ", ".join(dict.fromkeys(map(str, values)))


def _number(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _libraries(root: Node) -> list[str]:
    """Say with which library versions all of it was made."""
    versions: dict[str, dict[str, None]] = {}
    for node in _nodes(root):
        for unit in node.units:
            for name, version in unit.made.get("libraries", {}).items():
                versions.setdefault(name, {})[version] = None
    found = [f"{name} {' and '.join(each)}" for name, each in sorted(versions.items())]
    return [f"made with {', '.join(found)}"] if found else []


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for each in node.inputs:
        if isinstance(each, Node):
            yield from _nodes(each)


def _named(leaf: Leaf) -> str:
    return f"{leaf.kind.replace('_', ' ')} {leaf.name}"


def _told(leaf: Leaf) -> str:
    """Say what a leaf is, in one line."""
    facts = leaf.facts
    if "identity" in facts:
        return f"{_named(leaf)}: {leaf.source}, {facts['precision']}, identity {_short(facts['identity'])}"
    if leaf.kind == "import":
        read = f"{facts['rows_ok']:,} rows of {leaf.source}"
        return f"{_named(leaf)}: {read}, labels by {facts['method']}, file {_short(facts['file'])}"
    if leaf.kind != "model":
        count = f"{facts['count']:,} {'images' if leaf.kind == 'image_set' else 'texts'}"
        return f"{_named(leaf)}: {count} from {leaf.source}, contents {_short(facts['contents'])}"
    parts = [leaf.source, *([str(facts["checkpoint"])] if facts["checkpoint"] else [])]
    parts += [f"its {facts['side']} side", str(facts["precision"])]
    parts += [
        f"{name} {_short(facts[name])}" for name in ("weights", "preprocessing", "tokenizer") if name in facts
    ]
    return f"{_named(leaf)}: {', '.join(parts)}"


def _short(value: Any) -> str:
    return (value if isinstance(value, str) else digest.of_facts(value))[:DIGITS]


def _settings(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _listed(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_cell(value)}" for name, value in row.items())


def _cell(value: Any) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
    )

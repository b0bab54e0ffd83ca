"""From what a file of labels says to the rows of the tables that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...compute.label_files.entries import Label, Rating, Score
from ...compute.label_files.reading import Read, Said
from ...compute.label_files.wording import Status, is_refusal, worded


def rows_of(said: Read) -> dict[str, list[dict[str, Any]]]:
    """Give the rows of each table of an import; those that a file has nothing for are empty."""
    labels = list(_labels(said.said))
    return {
        "labels": [row for row, _ in labels],
        "scores": [*(score for _, more in labels for score in more), *_scores(said.said)],
        "ratings": list(_ratings(said.said)),
        "rejects": [{"line": each.line, "raw": each.raw, "reason": each.reason} for each in said.rejects],
    }


def _labels(said: Iterable[Said]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Give a row for each label of each neuron, with the rows of what else was measured of it."""
    for each in said:
        for neuron in each.neurons:
            before: set[str] = set()
            for entry in each.entries:
                if isinstance(entry, Label):
                    row = _label(each, neuron, entry, before)
                    scores = [
                        {**_neuron(each, neuron), "label": row["label"], "name": name, "value": value}
                        for name, value in entry.more.items()
                    ]
                    yield row, scores


def _label(said: Said, neuron: int, entry: Label, before: set[str]) -> dict[str, Any]:
    text = worded(entry.text)
    row = {
        **_neuron(said, neuron),
        "rank": entry.rank,
        "label": text,
        "score": entry.score,
        "score_name": entry.score_name,
        "status": _status(text, before, entry),
        "annotator": said.annotator,
        "text_raw": entry.raw,
        "units": entry.group,
    }
    before.add((text or "").casefold())
    return row


def _status(text: str | None, before: set[str], entry: Label) -> Status:
    """Say what a label is; `before` are the labels of smaller ranks."""
    if text is None:
        return "blank"
    if is_refusal(text):
        return "refusal"
    if text.casefold() in before:
        return "duplicate"
    return "ok" if entry.group is None else "group"


def _scores(said: Iterable[Said]) -> Iterator[dict[str, Any]]:
    for each in said:
        for entry in each.entries:
            if isinstance(entry, Score):
                where = _neuron(each, each.neurons[0])
                yield {**where, "label": worded(entry.raw), "name": entry.name, "value": entry.value}


def _ratings(said: Iterable[Said]) -> Iterator[dict[str, Any]]:
    for each in said:
        for entry in each.entries:
            if isinstance(entry, Rating):
                yield {
                    **_neuron(each, each.neurons[0]),
                    "method": entry.method,
                    "label": worded(entry.raw),
                    **{name: getattr(entry, name) for name in ("rater", "rating", "exemplars", "note")},
                }


def _neuron(said: Said, neuron: int) -> dict[str, Any]:
    return {"module": said.module, "neuron": neuron}

"""Names under which several views are one: a table of all methods, of which a parameter picks one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..store.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Joined:
    """A name for several views that have the same columns."""

    param: str
    """The parameter that picks one of them."""
    views: Mapping[str, str]
    """The views, by the value of that parameter; the first is taken where none is given."""
    tables: tuple[str, ...]
    """Tables of the catalog that have rows of this kind, too."""
    columns: tuple[str, ...]
    """The columns."""
    summary: str
    """What it shows, in a line."""

    def view(self, name: str, value: str | None) -> str:
        """Give the view that a value of the parameter picks; `UnknownName` with the nearest value."""
        if value is None:
            return next(iter(self.views.values()))
        if value not in self.views:
            raise UnknownName(f"value of {name}'s {self.param}", value, self.views)
        return self.views[value]

    def spelled(self, name: str, params: Mapping[str, Any]) -> str:
        """Say for messages which of them is asked for: `head_similarities with measure 'cka'`."""
        value = params.get(self.param) or next(iter(self.views))
        return f"{name} with {self.param} {value!r}, one of {', '.join(self.views)}:"


def picked(name: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the view that a name and its parameters pick, with the other parameters; another name as it is."""
    left = dict(params)
    if name not in JOINED:
        return name, left
    return JOINED[name].view(name, left.pop(JOINED[name].param, None)), left


JOINED: Mapping[str, Joined] = MappingProxyType(
    {
        "neuron_labels": Joined(
            "method",
            MappingProxyType(
                {
                    "describe_and_dissect": "described_labels",
                    "describe_and_probe": "probed_labels",
                    "clip_dissect": "clip_dissect_labels",
                    "network_dissection": "network_dissection_labels",
                    "invert": "invert_labels",
                }
            ),
            ("imported_labels",),
            (
                *("model", "image_set", "text_set", "module", "neuron", "method", "rank", "label", "score"),
                *("score_name", "status", "evidence"),
            ),
            "What each neuron stands for, by every method at its defaults, and labels that were imported.",
        ),
        "label_evaluations": Joined(
            "by",
            MappingProxyType(
                {
                    "clip": "label_clip_cosines",
                    "judge": "label_judgements",
                    "painter": "label_cosy",
                    "classes": "label_detections",
                    "other": "label_agreements",
                }
            ),
            (),
            (
                *("model", "image_set", "text_set", "module", "neuron", "method", "metric", "value"),
                *("label", "reference", "n"),
            ),
            "How good the label of each neuron is, by every measure.",
        ),
        "head_similarities": Joined(
            "measure",
            MappingProxyType(
                {
                    "cka": "head_cka",
                    "descriptions": "head_text_correlations",
                    "roles": "head_role_overlaps",
                }
            ),
            (),
            (
                *("model", "image_set", "text_set", "other", "layer", "head"),
                *("other_layer", "other_head", "measure", "score"),
            ),
            "How alike each head and each head of another model are, by every measure.",
        ),
    }
)
"""The names, with what they stand for."""

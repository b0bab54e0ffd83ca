"""The view of all that is neither a head nor an MLP of the text tower, so that the sum is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ...store.sets import Model, TextSet
from ...store.views import Array, Axis, Input, Member, Parts, Read
from ..contributed import OfTexts, Residual
from ..conventions import Convention

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class TextResidualContributions(Residual, OfTexts):
    """All other terms by name, `coords["term"]`: heads, MLPs and these sum to a text's unit-norm embedding.

    Under `own`: embedding (of the pooled token and its position), attn_bias[l] of each layer, ln_final_bias,
    and projection_bias where the text projection has one. Under `clip_prs`: the embedding alone. What the
    pooled token brings differs by text, and is kept.
    """

    model: Input[Model]
    texts: Input[TextSet]
    convention: Read[Convention] = "own"
    """How ln_final's mean and the biases are shared out: `own`, or as it is published for images."""
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "term": "string",
        "vector": "list[float32]",
    }

    def members(self) -> tuple[Member, ...]:
        """What enters the first block, projected, its mean, and the scalars of each text."""
        rows, joint = self.count, self.tower.joint
        return (
            Member("entry", ("text", "joint"), (rows, joint), "float32", (64, joint)),
            Member("entry_mean", ("text",), (rows,), "float32", (64,)),
            *super().members(),
        )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what entered, its mean and the scalars."""
        entered = {"entry": cast("Array", trace.entry), "entry_mean": cast("Array", trace.entry_mean)}
        return {**entered, **super().collect(trace)}

    def entered(self, parts: Parts, rows: Axis, joint: Axis) -> tuple[Array, Array]:
        """Read what enters the first block, and its mean."""
        return parts.array(self, "entry", (rows, joint)), parts.array(self, "entry_mean", (rows,))

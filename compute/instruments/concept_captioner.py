"""A captioner that chooses: of a fixed set of texts, the one that a CLIP finds nearest to a picture.

It is the published ablation of Describe-and-Dissect in which a list of concepts replaces the captioner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.views import Array

if TYPE_CHECKING:
    from PIL import Image

    from ..models.family import Found

PREFIX = "clip:"
"""The beginning of such a source: `clip:MODEL#TEXTS`, such as `clip:demo:clip#demo:scenes`."""


@dataclass(frozen=True)
class ConceptCaptioner:
    """A choice among texts that was found, and not loaded yet."""

    source: str
    """What it was asked for by."""
    texts: tuple[str, ...]
    """The texts, each once."""
    found: Found
    """The model that compares."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it: both sides of the model, and the texts in their order."""
        net = self.found.build("float32")
        sides = {"image": self.found.image_facts(net), "text": self.found.text_facts(net)}
        if not sides["text"]:
            raise BadSource(f"{self.source}: the model embeds no texts")
        return {**sides, "texts": digest.of_sequence(self.texts)}

    def load(self, device: str, precision: str) -> LoadedConcepts:
        """Load the model on a device, and embed the texts."""
        import torch

        from ..models import loaded

        net: Any = self.found.build(precision).to(loaded.place(device)).eval()
        tokens = self.found.tokenizer()(list(self.texts)).to(loaded.place(device))
        with torch.inference_mode():
            rows = [net.encode_text(part) for part in tokens.split(256)]
        embedded = torch.cat(rows).float()
        return LoadedConcepts(net, self.found.transform(net), self.texts, embedded.cpu().numpy(), device)


@dataclass
class LoadedConcepts:
    """A choice among texts, on a device."""

    net: Any
    """The model."""
    transform: Any
    """Its own preprocessing."""
    texts: tuple[str, ...]
    """The texts."""
    embedded: Array
    """Their embeddings, "text joint"."""
    device: str
    """Where it runs."""

    @cached_property
    def _directions(self) -> Array:
        norms: Array = np.linalg.norm(self.embedded, axis=1, keepdims=True)
        return self.embedded / norms

    def caption(self, pictures: Sequence[Image.Image], **decoding: Any) -> list[str]:
        """Give for each picture the text that is nearest to it; nothing is decoded."""
        import torch

        del decoding
        from ..models.modules import entry

        pixels = torch.stack([self.transform(picture.convert("RGB")) for picture in pictures])
        with torch.inference_mode():
            found = self.net.encode_image(pixels.to(self.device, entry(self.net))).float().cpu().numpy()
        return [self.texts[int(at)] for at in (found @ self._directions.T).argmax(axis=1)]


def find(source: str) -> ConceptCaptioner:
    """Find a choice among texts by `clip:MODEL#TEXTS`, where each is as `belvedere add` takes it.

    Raises `BadSource` where one of the two is not said, and what their finders raise.
    """
    from .. import text_sources
    from ..models import sources

    model, _, texts = source.removeprefix(PREFIX).rpartition("#")
    if not model or not texts:
        raise BadSource(f"{source!r} is not clip:MODEL#TEXTS, such as clip:demo:clip#demo:scenes")
    rows = text_sources.find(texts)["text"].to_pylist()
    return ConceptCaptioner(source, tuple(dict.fromkeys(map(str, rows))), sources.find(model, None))

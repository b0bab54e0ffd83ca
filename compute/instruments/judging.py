"""Judges: sentence encoders and BERTScore, which say how near two texts are in meaning."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...store import digest
from ...store.errors import BadSource, UnknownName
from ...store.extras import extra
from ..models import hub, model_files
from ..neurons.likeness import listed

SOURCES = ("sentences:REPOSITORY", "sentences:FOLDER", "bertscore:REPOSITORY#LAYER", "bertscore:FOLDER#LAYER")
"""The sources that are known."""
WEIGHTS = ("*.safetensors", "*.bin")
"""The files in which a sentence encoder has its weights."""
BASELINE = "rescale_baseline.tsv"
"""A file in a model's folder that says what texts without relation score at each layer."""
LONGEST = 512
"""Tokens that BERTScore reads of a text where a tokenizer does not say how many its model can."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """A sentence encoder that was found, and not loaded yet."""

    name: str
    """Its folder, or its repository on the hub."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it: the bytes of all its files, and what it measures."""
        folder = hub.fetch(self.name, weights=True)
        if not (folder / "modules.json").is_file():
            raise BadSource(f"sentences:{self.name} is no sentence encoder: there is no modules.json in it")
        if not any(each.stat().st_size for pattern in WEIGHTS for each in folder.rglob(pattern)):
            raise BadSource(f"sentences:{self.name} has no weights: {' or '.join(WEIGHTS)}")
        return {"kind": "sentences", "files": _files(folder), "metrics": ["sentence_cosine"]}

    def load(self, device: str, precision: str) -> LoadedSentences:
        """Load it on a device, in float32, float16 or bfloat16; `MissingExtra` without the library."""
        import torch

        encoder = extra("sentence_transformers").SentenceTransformer
        hub.quiet()
        try:
            kind = {"dtype": getattr(torch, precision)}
            net = encoder(str(hub.fetch(self.name, weights=True)), device=device, model_kwargs=kind)
        except Exception as error:  # whatever the library raises for files that do not fit
            raise BadSource(
                f"sentences:{self.name} cannot be loaded: {model_files.first_line(error)}"
            ) from error
        return LoadedSentences(net)


@dataclass(frozen=True, slots=True)
class LoadedSentences:
    """A sentence encoder on a device."""

    net: Any
    """The encoder."""

    def compare(self, labels: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Give the cosine of each label with its reference; `TypeError` where a list is a text.

        Each text goes through the model by itself: its score depends on no others, to the last bit.
        """
        labels, references = listed(labels), listed(references)
        every = sorted({*labels, *references})
        found = self.net.encode(every, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
        known = dict(zip(every, found.astype("float64"), strict=True))
        return {
            "sentence_cosine": [
                float(known[label] @ known[reference])
                for label, reference in zip(labels, references, strict=True)
            ]
        }


@dataclass(frozen=True, slots=True)
class BertScore:
    """A language model for BERTScore that was found, and not loaded yet."""

    name: str
    """Its folder, or its repository on the hub."""
    layer: int | None
    """The layer whose outputs are compared; None for the one that the library takes for such a model."""

    def facts(self) -> dict[str, Any]:
        """Give what identifies it: its files, its layer and that layer's baseline, and what it measures."""
        folder, layer = hub.fetch(self.name, weights=True), self._layer()
        there = model_files.read_json(folder / "config.json").get("num_hidden_layers", layer)
        if layer > there:
            raise BadSource(f"bertscore:{self.name} has {there} layers, and no layer {layer}")
        baseline = self._baseline(folder, layer)
        return {
            "kind": "bertscore",
            "files": _files(folder),
            "layer": layer,
            "baseline": baseline,
            "metrics": ["bertscore", *(["bertscore_rescaled"] if baseline is not None else [])],
        }

    def load(self, device: str, precision: str) -> LoadedBertScore:
        """Load it on a device, in float32; `MissingExtra` without the library."""
        if precision != "float32":
            raise BadSource(f"bertscore:{self.name} is computed in float32, and not in {precision}")
        folder, layer = hub.fetch(self.name, weights=True), self._layer()
        scorer = extra("bert_score").BERTScorer
        hub.quiet()
        try:
            net = scorer(model_type=str(folder), num_layers=layer, device=device)
        except Exception as error:  # whatever the library raises for a model that does not fit
            raise BadSource(
                f"bertscore:{self.name} cannot be loaded: {model_files.first_line(error)}"
            ) from error
        tokenizer = net._tokenizer
        tokenizer.model_max_length = min(tokenizer.model_max_length, LONGEST)
        return LoadedBertScore(net, self._baseline(folder, layer))

    def _layer(self) -> int:
        known: Mapping[str, int] = extra("bert_score").utils.model2layers
        layer = self.layer if self.layer is not None else known.get(self._known_as(), 0)
        if layer < 1:
            raise BadSource(
                f"bert-score does not know {self.name}; say which layer is compared: "
                f"bertscore:{self.name}#LAYER"
            )
        return layer

    def _known_as(self) -> str:
        """Give the name by which the library knows the model, if it does."""
        known: Mapping[str, int] = extra("bert_score").utils.model2layers
        return self.name if self.name in known else self.name.rpartition("/")[2]

    def _baseline(self, folder: Path, layer: int) -> float | None:
        """Read what texts without relation score at a layer; None where nobody says."""
        library = Path(extra("bert_score").__file__).parent
        shipped = library / "rescale_baseline" / "en" / f"{self._known_as()}.tsv"
        path = next((each for each in (folder / BASELINE, shipped) if each.is_file()), None)
        if path is None:
            return None
        with path.open(newline="") as file:
            found = {int(row["LAYER"]): float(row["F"]) for row in csv.DictReader(file)}
        return found.get(layer)


@dataclass(frozen=True, slots=True)
class LoadedBertScore:
    """BERTScore's model on a device."""

    net: Any
    """The scorer."""
    baseline: float | None
    """What texts without relation score; None where that is not known."""

    def compare(self, labels: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Give the F1 of each label with its reference; `TypeError` where a list is a text.

        Each text goes through the model by itself: its score depends on no others, to the last bit.
        """
        _, _, found = self.net.score(listed(labels), listed(references), batch_size=1)
        plain = [float(each) for each in found]
        if self.baseline is None:
            return {"bertscore": plain}
        rescaled = [(each - self.baseline) / (1 - self.baseline) for each in plain]
        return {"bertscore": plain, "bertscore_rescaled": rescaled}


def find(source: str) -> Sentences | BertScore:
    """Take apart a source; `UnknownName` for a kind of source that there is not."""
    kind, _, name = source.partition(":")
    if kind == "sentences" and name:
        return Sentences(name)
    if kind == "bertscore" and name:
        name, _, layer = name.partition("#")
        if layer and not layer.isdecimal():
            raise BadSource(f"{source}: after # stands the number of a layer")
        return BertScore(name, int(layer) if layer else None)
    raise UnknownName("source of judges", source, SOURCES)


def _files(folder: Path) -> str:
    """Give the digest of the files that a model is read from, with their places in its folder."""
    kinds = {".json", ".txt", ".model", ".safetensors", ".bin", ".jinja", ".tsv"}
    found = sorted(path for path in folder.rglob("*") if path.suffix in kinds and path.is_file())
    return digest.of_sequence(f"{path.relative_to(folder).as_posix()} {_digest(path)}" for path in found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Accuracies with heads ablated: 10,000 images and 1,000 classes from stored factors, and the literal way.

Units of the shape of a ViT-B are kept in a real store without a model, and the view is made from them as it
always is, reading included. The literal way holds all contributions in memory, as the published script does
with its .npy file, puts their mean in the place of some, and sums. Both run in processes of their own, whose
peak memory counts. Times are CPU seconds, which other processes disturb less than the clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import belvedere as bv
from belvedere.compute.heads.head_sets import HeadSet
from belvedere.compute.kinds import Derived, Made
from belvedere.compute.running.encoding import encoded
from belvedere.compute.views.ablations import Ablations
from belvedere.compute.views.class_embeddings import ClassEmbeddings
from belvedere.compute.views.class_token_contributions import ClassTokenContributions
from belvedere.compute.views.head_contributions import HeadContributions
from belvedere.compute.views.image_embeddings import ImageEmbeddings
from belvedere.compute.views.mlp_contributions import MlpContributions
from belvedere.compute.views.text_embeddings import TextEmbeddings
from belvedere.query.engine import Engine
from belvedere.store.grid import Grid
from belvedere.store.registry import IMAGE_ENTRIES, TEXT_ENTRIES
from belvedere.store.sets import ImageSet, Model, TextSet, TowerShape
from belvedere.store.views import Array, ArrayView, Parts, Unit

from .row import Row

SHAPE, CLASSES = TowerShape(12, 12, 64, 768, 512, 197), 1000
HEADS = [(layer, head) for layer in (8, 9, 10, 11) for head in range(0, 12, 4)]
"""Twelve heads of the last four layers."""


def rows() -> Iterator[Row]:
    """Time one condition, with and without sets drawn at random, and the literal way on fewer images."""
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder) / "many"
        _keep(many, 10_000)
        for draws, budget in ((0, 10), (10, 15)):
            told = _apart(many, "view", draws)
            what = f"12 of 144 heads ablated and {draws} random sets, 10,000 images, 1,000 classes"
            yield Row(what, told["seconds"], budget, "CPU s")
            yield Row(f"its peak memory, imports ({told['before']:.0f} MB) included", told["peak"], 500, "MB")
        few = Path(folder) / "few"
        _keep(few, 2_000)
        ours, theirs = (_apart(few, way, 10) for way in ("view", "literal"))
        if ours["right"] != theirs["right"]:
            raise AssertionError(f"accuracies differ: {ours['right']} and {theirs['right']}")
        what = "literal, dense arrays in memory, against factors, 2,000 images, 10 random sets"
        yield Row(what, theirs["seconds"] / ours["seconds"], 1, at_least=True)
        yield Row("and its peak memory", theirs["peak"] / ours["peak"], 2, at_least=True)


@dataclass(frozen=True, eq=False)
class _Chosen(Derived, HeadSet):
    """The heads above."""

    condition: ClassVar[str] = "twelve"
    grid: ClassVar[Grid] = Grid(1, 1)

    def contents(self, start: int, stop: int) -> str:
        return ""

    def derive(self, unit: Unit, parts: Parts) -> Made:
        raise NotImplementedError

    def read(self, parts: Parts) -> list[tuple[int, int]]:
        return HEADS


def _view(images: int, draws: int) -> Ablations:
    """Ask for the view, of a model that there is not, over images that there are not."""
    known: Mapping[str, Any] = {"weights": "none"}
    model = Model("m", "", None, "float32", SHAPE, {}, known, known, {})
    entries = [
        {"image_id": i, "path": str(i), "digest": str(i), "label": str(i % CLASSES), "grp": str(i % 2)}
        for i in range(images)
    ]
    named = [{"text_id": i, "text": str(i)} for i in range(CLASSES)]
    texts = TextSet("t", "", pa.Table.from_pylist(named, schema=TEXT_ENTRIES))
    both = model, ImageSet("i", "", pa.Table.from_pylist(entries, schema=IMAGE_ENTRIES))
    return Ablations(
        ClassEmbeddings(TextEmbeddings(model, texts)),
        ImageEmbeddings(*both),
        HeadContributions(*both),
        MlpContributions(*both),
        ClassTokenContributions(*both),
        _Chosen(),
        draws=draws,
    )


def _keep(folder: Path, images: int) -> None:
    """Keep units of random numbers: embeddings, factors and scalars, maps, and classes."""
    engine, view = bv.open(folder)._engine, _view(images, 0)
    rng = np.random.default_rng(0)
    for each in (view.embeddings, view.contributions, view.maps, view.classes):
        for unit in each.units:
            made = Made(_drawn(each, unit, rng))
            engine.folder.records.keep(unit, encoded(unit, made), absent={}, facts={}, made={})


def _drawn(view: ArrayView, unit: Unit, rng: np.random.Generator) -> dict[str, Array]:
    found = {}
    for member in view.members():
        shape = (unit.stop - unit.start, *member.shape[1:])
        numbers = rng.standard_normal(shape, np.float32)
        if member.name == "embedding":
            numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
        if member.name == "scalars":
            numbers = np.abs(numbers) + np.float32(20)
        found[member.name] = numbers
    return found


def _apart(folder: Path, way: str, draws: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ablation", str(folder), way, str(draws)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told: dict[str, Any] = json.loads(found)
    return told


def _measure(folder: Path, way: str, draws: int) -> dict[str, Any]:
    engine = bv.open(folder, mode="r")._engine
    view = _view(10_000 if folder.name == "many" else 2_000, draws)
    dense = view.contributions.show(engine.reader, (slice(None),) * 4) if way == "literal" else None
    before = _peak()
    start = time.process_time()
    if dense is None:
        rows = view.derive(view.units[0], engine.reader).rows
        right = [
            value for value, metric in zip(rows["value"], rows["metric"], strict=True) if metric == "accuracy"
        ]
    else:
        right = _literal(engine, view, dense)
    return {"seconds": time.process_time() - start, "peak": _peak(), "before": before, "right": right}


def _literal(engine: Engine, view: Ablations, dense: Array) -> list[float]:
    """Put means in the place of contributions, and sum all of them, for one set after the other."""
    classes = engine.reader.array(view.classes, "embedding")
    rest = engine.reader.array(view.embeddings, "embedding") - dense.sum(axis=(1, 2))
    truth = np.arange(len(dense)) % CLASSES
    found = []
    for chosen in view.sets(HEADS):
        some = dense.copy()
        some.reshape(len(some), -1, SHAPE.joint)[:, chosen] = some.reshape(len(some), -1, SHAPE.joint)[
            :, chosen
        ].mean(axis=0, dtype=np.float64)
        named = ((some.sum(axis=(1, 2)) + rest) @ classes.T).argmax(axis=1)
        found.append(float((named == truth).mean()))
    return found


def _peak() -> float:
    """Give the most memory that this process has had, in MB; getrusage would count its parent's, too."""
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))

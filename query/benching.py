"""How fast a model and some pictures are on this machine, stage by stage, and what filling adds to them."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..compute.running.measured import Measured
from ..compute.running.report import Settings
from ..store.errors import BadSource, UnsupportedTower

if TYPE_CHECKING:
    from .store import Store

VIEWS = ("image_embeddings", "head_contributions", "mlp_contributions", "head_moments")
"""Views that are filled one by one, each in a store of its own; those made of others take these along."""
BY_TOKEN = ("patch_contributions", "token_contributions")
"""Views that are filled for a few images: they keep much of each."""
FEW = 32
TEXTS = 500
"""So many of our texts are embedded, and heads described in them."""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured, and where."""

    model: str
    images: str
    machine: dict[str, Any]
    """The day, processor, cores, device, precision, batch size and versions."""
    rows: Sequence[Measured]

    def facts(self) -> dict[str, Any]:
        """Give all of it as plain values."""
        return asdict(self)


def bench(
    model: str,
    images: str,
    *,
    checkpoint: str | None = None,
    precision: Literal["float32", "float16", "bfloat16"] = "float32",
    count: int = 256,
    batch_size: int | None = None,
    device: str | None = None,
    compiled: bool = False,
    tell: Callable[[Measured], None] = lambda row: None,
) -> Bench:
    """Time a model and some pictures: decoding, the plain pass, filling, reading, SQL.

    All is done in a store in a temporary folder, which is removed; nothing else is written.

    Args:
        model: A source of a model, such as `open_clip:ViT-B-32/laion2b_s34b_b79k`, with a tower that is taken
            apart.
        images: A source of images; of a folder the first `count` pictures are taken.
        checkpoint: A file of weights.
        precision: `float32`, `float16` or `bfloat16`.
        count: How many images; the more, the less a single hitch counts. Those that cannot be decoded are
            left out of what is filled.
        batch_size: Images in one forward pass; None is what a fill would take.
        device: Where to run; a GPU is taken where there is one.
        compiled: Whether fills let torch compile parts of the tower; compiling itself is not counted.
        tell: Told of each line once it is measured.

    Raises `BadSource` for sources without models or pictures, and `UnsupportedTower` for a tower that is not
    taken apart.
    """
    from ..compute.images.pictures import Pictures
    from ..compute.running import speed
    from .store import Store

    if count < 2 or (batch_size is not None and batch_size < 1):
        raise BadSource(f"count={count}, batch_size={batch_size}: take at least 2 images, 1 at a time")
    settings = Settings(device=device, batch_size=batch_size, compiled=compiled)
    where = settings.runs_on()
    rows: list[Measured] = []

    def note(row: Measured) -> None:
        rows.append(row)
        tell(row)

    with tempfile.TemporaryDirectory(prefix="belvedere-bench-") as folder:
        store = Store(Path(folder) / "store")
        _add(store, images, count)
        found = store.add_model("model", model, checkpoint=checkpoint, precision=precision)
        size = settings.at_once(where, found.shape)
        loaded = store._engine.residents.get(found, where)
        files = store._engine.folder
        decoded = speed.decode(loaded, files.names.image_set("taken"), Pictures(files.objects), size)
        note(decoded.measured)
        note(decoded.alone)
        plain = speed.forward(loaded, decoded.pixels, size)
        note(plain)
        each = [row.seconds / row.count for row in (decoded.measured, plain)]
        least = sum(each) if where == "cpu" else max(each)
        readable = len(decoded.readable)
        _choose(store, "images", "taken", decoded.readable)
        _choose(store, "few", "images", range(min(FEW, readable)))
        del decoded
        how: dict[str, Any] = {"device": where, "batch_size": size, "compiled": compiled, "progress": False}
        for row in _fillings(store, least, how, readable):
            note(row)
        for row in _answers(store, how, readable):
            note(row)
    quick = compiled and loaded.compiled.same is True
    return Bench(model, images, {**speed.machine(where, precision, size), "compiled": quick}, rows)


def _add(store: Store, images: str, count: int) -> None:
    """Add the first pictures of a source."""
    path = Path(images).expanduser()
    store.add_images("every", _files(path, count) if path.is_dir() else images)
    _choose(store, "taken", "every", range(min(count, len(store._engine.folder.names.image_set("every")))))


def _choose(store: Store, name: str, of: str, places: Sequence[int]) -> None:
    """Give some images of a set a name of their own."""
    listed = ", ".join(map(str, places))
    chosen = f"SELECT image_set, image_id FROM images WHERE image_set = '{of}' AND image_id IN ({listed})"
    store.add_images(name, sql=f"{chosen} ORDER BY image_id")


def _files(path: Path, count: int) -> list[Path]:
    """List the first pictures of a folder."""
    from ..compute.images.pictures import SUFFIXES

    every = (
        Path(place) / name
        for place, _, names in sorted(os.walk(path))
        for name in sorted(names)
        if Path(name).suffix.lower() in SUFFIXES
    )
    files = list(islice(every, count))
    if not files:
        raise BadSource(f"there is no picture in {path}")
    return files


def _fillings(store: Store, least: float, how: dict[str, Any], count: int) -> Iterator[Measured]:
    """Fill views one by one, each in a copy of the store; the model is in memory.

    What a first fill has to import and set up is not counted.
    """
    _copy(store, "warm").view(VIEWS[0], images="few").fill(**how)
    for name in (*VIEWS, *BY_TOKEN):
        images, some = ("few", min(FEW, count)) if name in BY_TOKEN else ("images", count)
        with suppress(UnsupportedTower):
            if how["compiled"]:  # what torch compiles for batches of these sizes
                _copy(store, f"{name}-compiled").view(name, images=images).fill(**how)
            copy = _copy(store, name)
            view = copy.view(name, images=images)
            start = time.perf_counter()
            view.fill(**how)
            seconds = time.perf_counter() - start
            kept = sum(row.bytes for row in copy.status(disk=False) if row.view.startswith(f"{name}["))
            yield Measured(f"fill {name}", some, seconds, seconds / some / least, round(kept / some))


def _copy(store: Store, name: str) -> Store:
    """Copy a store in which names are registered, and nothing is kept; models in memory stay there."""
    from .store import Store

    copy = Store(shutil.copytree(store.path, store.path.with_name(name)))
    copy._engine.residents = store._engine.residents
    return copy


def _answers(store: Store, how: dict[str, Any], count: int) -> Iterator[Measured]:
    """Time reading, TextSpan and SQL on what is filled for it."""
    heads = store.view("head_contributions", images="images")
    heads.fill(**how)
    yield _timed("read head_contributions, dense", count, lambda: heads[:])
    statement = (
        "SELECT image_id, layer, head, vector FROM head_contributions "
        "WHERE image_set = 'images' AND image_id = 0"
    )
    yield _timed("SQL, the heads of one image", 1, lambda: store.sql(statement).fetchall())
    if store._engine.folder.names.model("model").text:
        store.add_texts("every", "builtin:general")
        store.add_texts("general", store._engine.folder.names.text_set("every").texts[:TEXTS])
        texts = store.view("text_embeddings", texts="general")
        start = time.perf_counter()
        texts.fill(**how)
        yield Measured("embed texts", texts.shape[0], time.perf_counter() - start)
        store.view("head_moments", images="images").fill(**how)
        start = time.perf_counter()
        store.view("head_descriptions", images="images", texts="general").fill(**how)
        yield Measured("TextSpan, all heads", texts.shape[0], time.perf_counter() - start)


def _timed(what: str, count: int, call: Callable[[], object]) -> Measured:
    """Give the median of some calls."""
    call()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return Measured(what, count, statistics.median(times))

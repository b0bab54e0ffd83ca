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

from ..compute.measured import Measured
from ..store.errors import BadSource, UnsupportedTower

if TYPE_CHECKING:
    from .store import Store

VIEWS = ("image_embeddings", "head_contributions", "mlp_contributions", "head_moments")
"""Views that are filled one by one, each in a store of its own; those made of others take these along."""
BY_TOKEN = ("patch_contributions", "token_contributions")
"""Views that are filled for a few images: they keep much of each."""
FEW = 32
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
    batch_size: int = 32,
    device: str | None = None,
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
        count: How many images; the more, the less a single hitch counts.
        batch_size: Images in one forward pass.
        device: Where to run; a GPU is taken where there is one.
        tell: Told of each line once it is measured.

    Raises `BadSource` for sources without models or pictures, and `UnsupportedTower` for a tower that is not
    taken apart.
    """
    from ..compute import speed
    from ..compute.pictures import Pictures
    from .store import Store

    if count < 2 or batch_size < 1:
        raise BadSource(f"count={count}, batch_size={batch_size}: take at least 2 images, 1 at a time")
    rows: list[Measured] = []

    def note(row: Measured) -> None:
        rows.append(row)
        tell(row)

    with tempfile.TemporaryDirectory(prefix="belvedere-bench-") as folder:
        store = Store(Path(folder) / "store")
        found = store.add_model("model", model, checkpoint=checkpoint, precision=precision)
        _ = found.shape
        _add(store, images, count)
        where = speed.device_of(device)
        loaded = store._engine.residents.get(found, where)
        files = store._engine.folder
        pictures = Pictures(files.objects)
        pixels, decoding = speed.decode(loaded, files.names.image_set("images"), pictures, batch_size)
        note(decoding)
        plain = speed.forward(loaded, pixels, batch_size)
        note(plain)
        each = [row.seconds / row.count for row in (decoding, plain)]
        least = sum(each) if where == "cpu" else max(each)
        del pixels
        for row in _fillings(store, least, where, batch_size, decoding.count):
            note(row)
        for row in _answers(store, where, batch_size, decoding.count):
            note(row)
    return Bench(model, images, speed.machine(where, precision, batch_size), rows)


def _add(store: Store, images: str, count: int) -> None:
    """Add the first pictures of a source."""
    path = Path(images).expanduser()
    if not path.is_dir():
        store.add_images("every", images)
        _first(store, "every", "images", count)
    else:
        store.add_images("images", _files(path, count))
    _first(store, "images", "few", FEW)


def _first(store: Store, of: str, name: str, count: int) -> None:
    """Give the first images of a set a name of their own."""
    chosen = f"SELECT image_set, image_id FROM images WHERE image_set = '{of}' AND image_id < {count}"
    store.add_images(name, sql=f"{chosen} ORDER BY image_id")


def _files(path: Path, count: int) -> list[Path]:
    """List the first pictures of a folder."""
    from ..compute.pictures import SUFFIXES

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


def _fillings(store: Store, least: float, device: str, batch_size: int, count: int) -> Iterator[Measured]:
    """Fill views one by one, each in a copy of the store; the model is in memory."""
    for name in (*VIEWS, *BY_TOKEN):
        images, some = ("few", min(FEW, count)) if name in BY_TOKEN else ("images", count)
        with suppress(UnsupportedTower):
            copy = _copy(store, name)
            view = copy.view(name, images=images)
            start = time.perf_counter()
            view.fill(device=device, batch_size=batch_size, progress=False)
            seconds = time.perf_counter() - start
            kept = sum(row.bytes for row in copy.status(disk=False))
            yield Measured(f"fill {name}", some, seconds, seconds / some / least, round(kept / some))


def _copy(store: Store, name: str) -> Store:
    """Copy a store in which names are registered, and nothing is kept; models in memory stay there."""
    from .store import Store

    copy = Store(shutil.copytree(store.path, store.path.with_name(name)))
    copy._engine.residents = store._engine.residents
    return copy


def _answers(store: Store, device: str, batch_size: int, count: int) -> Iterator[Measured]:
    """Time reading, TextSpan and SQL on what is filled for it."""
    settings: dict[str, Any] = {"device": device, "batch_size": batch_size, "progress": False}
    heads = store.view("head_contributions", images="images")
    heads.fill(**settings)
    yield _timed("read head_contributions, dense", count, lambda: heads[:])
    statement = (
        "SELECT image_id, layer, head, vector FROM head_contributions "
        "WHERE image_set = 'images' AND image_id = 1"
    )
    yield _timed("SQL, the heads of one image", 1, lambda: store.sql(statement).fetchall())
    if store._engine.folder.names.model("model").text:
        store.add_texts("general", "builtin:general")
        texts = store.view("text_embeddings", texts="general")
        start = time.perf_counter()
        texts.fill(**settings)
        yield Measured("embed texts", texts.shape[0], time.perf_counter() - start)
        store.view("head_moments", images="images").fill(**settings)
        start = time.perf_counter()
        store.view("head_descriptions", images="images", texts="general").fill(**settings)
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

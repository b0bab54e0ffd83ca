"""Where a set of images comes from, and what is read of each image once."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from ...store import digest
from ...store.errors import BadSource
from . import image_tables, images_in_memory, mat_segmentation, torchvision_sets
from .dataset_folders import is_dataset, open_rows
from .decoding import measure
from .found import Found, Row, Tick
from .images_in_memory import InMemory
from .masks import entry as mask_entry
from .masks import with_concepts, with_masks
from .pictures import DATASET, DEMO, SUFFIXES, Pictures

DEMO_SCENES = 2000
"""How many scenes `demo:scenes` has."""
THREADS = 8
"""Files that are read at once."""
ImageSource = str | Path | Iterable[str | Path] | InMemory
"""What `add_images` takes."""


def find(
    source: ImageSource,
    labels: Literal["folder"] | None,
    pictures: Pictures,
    tick: Tick,
    masks: str | Path | None = None,
    concepts: str | Path | Mapping[int, str] | None = None,
) -> list[Found]:
    """List the pictures of a source; those that are in memory are kept in the store, one after the other.

    Args:
        source: A folder (read with all below it), a glob, a list of files, a .csv or .parquet table with a
            column `path` and perhaps `label`, `grp` (or `group`) and `mask`, Waterbirds' own metadata.csv,
            with `#SPLIT` for one of its splits, a Hugging Face data set folder or a .parquet shard of one,
            with `#SPLIT` where it has several, PIL images or pairs of a PIL image and a label,
            ImageNet-Segmentation's `gtsegs_ijcv.mat`, torchvision's data sets on this machine, as
            `torchvision:CIFAR10/FOLDER#test`, `demo:scenes` or `demo:crossed`, or `demo:scenes[:N]`
            for the first N of them.
        labels: "folder" takes each picture's class from the first folder below the source.
        pictures: The pictures of the store.
        tick: Told how many of how many pictures in memory are kept.
        masks: A folder or table of the pictures' masks; see `compute/images/masks.py`.
        concepts: What each number in them stands for, or a table of that.

    Raises:
        BadSource: There is nothing of the kind, or no picture in it; or no masks, or of other pictures.
        UnknownName: A table lacks the column `path`, or one of masks the column `mask`.
        MissingExtra: The source needs a library that is not installed.
    """
    if labels not in (None, "folder"):
        raise BadSource(f"labels={labels!r}: only 'folder' gives labels")
    if labels and (not isinstance(source, str | Path) or not Path(source).is_dir()):
        raise BadSource(f"labels='folder' goes with a folder, which {source} is not")
    if isinstance(source, str | Path):
        what, found = str(source), _named(str(source), labels, pictures, tick)
    else:
        what, found = "the list", _listed(source, pictures, tick)
    if not found:
        raise BadSource(f"{what} names no pictures; known are {', '.join(sorted(SUFFIXES))}")
    twice = [path for path, count in Counter(each.path for each in found).items() if count > 1]
    if twice:
        raise BadSource(f"{what} names {twice[0]} twice; copy the file if it is to count twice")
    found = found if masks is None else with_masks(found, source, masks)
    return found if concepts is None else with_concepts(found, concepts)


def written(source: ImageSource, found: Sequence[Found]) -> str:
    """Write down a source: its absolute path where it is one."""
    if not isinstance(source, str | Path):
        kept = any(each.facts for each in found)
        return f"{len(found)} pictures in memory" if kept else f"a list of {len(found)}"
    text = str(source)
    if text.startswith(torchvision_sets.PREFIX):
        return torchvision_sets.written(text)
    return text if text.startswith("demo:") else str(Path(text).absolute())


def read_all(found: Sequence[Found], known: Mapping[str, Row], pictures: Pictures, tick: Tick) -> list[Row]:
    """Read every picture's bytes for its digest and its header for its size; a row for each, in order.

    A picture whose facts the source knows is not read, nor is one that is known by its path, and whose
    size and time are those that are known. One that is no picture keeps its place, with no width and
    height; one that cannot be opened at all raises `BadSource`.
    """
    rows = []
    with ThreadPoolExecutor(THREADS) as pool:
        made = pool.map(lambda each: _entry(each, known.get(each.path), pictures), found)
        for each, row in zip(found, made, strict=True):
            rows.append(row)
            if each.facts is None:
                tick(len(rows), len(found))
    return rows


def _entry(found: Found, known: Row | None, pictures: Pictures) -> Row:
    place = {"path": found.path, "label": found.label, "grp": found.grp}
    if found.facts is not None:
        return mask_entry(found, {**found.facts, **place}, pictures)
    try:
        size, modified = pictures.stamp(found.path) or (None, None)
        stamp = {"size": size, "modified": modified}
        if known is not None and stamp == {key: known[key] for key in stamp}:
            return mask_entry(found, {**known, **place}, pictures)
        data = pictures.read(found.path)
    except OSError as error:
        raise BadSource(f"{found.path} cannot be read ({error.strerror})") from error
    width, height = measure(data) or (None, None)
    row = {**place, **stamp, "digest": digest.of_bytes(data), "width": width, "height": height}
    return mask_entry(found, row, pictures)


def _named(source: str, labels: Literal["folder"] | None, pictures: Pictures, tick: Tick) -> list[Found]:
    """List the pictures of a source that is a name of something."""
    path = Path(source)
    if source.startswith("demo:"):
        return _scenes(source)
    if source.startswith(torchvision_sets.PREFIX):
        opened = torchvision_sets.open_set(source)
        return torchvision_sets.files(opened) or _listed(opened, pictures, tick)
    if path.suffix.lower() == ".mat" and path.is_file():
        return mat_segmentation.read(path, pictures, tick)
    if path.is_dir():
        return _folder(path, labels)
    if path.suffix.lower() in (".csv", ".parquet"):
        return _dataset(path, "") if is_dataset(path) else image_tables.read(path)
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES and measure(path.read_bytes()) is None:
            raise BadSource(f"{path} is no picture; tables of pictures end in .csv or .parquet")
        return [image_tables.file(path)]
    folder, hashed, split = source.rpartition("#")
    if hashed and Path(folder).suffix.lower() == ".csv" and Path(folder).is_file():
        return image_tables.read(Path(folder), split)
    if hashed and Path(folder).exists():
        return _dataset(Path(folder), split)
    return _glob(source)


def _listed(source: Iterable[Any], pictures: Pictures, tick: Tick) -> list[Found]:
    """List files, or keep pictures that are in memory; the first says which of the two they are."""
    items = images_in_memory.items(source)
    first = next(items, None)
    if first is None:
        return []
    whole = chain([first], items)
    if isinstance(first, str | PathLike):
        return [image_tables.file(Path(path)) for path in whole]
    return images_in_memory.keep(whole, source, pictures, tick)


def _folder(folder: Path, labels: Literal["folder"] | None) -> list[Found]:
    root = folder.resolve()
    files = (each for each in root.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    found = []
    for each in sorted(files, key=lambda each: each.relative_to(root).parts):
        below = each.relative_to(root).parts[:-1]
        found.append(Found(str(each), below[0] if labels == "folder" and below else None))
    try:
        dataset = is_dataset(root)
    except BadSource:
        if not found:
            raise
        return found  # whatever that Parquet file was, the pictures beside it are meant
    if not dataset:
        return found
    if found:
        raise BadSource(
            f"{folder} holds both pictures and a data set; for the data set name the file of one shard or a "
            f"folder without pictures, or a split as {folder}#train, for the pictures a glob"
        )
    if labels:
        raise BadSource(
            f"{folder} is a data set, which has its labels in a column; leave labels='folder' out"
        )
    return _dataset(folder, "")


def _dataset(root: Path, split: str) -> list[Found]:
    """List the rows of one split; an empty name takes the only one."""
    rows = open_rows(root, split)
    source = f"{DATASET}{root.resolve()}#{split}"
    told = zip(rows.labels(), rows.groups(), strict=True)
    return [Found(f"{source}/{row}", label, grp) for row, (label, grp) in enumerate(told)]


def _glob(pattern: str) -> list[Found]:
    if not glob.has_magic(pattern):
        raise BadSource(f"no folder, file or table {pattern}")
    files = sorted(Path(each).resolve() for each in glob.glob(pattern, recursive=True))
    return [Found(str(each)) for each in files if each.is_file()]


def _scenes(source: str) -> list[Found]:
    """List scenes of the demo world, or the first of them: `demo:scenes[:500]`."""
    from ...demo.backgrounds import SIDE
    from ...demo.crossed import crossed_attributes
    from ...demo.digests import digests
    from ...demo.scenes import attributes

    def scene(index: int) -> tuple[str, str]:
        drawn = attributes(index)
        return drawn["shape"], drawn["background"]

    families = {"scenes": scene, "crossed": crossed_attributes}
    asked = re.fullmatch(r"demo:(\w+)(?:\[:(\d+)\])?", source)
    count = int(asked[2] or DEMO_SCENES) if asked else 0
    if asked is None or asked[1] not in families or not 0 < count <= DEMO_SCENES:
        raise BadSource(
            f"no images {source!r}; there are demo:scenes, {DEMO_SCENES:,} of them, and demo:scenes[:N], and "
            "as many of demo:crossed"
        )
    known: Row = {"width": SIDE, "height": SIDE, "size": None, "modified": None}
    return [
        Found(f"{DEMO}{asked[1]}/{index}", *families[asked[1]](index), {**known, "digest": painted})
        for index, painted in enumerate(digests(asked[1])[:count])
    ]

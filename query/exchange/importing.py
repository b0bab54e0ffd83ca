"""Takes into a store what others have computed, and says so wherever it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from ...compute import array_files
from ...compute import imported_arrays as imports
from ...compute.array_files import FileArray, Tick
from ...compute.kinds import ImagePass, Made
from ...compute.running.report import Progress, Report, Settings
from ...compute.running.runner import Runner
from ...compute.running.steps import Step
from ...compute.views.imported_contributions import DIMS, ImportedContributions
from ...compute.views.neuron_activations import NeuronActivations
from ...store.errors import BadSource, ReadOnlyStore, UnitFailed, UnknownName
from ...store.registry import check_name
from ...store.sets import ImageSet, Model, Module
from ..names import adding

if TYPE_CHECKING:
    from ..engine import Engine

Pooled = Literal["mean", "max", "cls"]
Contributions = Literal["heads", "mlps", "class-token"]
POOLED = ("mean", "max", "cls")
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has put into a store."""

    view: str
    """The view that holds it now, with its inputs."""
    dims: tuple[str, ...]
    """The names of its axes."""
    shape: tuple[int, ...]
    """Its shape."""
    dtype: str
    """The data type that the file has; float32 is kept."""
    written: int
    """Units written now."""
    reused: int
    """Units that were there already: this file was imported for these images before."""
    absent: int
    """Images, in the units written now, whose rows are NaN."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a file is said to hold; part of its identity."""

    facts: Mapping[str, str]
    """`activations` (a module) and `pool`, or `contributions` (a kind) and `convention`."""
    dims: tuple[str, ...]
    """The axes that its array has to have."""

    @property
    def module(self) -> str:
        """The name under which the model lists it."""
        return self.facts.get("activations") or self.facts["contributions"]

    def view(self, model: Model, images: ImageSet) -> ImagePass:
        """Give the view whose units it becomes."""
        if "contributions" in self.facts:
            return ImportedContributions(model, images)
        return NeuronActivations(model, images, self.module, pool=cast("Pooled", self.facts["pool"]))


def import_arrays(
    engine: Engine,
    name: str,
    path: str | os.PathLike[str],
    *,
    images: str,
    module: str | None,
    pool: Pooled | None,
    contributions: Contributions | None,
    key: str | None,
    note: str | None,
    narrow: bool,
    absent_nan: bool,
    replace: bool,
    progress: Progress,
) -> Imported:
    """Import an array; see `Store.import_arrays`."""
    check_name("a model", name)
    said = _said(module, pool, contributions)
    listed = engine.folder.names.image_set(images)
    array = array_files.find(path, key)
    _check_shape(array, said, listed)
    if not engine.folder.writable:
        raise ReadOnlyStore('the store was opened with mode="r"; open it with mode="a" to import into it')
    try:
        progress.begin(-(-array.stamp[1] // MB), f"MB of {array.path.name}")
        model = _model(name, array, array.digest(_by_megabyte(progress)), said, listed, note)
        adding.check_free(engine.folder.names, model, replace=replace)
        view = engine.same(said.view(model, listed))
        done = engine.done(view)
        spans = [(unit.start, unit.stop) for unit in view.units if unit.key not in done]
        progress.begin(sum(stop - start for start, stop in spans), f"checking {array.path.name}")
        absent = imports.check(array, spans, narrow=narrow, absent_nan=absent_nan, tick=progress.advance)
    finally:
        progress.end()
    report = _keep(engine, view, array, absent, done, progress)
    adding.keep_model(engine.folder.names, model, replace=replace)
    return Imported(
        view.title(),
        view.dims,
        view.shape,
        array.dtype,
        written=report.filled,
        reused=len(view.units) - report.filled,
        absent=report.absent,
    )


def _said(module: str | None, pool: str | None, contributions: str | None) -> Said:
    """Say what a file holds; `BadSource` unless it is one of the two."""
    if (module is None) == (contributions is None):
        raise BadSource(
            "say what the file holds: module=… (--module) for the activations of a module, or "
            f"contributions=… (--contributions), one of {', '.join(DIMS)}"
        )
    if contributions is not None:
        if pool is not None:
            raise BadSource(f"pool={pool!r} goes with module=…, not with contributions=…")
        if contributions not in DIMS:
            raise UnknownName("kind of contributions", contributions, DIMS)
        return Said({"contributions": contributions, "convention": "clip_prs"}, DIMS[contributions])
    if not module:
        raise BadSource("module='' names no module; take the name of the layer, such as 'layer4'")
    if pool is not None and pool not in POOLED:
        raise UnknownName("pool of imported activations", pool, POOLED)
    return Said({"activations": module, "pool": pool or "mean"}, ("image", "neuron"))


def _check_shape(array: FileArray, said: Said, images: ImageSet) -> None:
    """Refuse an array of other axes, or of more or fewer rows than there are images."""
    sizes = " × ".join(map(str, array.shape)) or "no axis"
    if len(array.shape) != len(said.dims) or 0 in array.shape:
        what = said.facts.get("contributions", "activations")
        raise BadSource(
            f"{array.name} is {sizes}; {what} have {len(said.dims)} axes, none empty: {' × '.join(said.dims)}"
        )
    if array.shape[0] != len(images):
        raise BadSource(
            f"{array.name} has {array.shape[0]:,} rows, and {images.name!r} has {len(images):,} images: they "
            "have to be the same, in the same order; add the images that the file was made from as a set"
        )


def _model(name: str, array: FileArray, sha256: str, said: Said, images: ImageSet, note: str | None) -> Model:
    """Describe what was imported as a model that cannot run."""
    holds_contributions = "contributions" in said.facts
    problem = "they are contributions; ask for the view imported_contributions"
    facts = {
        "file": sha256,
        "key": array.key,
        "shape": list(array.shape),
        "dtype": array.dtype,
        "images": images.all_contents,
        **said.facts,
    }
    entry = Module("imported", array.shape[1:], 0, 0, problem if holds_contributions else None)
    return Model(
        name=name,
        source=f"import:{array.path.name}",
        checkpoint=None,
        precision=cast("Any", array.dtype if array.dtype != "float64" else "float32"),
        tower=None,
        modules={said.module: entry},
        image={"imported": facts},
        text={},
        libraries={},
        note=note,
    )


def _keep(
    engine: Engine,
    view: ImagePass,
    array: FileArray,
    absent: Mapping[int, str],
    done: Set[str],
    progress: Progress,
) -> Report:
    """Write the units that were checked, each from its rows; `UnitFailed` where one cannot be written."""
    steps = [Step((unit,)) for unit in view.units if unit.key not in done]
    if not steps:
        engine.folder.records.describe(view)
        return Report()
    runner = Runner(
        engine.folder,
        engine.reader,
        engine.residents,
        Settings(device="import", retry_failed=True),
        progress,
        make=partial(_made, array, absent),
    )
    report = runner.run(steps, done)
    for step in steps:
        if not report.complete and (reason := engine.folder.failures.whole(step.units[0])):
            raise UnitFailed(str(step.units[0]), reason.message)
    return report


def _made(array: FileArray, absent: Mapping[int, str], step: Step) -> dict[str, Made]:
    """Give the rows of a unit, in float32."""
    view, unit = cast("ImagePass", step.view), step.units[0]
    values = imports.narrowed(array.rows(unit.start, unit.stop))
    gone = {row - unit.start: reason for row, reason in absent.items() if unit.start <= row < unit.stop}
    said = dict(view.model.imported or {})
    facts = {"imported": {"name": array.path.name, "rows": [unit.start, unit.stop], **said}}
    return {unit.key: Made({view.members()[0].name: values}, absent=gone, facts=facts)}


def _by_megabyte(progress: Progress) -> Tick:
    """Tell a progress bar of whole megabytes while bytes are counted."""
    counted = 0

    def tick(count: int) -> None:
        nonlocal counted
        before, counted = counted // MB, counted + count
        progress.advance(counted // MB - before)

    return tick

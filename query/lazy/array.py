"""An array that is computed when somebody first looks, and read from what is kept from then on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ...compute.language.allowance import Allowance
from ...compute.running.report import Progress, Report, Settings
from ...store.extras import extra
from ...store.views import Array, ArrayView
from .. import question
from ..engine import Engine
from .coords import Coords, beside
from .part import Part, Select, part_of
from .reading import Absent, Missing, Reading, unmasked
from .selection import Index, parse, parse_outer, rows_of
from .view import Lazy, check_known, check_missing

if TYPE_CHECKING:
    from xarray import DataArray

    from ...compute.torch_data import Tensor, ViewDataset
    from ..exchange.export import Exported
    from .batches import Batch


class LazyArray(Lazy[ArrayView]):
    """An array view: indexed like a numpy array, it reads what is kept and computes the rest."""

    def __init__(self, engine: Engine, view: ArrayView) -> None:
        super().__init__(engine, view)
        self._reading = Reading(engine, view)

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes."""
        return self._view.dims

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._view.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type that a read gives."""
        return self._view.shown

    @property
    def nbytes(self) -> int:
        """The bytes that the whole array would take in memory; what is kept is often far smaller."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Array:
        return self.read(index)

    def _repr_html_(self) -> str:
        from ..seeing.html import of_array

        return of_array(self)

    def __reduce__(self) -> Any:
        folder, view = self._engine.folder, self._view
        asked = {**question.inputs(view), **question.parameters(view)}
        return question.again, (folder.root, folder.mode, view.name(), asked, question.identity(view))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.read(...), dtype=dtype)

    def read(self, index: Index = ..., *, missing: Missing = "fill") -> Array:
        """Read part of the array, indexed as numpy would be.

        Args:
            index: Integers, slices, one list or mask, an Ellipsis, or a tuple of those.
            missing: "fill" computes the units that are missing; "raise" raises; "mask" gives a masked
                array in which what is missing or could not be read is masked.

        Raises:
            BadSelection: The index does not fit.
            BadSource: `missing` is none of the three.
            MissingUnits: Units are missing, and are not to be filled or cannot be.
            UnitFailed: A unit could not be made.
            CannotRun: A unit was imported, and is missing or damaged.
            AbsentRows: The selection has images or texts that could not be read (not with "mask").
            DamagedUnit: Bytes are not those that were written, and are not to be filled again.
        """
        check_missing(missing, get_args(Missing))
        return self._reading.read(parse(index, self.dims, self.shape), missing)

    def to_torch(self, index: Index = ..., *, missing: Missing = "fill") -> Tensor:
        """Read part of the array as a torch tensor in the main memory, indexed as `read` is.

        With missing="mask", NaN stands for what is missing or could not be read. Errors are those of `read`.
        """
        from ...compute.torch_data import tensor

        return tensor(unmasked(self.read(index, missing=missing)))

    def to_xarray(self, name: str | None = None, *, missing: Missing = "fill") -> DataArray:
        """Give the array to xarray, lazily: what is looked at (`.values`, `.load()`) is read, or filled.

        Coordinates are `image_id` (or `text_id`), by which `sel` selects, with the columns of the set that
        have values; positions along `layer`, `head`, `token` and `neuron`; and what is in `coords`. Of two
        axes of one name the second is called `factor_2`.

        Args:
            name: Its name, the view's unless said.
            missing: As in `read`, when something is looked at; with "mask" NaN stands for what is masked.

        Raises:
            MissingExtra: xarray is not installed; it is the extra `xarray`.
            BadSource: `missing` is none of the three.
        """
        check_missing(missing, get_args(Missing))
        extra("xarray")
        from .xarray_array import data_array

        return data_array(self, name, missing)

    def iter_batches(
        self,
        batch_size: int = 256,
        *,
        index: Index = ...,
        missing: Literal["fill", "raise"] = "fill",
        absent: Absent = "raise",
    ) -> Iterator[Batch]:
        """Go through the array in order, so many positions of its first axis at a time.

        Only one batch is in memory, and only the units that it touches are filled before it is given out.

        Args:
            batch_size: Positions of the first axis in a batch; the last, and one with absent rows, has fewer.
            index: What to go through, each axis on its own as with `numpy.ix_`; the first one stays.
            missing: "fill" computes the units that are missing, "raise" raises `MissingUnits`.
            absent: "raise" raises `AbsentRows` for images and texts that could not be read, "skip" leaves
                them out.

        Raises:
            BadSource: `batch_size` is below 1, or `missing` or `absent` is another word.
            BadSelection: The index does not fit.
        """
        from .batches import batches

        check_missing(missing, ("fill", "raise"))
        check_known("absent", absent, get_args(Absent))
        return batches(self._reading, rows_of(index, self.dims, self.shape), batch_size, missing, absent)

    def dataset(
        self,
        select: Index = ...,
        *,
        label: str | None = "label",
        missing: Literal["fill", "raise"] = "fill",
    ) -> ViewDataset:
        """Make a torch dataset of the array's rows and their labels, such as a probe is trained on.

        What is missing is computed first. Rows without a label, and images that could not be read, are left
        out and counted in `skipped`. A `DataLoader` reads a whole batch at once; with workers, let it start
        them with `multiprocessing_context="forkserver"`.

        Args:
            select: Which rows, and what of each, each axis on its own as with `numpy.ix_`; the first stays.
            label: A column of the image set (`label` or `grp`) or text set (`category`); None for rows alone.
            missing: "fill" computes the units that are missing, "raise" raises `MissingUnits`.

        Raises:
            UnknownName: There is no such column.
            BadSource: None of the rows has a label, or `missing` is another word.
            BadSelection: The index does not fit.
        """
        from .labelled import dataset

        check_missing(missing, ("fill", "raise"))
        return dataset(self, rows_of(select, self.dims, self.shape), label, missing)

    @property
    def coords(self) -> Mapping[str, Any]:
        """What stands beside the array, by name.

        Names along an axis, such as `term`, are a tuple. Numbers that are kept beside each image, such as
        `norm`, are an array, read and filled when they are asked for; NaN where the image could not be read.
        """
        return Coords(self._view.coords(), lambda name: self._beside(name, ..., "fill"))

    def _beside(self, name: str, index: Index, missing: Missing) -> Array:
        """Read numbers that are kept beside the array, indexed along its first axis."""
        shown = beside(self._view, name, self._engine.reader)
        return self._reading.read(parse_outer(index, self.dims[:1], self.shape[:1]), missing, shown)

    def _outer(self, index: Index, missing: Missing) -> Array:
        """Read part of the array, each axis indexed on its own."""
        return self._reading.read(parse_outer(index, self.dims, self.shape), missing)

    def fill(
        self,
        selection: Index = ...,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Report:
        """Compute what is missing of a part of the array, without reading it; see `Lazy.fill`."""
        units = self._reading.touched(parse(selection, self.dims, self.shape))
        return self._fill(
            units,
            Settings(
                device=device,
                batch_size=batch_size,
                workers=workers,
                retry_failed=retry_failed,
                allowance=allowance,
                compiled=compiled,
            ),
            progress,
        )

    def part(self, select: Select = "") -> Part:
        """Find what `export` takes for a text such as `image=0:1000,layer=-1`: its axes and their lengths."""
        known = {name: each for name, each in self._view.coords().items() if isinstance(each, tuple)}
        return part_of(self._view.name(), self.dims, self.shape, known, select)

    def export(
        self,
        dest: str | PathLike[str],
        *,
        select: Select = "",
        form: Literal["zarr", "npy", "safetensors", "parquet"] | None = None,
        missing: Literal["fill", "raise"] = "fill",
        overwrite: bool = False,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Exported:
        """Write a plain dense copy for other programs, block by block; missing units are filled first.

        `dest` ends in .zarr (a folder), .npy, .safetensors or .parquet, or `form` says the format. It is
        written under another name and renamed at its end, so that what bears the name is whole. `select`
        takes a part: `image=0:1000,layer=-1`, `head=0,3`, `term=embedding` or `{"image": slice(0, 1000)}`.

        With missing="fill", images and texts that could not be read keep their places, as NaN (in Parquet
        null), and the answer lists them; "raise" raises for them, and for units that are missing.

        Raises:
            BadDestination: Something is there (without `overwrite`), there is no room, or no such format.
            BadSelection: The part does not fit the array.
            MissingUnits: Units are missing, and are not to be filled or cannot be.
            AbsentRows: Images or texts could not be read: with "raise", or where nothing else is selected.
            UnitFailed: A unit could not be made.
        """
        from ..exchange.export_array import export_array

        check_missing(missing, ("fill", "raise"))
        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
        return export_array(self, dest, form, select, missing, settings, progress, overwrite=overwrite)

"""All that the file of a view imports; nothing here loads torch.

What a view is. A frozen dataclass, `ArrayView` or `TableView`, that also derives from the way in which its
units come to be; its fields are marked `Input`, `Param` or `Read`.

    View            what arrays and tables have in common: name, version, recipe, units
    ArrayView       a view whose units are small Zarr arrays
    Member          one of these arrays, as `members` declares it: axes, shape, data type, inner chunks
    TableView       a view whose units are rows; it declares its `columns`
    Input           a field that says what the view is made from: one of the next three, or another view
    Model, ImageSet, TextSet   what registered names stand for
    Param           a field that changes what is kept: part of the identity
    Read            a field that is chosen on each read: what is kept serves every value of it

How it is cut. Positions along the view's first axis, in blocks.

    Grid            a length and a block: `Grid(layers, 1)` has a unit for each layer
    Unit            one of them: `index`, `start`, `stop`, `key`, and `needs`, the units it is made from
    digest          `digest.of_sequence` of the keys of what a unit is made from is what `contents` gives

How a unit is made. By a method of the view.

    Derived         from units of other views, without a model: `derive(unit, parts) -> Made`
    TowerPass       during a pass of the images through a decomposed tower: `collect(trace)`
    ModulePass      during a pass of the images, from what one module gives: `collect(output)`
    TextPass        during a pass of the texts: `collect(features)`
    TextTowerPass   during a pass of the texts through a decomposed text tower: `collect(trace)`
    OfTower         from the vision tower's weights: `extract(constants)`
    Parts           reads what is kept: `array(view, member, selection)` and `rows(unit)`
    Made            what was made: arrays or rows, which rows are absent, what was measured on the way

How it is read. `show(parts, selection)` of an array, `narrow(rows)` of a table.

    Array           a numpy array
    Axis            what selects along one axis: a slice with a positive step, or positions
    Coord           what stands beside an array: names along an axis, or what reads numbers
    BadSource       the error with which `__post_init__` refuses a parameter

The views that others can be made from are in `belvedere.compute.views`, each in the file of its name:
`from belvedere.compute.views.head_moments import HeadMoments`. A tutorial is docs/new-view.md.
"""

from __future__ import annotations

from .compute.kinds import Derived, Made, ModulePass, OfTower, TextPass, TextTowerPass, TowerPass
from .store import digest
from .store.errors import BadSource
from .store.grid import Grid
from .store.sets import ImageSet, Model, TextSet
from .store.views import (
    Array,
    ArrayView,
    Axis,
    Coord,
    Input,
    Member,
    Param,
    Parts,
    Read,
    TableView,
    Unit,
    View,
)

__all__ = [
    "Array",
    "ArrayView",
    "Axis",
    "BadSource",
    "Coord",
    "Derived",
    "Grid",
    "ImageSet",
    "Input",
    "Made",
    "Member",
    "Model",
    "ModulePass",
    "OfTower",
    "Param",
    "Parts",
    "Read",
    "TableView",
    "TextPass",
    "TextSet",
    "TextTowerPass",
    "TowerPass",
    "Unit",
    "View",
    "digest",
]

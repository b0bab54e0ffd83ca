"""The one tree of errors; a message says what was asked, what is there, and what to do.

```
BelvedereError
├── StoreError
│   ├── NotAStore (FileNotFoundError)      the folder holds no store
│   ├── NewerFormat (ValueError)           written by a later Belvedere
│   ├── OlderFormat (ValueError)           written by an earlier one, in a format that is no longer read
│   ├── DamagedObject (ValueError)         a name, list, recipe, failure, run or marker whose bytes changed
│   ├── ReadOnlyStore (PermissionError)    opened with mode="r"
│   ├── StoreFull (OSError)                no room left on the device
│   └── Forked (RuntimeError)              used in a process that was forked after the store was used
├── NamingError
│   ├── UnknownName (KeyError)             no model, image set, text set, view, parameter, column of that name
│   ├── NameTaken (ValueError)             the name stands for something else
│   ├── BadName (ValueError)               characters that a name cannot have
│   └── BrokenView (ImportError)           a view of another package that cannot be used
├── InputError
│   ├── BadSource (ValueError)             a source that cannot be read as what was asked
│   ├── BadDestination (ValueError)        a place that cannot be written to as asked
│   ├── UnsupportedTower (ValueError)      a vision or text tower that is not decomposed exactly
│   ├── NoTextTower (ValueError)           a model that embeds no texts
│   ├── NoLaterHead (ValueError)           neurons that no head stands after
│   ├── UnsuitableModule (ValueError)      a module whose output cannot be taken as activations
│   ├── CannotRun (RuntimeError)           a model that was imported, or a module that has to be given again
│   ├── NotImported (LookupError)          a view of what is imported, of a model that is not
│   ├── NotAnnotated (LookupError)         images without the classes or masks that a view is made from
│   ├── NoCategories (LookupError)         texts without the categories that a view is made from
│   ├── CannotJudge (LookupError)          labels with nothing to compare them with
│   ├── WeightsChanged (ValueError)        the checkpoint is no longer the one that was added
│   ├── UnreadablePicture (ValueError)     a file that is no picture, or not a whole one
│   ├── PictureChanged (ValueError)        a file whose bytes are not those that were added
│   ├── MissingExtra (ImportError)         a library that an extra of the package brings
│   ├── BadKey (PermissionError)           a provider's key that is not set, or not accepted
│   ├── RequestRejected (ValueError)       a request that a provider will not answer
│   └── BadSelection (IndexError)          an index outside the array
├── UnitError
│   ├── MissingUnits (LookupError)         asked for with missing="raise", or in a read-only store
│   ├── DamagedUnit (ValueError)           bytes that are not those that were written
│   ├── UnitFailed (RuntimeError)          a unit that could not be made
│   ├── NoDirection (ArithmeticError)      a model embeds as zeros, or as what is no number
│   ├── AbsentRows (LookupError)           images or texts that could not be read
│   ├── RequestFailed (ConnectionError)    a request that failed at every attempt
│   ├── NotRecorded (LookupError)          a request to which no reply was recorded
│   └── InexactDecomposition (ArithmeticError)   terms that do not sum to the embedding
├── OverBudget (RuntimeError)              a statement that would compute more than it may
├── BudgetSpent (RuntimeError)             what a language model may take is used up
├── ProviderDown (ConnectionError)         a provider that fails request after request
└── QueryError (ValueError)                a statement that cannot be answered
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from .nearest import nearest


class BelvedereError(Exception):
    """Base of every error that Belvedere raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class StoreError(BelvedereError):
    """The store as a whole cannot be used as asked."""


class NotAStore(StoreError, FileNotFoundError):
    """The folder holds no Belvedere store."""


class NewerFormat(StoreError, ValueError):
    """The store was written in a format that this version cannot read."""


class OlderFormat(StoreError, ValueError):
    """The store was written in a format that this version does not read any more."""


class DamagedObject(StoreError, ValueError):
    """An object that belongs to no unit is not what was written; carries `path` and `what`."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        self.path, self.what = path, what
        super().__init__(f"{path} is damaged ({what}); {remedy}")


class ReadOnlyStore(StoreError, PermissionError):
    """Something was to be written to a store that was opened to read."""


class StoreFull(StoreError, OSError):
    """The device that holds the store refused to take more."""


class Forked(StoreError, RuntimeError):
    """A store was used in a process that was forked after its first use, where reads would never end."""


class NamingError(BelvedereError):
    """A name cannot be used as asked."""


class UnknownName(NamingError, KeyError):
    """Nothing of this kind has this name; carries `kind`, `name` and `known`."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"no {kind} {name!r}{nearest(name, self.known)}{hint and f' ({hint})'}")


class NameTaken(NamingError, ValueError):
    """The name already stands for something else."""


class BadName(NamingError, ValueError):
    """The name has characters that a name cannot have."""


class BrokenView(NamingError, ImportError):
    """A view of another package that cannot be used; carries `view`, `packages` and `reason`."""

    def __init__(self, view: str, packages: Sequence[str], reason: str) -> None:
        self.view, self.packages, self.reason = view, tuple(packages), reason
        super().__init__(
            f"the view {view!r} of {' and of '.join(self.packages)} cannot be used: {reason} "
            "(mend or uninstall the package; everything else goes on)"
        )


class InputError(BelvedereError):
    """What was given cannot be worked with."""


class BadSource(InputError, ValueError):
    """A source that cannot be read as what was asked."""


class BadDestination(InputError, ValueError):
    """A place that cannot be written to as asked, or holds something already."""


class UnsupportedTower(InputError, ValueError):
    """A vision tower, or a text tower, that cannot be decomposed exactly; carries `name` and `reason`.

    With `wanted` it is taken apart, but not as far as that.
    """

    def __init__(
        self, name: str, reason: str, side: Literal["vision", "text"] = "vision", *, wanted: str = ""
    ) -> None:
        self.name, self.reason = name, reason
        known = {
            "vision": "docs/towers.md lists the towers that are, and how far",
            "text": "Towers that are: open_clip's own text transformers, of CLIP and CustomTextCLIP",
        }
        lacks = f"has no {wanted}" if wanted else "is not supported"
        super().__init__(f"the {side} tower of {name!r} {lacks}: {reason}. {known[side]}")


class NoTextTower(InputError, ValueError):
    """A model that embeds no texts; carries `model` and `source`."""

    def __init__(self, model: str, source: str, hint: str = "") -> None:
        self.model, self.source = model, source
        if source.startswith("hf:"):
            hint = f" (of hf: models those of CLIP and SigLIP do that have their tokenizer's files){hint}"
        if source.startswith("module:"):
            hint = f"; if it can, add it with its tokenizer: tokenizer=…{hint}"
        super().__init__(f"model {model!r} ({source}) embeds no texts{hint}")


class NoLaterHead(InputError, ValueError):
    """An MLP whose neurons no attention head reads, or a layer that is none."""


class UnsuitableModule(InputError, ValueError):
    """A module whose output cannot be taken as activations; carries `module` and `reason`."""

    def __init__(self, module: str, reason: str, hint: str) -> None:
        self.module, self.reason = module, reason
        super().__init__(f"the activations of module {module!r} cannot be taken: {reason}; {hint}")


class CannotRun(InputError, RuntimeError):
    """A model that cannot run here: its arrays were imported, or its module has to be given again."""


class NotImported(InputError, LookupError):
    """Nothing of the kind was imported under a model's name; carries `model` and `kind`."""

    def __init__(self, model: str, kind: str) -> None:
        self.model, self.kind = model, kind
        super().__init__(
            f"no {kind} were imported as {model!r}; belvedere import arrays takes them from a file, "
            "under a name of their own"
        )


class NotAnnotated(InputError, LookupError):
    """Images lack the classes or masks that a view is made from; carries `images` and `lacking`."""

    def __init__(self, images: str, lacking: str, hint: str) -> None:
        self.images, self.lacking = images, lacking
        super().__init__(f"the images {images!r} have no {lacking}: {hint}")


class NoCategories(InputError, LookupError):
    """Texts lack the categories that a view is made from; carries `texts`."""

    def __init__(self, texts: str, hint: str) -> None:
        self.texts = texts
        super().__init__(f"the texts {texts!r} have no categories: {hint}")


class CannotJudge(InputError, LookupError):
    """Labels that cannot be judged as asked, for want of something to compare them with; carries `module`."""

    def __init__(self, module: str, lacking: str, hint: str) -> None:
        self.module = module
        super().__init__(f"the labels of {module!r} cannot be judged so: {lacking}; {hint}")


class WeightsChanged(InputError, ValueError):
    """The checkpoint on disk is no longer the one that was added."""


class UnreadablePicture(InputError, ValueError):
    """A file that is no picture, or not a whole one; the message says which of the two."""


class PictureChanged(InputError, ValueError):
    """A file whose bytes are not those that were added."""


class BadSelection(InputError, IndexError):
    """An index that does not fit the array."""


class MissingExtra(InputError, ImportError):
    """An optional library is not installed; carries `library`."""

    def __init__(self, library: str, extra: str | None = None) -> None:
        self.library = library
        super().__init__(f'{library} is not installed; pip install "belvedere[{extra or library}]" adds it')


class BadKey(InputError, PermissionError):
    """A provider's key is not set, or the provider does not accept it; the key itself is never told."""


class RequestRejected(InputError, ValueError):
    """A provider will not answer a request; carries `provider`, `status` (of HTTP, or None) and `reason`."""

    def __init__(self, provider: str, status: int | None, reason: str) -> None:
        self.provider, self.status, self.reason = provider, status, reason
        said = reason if status is None else f"{status}: {reason}"
        super().__init__(
            f"{provider} rejected a request ({said}); asking again would not help: "
            "the model's name, the endpoint or the settings are not what it takes"
        )


class UnitError(BelvedereError):
    """One or more units are not there, not whole, or could not be made."""


class MissingUnits(UnitError, LookupError):
    """Units that are not kept yet; carries `view`, `missing` and `needed` (counts)."""

    def __init__(self, view: str, missing: int, needed: int, hint: str) -> None:
        self.view, self.missing, self.needed = view, missing, needed
        super().__init__(f"{missing} of {needed} units of {view} are missing; {hint}")


class DamagedUnit(UnitError, ValueError):
    """The bytes of a unit are not those that were written; carries `unit` and `objects`."""

    def __init__(self, unit: str, objects: Sequence[str]) -> None:
        self.unit, self.objects = unit, tuple(objects)
        super().__init__(
            f"unit {unit} is damaged ({', '.join(objects)}); it is made again when it is filled (belvedere "
            f'fill, or sql --fill) or read in a store opened with mode="a"'
        )


class UnitFailed(UnitError, RuntimeError):
    """A unit could not be made; carries `unit` and `reason`."""

    def __init__(self, unit: str, reason: str) -> None:
        self.unit, self.reason = unit, reason
        super().__init__(f"unit {unit} could not be made: {reason} (belvedere errors lists all)")


class AbsentRows(UnitError, LookupError):
    """Rows of images or texts that could not be read; carries `rows`, a mapping of row to reason."""

    def __init__(
        self,
        view: str,
        axis: str,
        rows: dict[int, str],
        hint: str = 'leave it out of the selection, or read(…, missing="mask")',
    ) -> None:
        self.view, self.axis, self.rows = view, axis, rows
        first, reason = next(iter(rows.items()))
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        super().__init__(f"{view} has no row for {axis} {first} ({reason}){more}; {hint}")


class RequestFailed(UnitError, ConnectionError):
    """A request failed at every attempt; carries `provider`, `attempts` and `reason`, that of the last."""

    def __init__(self, provider: str, attempts: int, reason: str) -> None:
        self.provider, self.attempts, self.reason = provider, attempts, reason
        super().__init__(
            f"{provider} did not answer a request in {attempts} attempts (the last: {reason}); "
            "replies that came are kept, and asking again asks only for the rest"
        )


class NotRecorded(UnitError, LookupError):
    """No reply to a request was recorded; carries `digest`, the request's, and `place`."""

    def __init__(self, digest: str, place: str, count: int) -> None:
        self.digest, self.place = digest, place
        super().__init__(
            f"{place} has no reply to the request {digest} among the {count} that it holds; record it from "
            "the model that is to answer, with the same prompts, captions and settings"
        )


class NoDirection(UnitError, ArithmeticError):
    """Embeddings that cannot be brought to unit norm; carries `what`, `zero`, `strange` and `count`."""

    def __init__(self, what: str, zero: int, strange: int, count: int) -> None:
        self.what, self.zero, self.strange, self.count = what, zero, strange, count
        found = [f"{zero} as zeros"] * bool(zero) + [f"{strange} as numbers that are not finite"] * bool(
            strange
        )
        super().__init__(
            f"of {count} {what} the model embeds {' and '.join(found)}, which have no direction; "
            "nothing was kept: the weights, the precision or the preprocessing are not what they should be"
        )


class InexactDecomposition(UnitError, ArithmeticError):
    """The terms do not sum to the model's own embedding; carries `achieved` and `allowed`."""

    def __init__(self, achieved: float, allowed: float) -> None:
        self.achieved, self.allowed = achieved, allowed
        super().__init__(
            f"the terms sum to the embedding to a relative error of {achieved:.1e}, "
            f"more than the {allowed:.0e} allowed; nothing was kept"
        )


class OverBudget(BelvedereError, RuntimeError):
    """A statement would compute more than its budget: it would take `units`, `seconds` and `bytes`."""

    def __init__(self, units: int, seconds: float | None, nbytes: int, message: str) -> None:
        self.units, self.seconds, self.bytes = units, seconds, nbytes
        super().__init__(message)


class BudgetSpent(BelvedereError, RuntimeError):
    """The next call may take more than its budget leaves; carries `limit`, `spent` and `needed`."""

    def __init__(self, limit: str, spent: dict[str, float], needed: dict[str, float], message: str) -> None:
        self.limit, self.spent, self.needed = limit, spent, needed
        super().__init__(message)


class ProviderDown(BelvedereError, ConnectionError):
    """A provider fails request after request; carries `provider`, `failures` and the last `reason`."""

    def __init__(self, provider: str, failures: int, reason: str) -> None:
        self.provider, self.failures, self.reason = provider, failures, reason
        super().__init__(
            f"{provider} is down: {failures} request{'s' * (failures != 1)} failed in a row (the last: "
            f"{reason}); what was answered is kept, and the same command goes on from there later"
        )


class QueryError(BelvedereError, ValueError):
    """An SQL statement that cannot be answered."""

"""What arrays and tables have in common before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from ...compute.language.allowance import Allowance, Prices
from ...compute.running.report import Progress, Report, Settings
from ...store.errors import BadSource
from ...store.views import Unit, View
from ..engine import Engine
from ..plan import Plan
from ..progress import teller
from ..upkeep.on_disk import OnDisk
from ..upkeep.status import Status, status

V = TypeVar("V", bound=View)


class Lazy(Generic[V]):
    """A view of certain inputs, of which nothing is computed until somebody looks."""

    def __init__(self, engine: Engine, view: V) -> None:
        self._engine, self._view = engine, view

    def _units(self) -> tuple[Unit, ...]:
        return self._view.units

    def _asked(self) -> tuple[Unit, ...]:
        """List the units that are to be filled."""
        return self._units()

    @property
    def title(self) -> str:
        """The view with its inputs: `head_moments[b16 × photos]`."""
        return self._view.title()

    def status(self, *, disk: bool = True) -> Status:
        """Tell which units are ready, missing, stale or failed, and why.

        Files that changed or vanished since their set was added make the units that they went into stale;
        with disk=False nobody looks at files. `status().fresh` tells whether every unit is ready.
        """
        folder = self._engine.folder
        return status(folder, self._view, self._units(), OnDisk(folder.objects) if disk else None)

    def plan(self, *, prices: Prices = None) -> Plan:
        """Tell what `fill` would run: units, images, bytes and seconds; nothing is computed.

        Of views that are made with instruments also captions, calls, tokens and paintings: exactly where what
        they are made from is there, at most where it is not.

        Args:
            prices: A TOML file, or a mapping: `usd_in` and `usd_out` for a million tokens, by language model.
        """
        found = self._engine.plan(self._asked())
        return self._engine.told(found, Allowance(prices=prices).known())

    def fill(
        self,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Report:
        """Compute what is missing, and what that is made from.

        Args:
            device: Where to run, such as `cpu` or `cuda:0`; a GPU is taken where there is one.
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for,
                and 32 to 128 on a CPU. Halved when the device runs out of memory.
            workers: Threads that decode images; one for each core unless said.
            retry_failed: Try units again that failed before.
            allowance: What may be spent on language models; no limit unless it is given.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
            progress: Show a progress bar where stderr is a terminal; or tell this one.

        Returns:
            How many units were filled, reused, failed and skipped. What failed is in the table `errors`.
        """
        return self._fill(
            self._asked(),
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

    def _fill(self, units: Any, settings: Settings, progress: bool | Progress) -> Report:
        return self._engine.fill(units, settings, teller(progress))

    def __repr__(self) -> str:
        done = self._engine.done(self._view)
        ready = sum(unit.key in done for unit in self._units())
        return f"<View {self._view.title()} {ready} of {len(self._units())} units ready>"


def check_missing(missing: str, known: Sequence[str]) -> None:
    """Refuse an unknown word for what to do about missing units; `BadSource` lists those that are known."""
    check_known("missing", missing, known)


def check_known(argument: str, word: str, known: Sequence[str]) -> None:
    """Refuse a word that an argument does not know; `BadSource` lists those that it knows."""
    if word not in known:
        listed = ", ".join(f'"{each}"' for each in known)
        raise BadSource(f"{argument}={word!r} is not known; there are {listed}")

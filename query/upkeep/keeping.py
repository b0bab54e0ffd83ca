"""What keeps a store small, and what keeps it filled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ...compute.language.allowance import Allowance
    from ...compute.running.report import Progress
    from ..engine import Engine
    from ..lazy.view import Lazy
    from ..store import Store
    from .collecting import Collected
    from .working import Worked


class Keeping(ABC):
    """The part of a store that collects what is not needed, and fills what is not there."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    def gc(
        self,
        *,
        max_bytes: int | str | None = None,
        older_than: float | str | None = None,
        keep: Sequence[str] = (),
        views: Sequence[str] = (),
        grace: float = 60.0,
        dry_run: bool = False,
    ) -> Collected:
        """Remove what nobody needs and, where that is asked for, the units that were used least recently.

        Nobody needs data of attempts that were never finished, damaged units, claims and words of processes
        that are gone, temporary files, and lists and pictures that no version of any name needs. What a
        process that lives may be about to need stays. A unit that is given up is missing again, and is
        computed when it is asked for; those made from it stay ready. Units that were imported, and those of
        views that are paid for or made by hand, are not given up unless `views` names their view.

        Args:
            max_bytes: Give up units, the least recently used first, until the rest take no more; bytes, or
                a text such as "2GB".
            older_than: Give up units that were not used for so long; seconds, or a text such as "30d".
            keep: Views whose units stay.
            views: Views whose units alone may go.
            grace: Leave temporary files, lists and pictures alone that are younger; in seconds, and at least
                60 while other processes write to the store. What a name that was dropped left goes at once.
            dry_run: Only say what would go.

        Raises:
            BadSource: A size or duration that is none, or a view that is both to stay and to go.
            UnknownName: No view of that name.
            ReadOnlyStore: The store is open to read only; a dry run is possible.
        """
        from ..amounts import bytes_of, seconds_of
        from .collecting import collect
        from .eviction import Limits

        limits = Limits(
            None if max_bytes is None else bytes_of(max_bytes),
            None if older_than is None else seconds_of(older_than),
            frozenset(keep),
            frozenset(views),
        )
        return collect(self._engine.folder, limits, grace=grace, dry_run=dry_run)

    def work(
        self,
        views: Sequence[Lazy[Any]] = (),
        *,
        poll: float | None = None,
        max_seconds: float | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
        stop: Callable[[], bool] = lambda: False,
    ) -> Worked:
        """Fill views until nothing of them is missing; any number of processes may do so at once.

        Args:
            views: The views, as `view` gives them; all that were filled before, or begun, if there are none.
            poll: Look again after so many seconds whether there is more to do; without it, end.
            max_seconds: End after so many seconds, when the batch at hand is done.
            device: This and the next four as in `fill`.
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for.
            workers: Threads that decode images.
            retry_failed: Try units again, once, that failed before.
            allowance: What may be spent on language models; no limit unless it is given.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
            progress: Show a progress bar where stderr is a terminal; or tell this one.
            stop: Asked after each batch whether to end; claims are given back then.

        Returns:
            How many units were filled, which views could not be filled at all, and whether all is done.
        """
        from ...compute.running.report import Settings
        from ..progress import teller
        from .working import Limit, work

        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
        limit = Limit(max_seconds, stop)
        return work(cast("Store", self), views, settings, teller(progress), limit, poll)

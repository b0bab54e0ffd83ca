"""What lets names stand for views with other parameters, and for what statements answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # each method imports what it needs: asking for little costs little
    from ...compute.language.allowance import Allowance
    from ...compute.running.report import Progress, Report
    from ..engine import Engine
    from ..sql.declared import Declaration


class Declaring(ABC):
    """The part of a store that is about declared views."""

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """What every question shares."""

    def declare(
        self,
        name: str,
        view: str | None = None,
        *,
        sql: str | None = None,
        model: str | None = None,
        images: str | None = None,
        texts: str | None = None,
        replace: bool = False,
        **parameters: Any,
    ) -> None:
        """Let a name stand for a view with other parameters, or for what a statement answers.

        It is a table of that name in SQL, and a view of that name everywhere else. Of a view it has the
        columns; inputs that are not given are those that it was filled for. What a statement answers is kept
        as a table, made from the units that its own filters leave, and made again only when these or the rows
        of the catalog's tables that it reads have changed. Nothing is computed before somebody asks.

        Args:
            name: Small letters, digits and "_".
            view: A view, such as "head_roles".
            sql: Instead: one SELECT over views, declared views and the catalog's tables.
            model: A model's name; this and the next two as in `view`.
            images: The name of a set of images.
            texts: The name of a set of texts.
            replace: Let the name stand for something else than before.
            parameters: Parameters of the view and of those beneath it.

        Raises:
            BadName: Other characters.
            NameTaken: A view, a table or another declaration has the name.
            UnknownName: No view, input or parameter of that name, or no table that the statement names.
            QueryError: A statement that cannot be answered, or would be made from itself.
        """
        from ...compute.joined import picked
        from ..sql import declared

        given = {"model": model, "images": images, "texts": texts}
        inputs = {kind: each for kind, each in given.items() if each is not None}
        if view is not None:
            view, parameters = picked(view, parameters)
        asked = declared.Declaration(name, view, inputs, parameters, sql and sql.strip().rstrip(";"))
        declared.declare(self._engine, asked, replace=replace)

    def declared(self) -> list[Declaration]:
        """List what was declared, by name."""
        from ..sql import declared

        return declared.every(self._engine.folder)

    def refresh(
        self,
        *names: str,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        retry_failed: bool = False,
        allowance: Allowance | None = None,
        compiled: bool = False,
        progress: bool | Progress = True,
    ) -> Mapping[str, Report]:
        """Bring declared views up to date, all of them unless some are named.

        Only what changed beneath is computed, and only tables beneath which something changed are made again.

        Args:
            names: Declared views.
            device: Where to compute; this and the rest as in `View.fill`.
            batch_size: Images or texts in one forward pass; None takes as many as a GPU has room for.
            workers: Threads that decode images.
            retry_failed: Try units again that failed before.
            allowance: What may be spent on language models; no limit unless it is given.
            compiled: Whether torch compiles parts of towers (`Settings.compiled`).
            progress: Show a progress bar where stderr is a terminal; or tell this one.

        Returns:
            By name, how many units were filled, reused, failed and skipped, those beneath included.

        Raises:
            UnknownName: A name that was not declared.
        """
        from ...compute.running.report import Settings
        from ..progress import teller
        from ..sql import declared

        settings = Settings(
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            allowance=allowance,
            compiled=compiled,
        )
        return declared.refresh(self._engine, names, settings, teller(progress))

    def drop(self, name: str, *, dry_run: bool = False) -> Declaration:
        """Let a declared name stand for nothing any more; what was kept of it stays until it is collected.

        Args:
            name: A declared view.
            dry_run: Only say what the name stands for.

        Raises:
            UnknownName: It was not declared.
            BadSource: Another declared view is made from it.
        """
        from ..sql import declared

        return declared.drop(self._engine, name, dry_run=dry_run)

"""Publishes a store's complete tables as one DuckDB file, which any DuckDB opens and nobody writes to."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from ...compute.joined import JOINED
from ...store.errors import BelvedereError, DamagedUnit, MissingUnits, ReadOnlyStore, StoreError, StoreFull
from ...store.folder import Folder
from ..engine import ROUNDS, Engine
from ..sql import catalog
from ..sql.statement import union
from . import frozen, published
from .frozen import Frozen, Named, Piece, Times
from .published import CATALOG, Present, Publication, Told

STORAGE = "v1.5.0"
"""The storage version that is written: what later ones write by default, DuckDB 1.5 does not open."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published."""

    path: Path
    """The file, or the folder of a bundle."""
    tables: Mapping[str, int]
    """How many rows each table has."""
    made: tuple[str, ...]
    """Tables that were made now; the others are taken over from the publication before."""
    left_out: tuple[str, ...]
    """Combinations of inputs that lack units, and are not in their tables."""
    bytes: int
    """What it takes on disk."""
    arrays: tuple[str, ...] = ()
    """Of a bundle: the arrays in it, by the names of their folders."""
    thumbnails: int = 0
    """Of a bundle: how many thumbnails it has."""
    unreadable: int = 0
    """Of a bundle: how many images were to have a thumbnail and could not be read."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a publication is to hold."""

    tables: Mapping[str, Frozen]
    """The tables, by name."""
    left_out: tuple[str, ...]
    """Combinations of inputs that lack units."""

    @property
    def keys(self) -> dict[str, str]:
        """What the rows of each table follow from."""
        return {name: table.key for name, table in self.tables.items()}


@dataclass(frozen=True, slots=True)
class Built:
    """A catalog file that was written."""

    made: tuple[str, ...]
    """Tables that were not taken over from the catalog before."""
    rows: Mapping[str, int]
    """How many rows each table has."""


def publish(engine: Engine) -> Published:
    """Publish the tables of a store as `catalog.duckdb` in it; see `Store.publish`."""
    folder = engine.folder
    if not folder.writable or folder.in_memory:
        raise ReadOnlyStore(
            f'{folder.root} was opened with mode="r", so {CATALOG} cannot be written in it; open it with '
            'mode="a", or publish to a folder elsewhere'
        )
    return again(engine, lambda pool: _publish(engine, frozen.named(engine), pool))


def again(engine: Engine, run: Callable[[ThreadPoolExecutor], Published]) -> Published:
    """Publish; once more where units turn out damaged or go away meanwhile, which count as missing then."""
    with frozen.threads() as pool:
        for _ in range(ROUNDS):
            try:
                return run(pool)
            except (DamagedUnit, MissingUnits) as error:
                if not engine.folder.writable:
                    raise
                trouble = error
        raise trouble


def _publish(engine: Engine, names: Sequence[Named], pool: ThreadPoolExecutor) -> Published:
    folder = engine.folder
    dest = folder.root / CATALOG
    with published.present(folder) as before:
        known = before.publication.tables if before else {}
        times = Times(now(), known)
        wanted = contents(engine, names, times, pool)
        if before and wanted.keys == {name: told.key for name, told in known.items()}:
            rows = {name: told.rows for name, told in known.items()}
            return Published(dest, rows, (), wanted.left_out, before.publication.nbytes)
        with folder.presence.at_work("publish") as token:  # so that nobody collects the file
            partial = folder.root / f"{CATALOG}.{token}-{secrets.token_hex(4)}.tmp"
            built, size = _replace(folder, partial, wanted, times, before)
    return Published(dest, built.rows, built.made, wanted.left_out, size)


def _replace(
    folder: Folder, partial: Path, wanted: Contents, times: Times, before: Present | None
) -> tuple[Built, int]:
    """Write the catalog under another name, and put it in its place; give its size as well."""
    dest = folder.root / CATALOG
    try:
        built = build(partial, wanted.tables, dest, before)
        told = {name: Told(t.key, times.of(t), built.rows[name]) for name, t in wanted.tables.items()}
        size = partial.stat().st_size
        published.place(folder, partial, Publication(size, times.now, told))
    except OSError as error:
        raise StoreError(f"{dest} cannot be written: {error.strerror or error}") from error
    finally:
        for each in folder.root.glob(f"{partial.name}*"):
            each.unlink(missing_ok=True)
    return built, size


def renew(engine: Engine) -> str | None:
    """Publish again where a catalog was published before; say in a line what went wrong, if anything did."""
    folder = engine.folder
    if not (folder.root / CATALOG).is_file() or not folder.writable or folder.in_memory:
        return None
    try:
        publish(engine)
    except (BelvedereError, OSError, pa.ArrowException) as error:
        return f"{CATALOG} is as it was, for it could not be renewed: {error} (belvedere publish tries again)"
    return None


def now() -> str:
    """Give the time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def contents(
    engine: Engine,
    names: Sequence[Named],
    times: Times,
    pool: ThreadPoolExecutor,
    arrays: frozenset[str] = frozenset(),
) -> Contents:
    """Find what a publication of a store holds: the tables of its names, the catalog's own, completeness.

    `arrays` are the identities of arrays that are published beside it.
    """
    views = {each.name: frozen.of_view(engine, each, pool) for each in names if each.schema is not None}
    own = {name: frozen.of_catalog(engine, name) for name in catalog.COLUMNS}
    told = frozen.completeness(names, views, times, arrays)
    left_out = [one.view.title() for each in names for one in each.combinations if not one.complete]
    left_out += [f"{each.name}: {each.lost}" for each in names if each.lost]
    return Contents({**views, **own, told.name: told}, tuple(dict.fromkeys(left_out)))


def build(
    dest: Path, tables: Mapping[str, Frozen], old: Path | None = None, before: Present | None = None
) -> Built:
    """Write a catalog file; tables that are the same in the one before are taken over from it."""
    with _writing(dest) as con:
        known = before.publication.tables if before and old and _attached(con, old, before.inode) else {}
        con.execute("BEGIN")
        made, rows = [], {}
        for name, table in tables.items():
            if name in known and known[name].key == table.key:
                con.execute(f"CREATE TABLE published.{quoted(name)} AS FROM before.{quoted(name)}")
            else:
                _make(con, table)
                made.append(name)
            ((rows[name],),) = con.execute(f"SELECT count(*) FROM published.{quoted(name)}").fetchall()
        con.execute("USE published")  # a view names its tables as they are found from within the file
        for name, joined in JOINED.items():
            if tables.keys() >= {*joined.views.values(), *joined.tables}:
                con.execute(f"CREATE VIEW published.{quoted(name)} AS {union(joined).sql}")
        con.execute("USE memory")
        con.execute("COMMIT")
        con.execute("CHECKPOINT published")
        con.execute("DETACH published")
    return Built(tuple(made), rows)


def extend(path: Path, tables: Sequence[Frozen]) -> None:
    """Add tables to a catalog file that is not published yet."""
    with _writing(path) as con:
        for table in tables:
            _make(con, table)
        con.execute("DETACH published")


@contextmanager
def _writing(dest: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that writes a file, as `published`."""
    try:
        with duckdb.connect(config={"python_enable_replacements": "false"}) as con:
            con.execute(f"ATTACH {text(dest)} AS published (STORAGE_VERSION '{STORAGE}')")
            yield con
    except duckdb.Error as error:
        reason = str(error).split("\n")[0]
        kind = StoreFull if "No space left" in reason else StoreError
        raise kind(f"{dest} cannot be written: {reason}") from error


def _attached(con: duckdb.DuckDBPyConnection, old: Path, inode: int) -> bool:
    """Open the catalog before, to read; tell whether it is still that file and not already a later one."""
    try:
        con.execute(f"ATTACH {text(old)} AS before (READ_ONLY)")
        return old.stat().st_ino == inode
    except (duckdb.Error, FileNotFoundError):  # held by somebody's shell, or gone: all tables are made anew
        return False


def _make(con: duckdb.DuckDBPyConnection, table: Frozen) -> None:
    """Make one table, piece by piece."""
    con.register("feed", table.schema.empty_table())
    con.execute(f"CREATE TABLE published.{quoted(table.name)} AS FROM feed")
    con.unregister("feed")
    for piece in table.pieces:
        _insert(con, table, piece)


def _insert(con: duckdb.DuckDBPyConnection, table: Frozen, piece: Piece) -> None:
    """Add the rows of one piece; an error on the way to DuckDB loses its type there, so it is kept here."""
    trouble: list[Exception] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from piece.batches()
        except Exception as error:
            trouble.append(error)
            raise

    columns = [
        f"?::VARCHAR AS {quoted(name)}" if name in piece.pinned else quoted(name)
        for name in table.schema.names
    ]
    values = [piece.pinned[name] for name in table.schema.names if name in piece.pinned]
    con.register("feed", pa.RecordBatchReader.from_batches(piece.schema, batches()))
    try:
        con.execute(
            f"INSERT INTO published.{quoted(table.name)} SELECT {', '.join(columns)} FROM feed", values
        )
    except duckdb.Error:
        if trouble:
            raise trouble[0] from None
        raise
    con.unregister("feed")


def quoted(name: str) -> str:
    """Write a name as SQL has it."""
    return '"{}"'.format(name.replace('"', '""'))


def text(path: Path) -> str:
    """Write a path as SQL has a text."""
    return "'{}'".format(str(path).replace("'", "''"))

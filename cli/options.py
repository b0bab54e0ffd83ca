"""The options that commands share: the store, the inputs and parameters of a view, the output format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..query.sql.limits import SECONDS, UNITS
from .formats import FORMATS

if TYPE_CHECKING:
    from ..query.store import Store

Command = Callable[..., Any]


def examples(*lines: str) -> str:
    """Write the end of a command's help: lines that can be typed as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def store_option(command: Command) -> Command:
    """Add --store, given to the command as `folder`."""
    return click.option(
        "--store",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="BELVEDERE_STORE",
        metavar="DIR",
        help="The store. [default: $BELVEDERE_STORE, or the one in or above the working directory]",
    )(command)


def open_store(folder: Path | None, *, create: bool = False, memory: bool = False) -> Store:
    """Open the store that a command is about; with `create`, one is made where --store names a new folder.

    A store in a folder that cannot be written is opened to read; with `memory`, every one is, and what is
    missing is computed in memory and lost with the command. Raises `NotAStore` where there is none, and
    says how to make one.
    """
    from ..query.location import locate
    from ..query.store import Store
    from ..store.marker import writable

    if memory:
        return Store(locate(folder), "r", memory=True)
    root = folder if create and folder is not None else locate(folder)
    return Store(root, "a" if writable(root) or not root.exists() else "r")


def renew(store: Store) -> None:
    """Publish again, after something was computed, what was published before; say what goes wrong."""
    if trouble := store.renew():
        click.echo(trouble, err=True)


def inputs(command: Command) -> Command:
    """Add --model, --images and --texts, given to the command under these names."""
    texts = {"model": "model", "images": "set of images", "texts": "set of texts"}
    options = [
        click.option(
            f"--{name}", metavar="NAME", help=f"The name of the {what}; not needed where the store has one."
        )
        for name, what in texts.items()
    ]
    return _stacked(options, command)


def parameters(command: Command) -> Command:
    """Add -p NAME VALUE for parameters of a view; what has an option of its own is refused."""
    return _pairs("A parameter of the view.", _refuse_inputs, str)(command)


def values(what: str) -> Callable[[Command], Command]:
    """Add -p NAME VALUE, given to the command as the mapping `values`; JSON is read as such."""

    def convert(text: str) -> Any:
        from ..query.resolve import read_value

        return read_value(text)

    return _pairs(
        f"{what} A value is read as JSON where it is some, else as text.", lambda names: None, convert
    )


def _pairs(
    what: str, check: Callable[[Sequence[str]], None], convert: Callable[[str], Any]
) -> Callable[[Command], Command]:
    def read(ctx: click.Context, option: click.Parameter, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        check([name for name, _ in pairs])
        return {name: convert(text) for name, text in pairs}

    return click.option(
        "-p",
        "--parameter",
        "values",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        callback=read,
        help=f"{what} May be given several times.",
    )


def budget(command: Command) -> Command:
    """Add --max-units, --max-seconds and --max-bytes, given to the command under these names."""
    options = [
        click.option(
            "--max-units",
            type=click.IntRange(min=0),
            default=UNITS,
            show_default=True,
            metavar="N",
            help="With --fill, refuse to compute more units.",
        ),
        click.option(
            "--max-seconds",
            type=click.FloatRange(min=0),
            default=SECONDS,
            show_default=True,
            metavar="S",
            help="With --fill, refuse to compute for longer, where that can be predicted.",
        ),
        click.option(
            "--max-bytes",
            default="50GB",
            show_default=True,
            metavar="SIZE",
            help="With --fill, refuse to compute larger arrays.",
        ),
    ]
    return _stacked(options, command)


def prices_option(command: Command) -> Command:
    """Add --prices, given to the command under this name."""
    return click.option(
        "--prices",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="A TOML file: usd_in and usd_out, for a million tokens, by the endpoint's name of the model.",
    )(command)


def computing(command: Command) -> Command:
    """Add --device, --batch-size, --workers, --retry-failed and --compile, given to the command by name.

    And --max-calls, --max-tokens, --max-usd and --prices, given to it as `allowance`.
    """

    @wraps(command)
    def limited(**given: Any) -> Any:
        from ..compute.language.allowance import Allowance

        names = ("max_calls", "max_tokens", "max_usd", "prices")
        return command(allowance=Allowance(**{name: given.pop(name) for name in names}), **given)

    options = [
        click.option(
            "--device", metavar="NAME", help="Where to compute: cpu, cuda:0, … [default: a GPU, if any]"
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            metavar="N",
            help="Images or texts in one forward pass. "
            "[default: as many as a GPU has room for; 32 to 128 on a CPU]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Threads that decode images. [default: one for each core]",
        ),
        click.option("--retry-failed", is_flag=True, help="Try units again that failed before."),
        click.option(
            "--compile",
            "compiled",
            is_flag=True,
            help="Let torch compile parts of towers; that takes a while at first.",
        ),
        click.option(
            "--max-calls",
            type=click.IntRange(min=0),
            metavar="N",
            help="At most so many language model calls.",
        ),
        click.option(
            "--max-tokens", type=click.IntRange(min=0), metavar="N", help="At most so many of their tokens."
        ),
        click.option(
            "--max-usd", type=click.FloatRange(min=0), metavar="USD", help="At most so much, by --prices."
        ),
    ]
    return prices_option(_stacked(options, limited))


def output(command: Command) -> Command:
    """Add --table, --json, --csv and --nl, given to the command as `form`."""

    @wraps(command)
    def formed(**given: Any) -> Any:
        chosen = [name for name in FORMATS if given.pop(f"as_{name}")]
        if len(chosen) > 1:
            raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} are two formats; name one")
        return command(form=chosen[0] if chosen else "table", **given)

    options = [
        click.option(f"--{name}", f"as_{name}", is_flag=True, help=what) for name, what in FORMATS.items()
    ]
    return _stacked(options, formed)


def _refuse_inputs(names: Sequence[str]) -> None:
    for name in names:
        if name in ("model", "images", "texts"):
            raise click.BadParameter(f"{name} is no parameter but an input; use --{name}")
        if name in ("name", "self"):
            raise click.BadParameter(f"no view has a parameter {name}; belvedere views --json lists them")


def _stacked(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    return reduce(lambda made, option: option(made), reversed(options), command)

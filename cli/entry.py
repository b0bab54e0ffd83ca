"""The group of all commands: reads the file of the one that is asked for, and turns errors to exit codes."""

from __future__ import annotations

import importlib
import keyword
from typing import Any

import click

from ..store.errors import (
    BelvedereError,
    BudgetSpent,
    MissingUnits,
    ProviderDown,
    RequestFailed,
    UnitFailed,
)

DONE, INCOMPLETE, REFUSED, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit codes."""

COMMANDS = (
    *("demo", "add", "import", "rename", "remove", "show", "views", "status", "lineage"),
    *("plan", "fill", "sql", "declare", "refresh", "drop", "describe", "top", "similar", "heatmap"),
    *("segment", "figure", "export", "publish", "pull", "errors", "verify", "gc", "worker", "bench"),
)
"""The commands, in the order in which a newcomer meets them; each is the file of its name."""


_AFTER = """\b
Exit codes:
  0    done
  1    incomplete: an SQL answer, a lineage or an export lacks units, status finds some that are
       stale or failed, or verify damage
  2    refused: wrong usage, or an error, said in a line that starts with "Error:"
  3    some units failed and were recorded: belvedere errors lists them
  130  interrupted: what is finished is kept, and the same command goes on

\b
A store of your own:
  belvedere add model b16 open_clip:ViT-B-16/laion2b_s34b_b88k --store mystore
  cd mystore
  belvedere add images photos ~/photos
  belvedere add texts general builtin:general
  belvedere fill head_roles
  belvedere sql "SELECT layer, head, role FROM head_roles WHERE role <> 'none'"
"""


class Commands(click.Group):
    """Commands that are imported when they are asked for, and what their errors mean to a shell."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Read a command's file."""
        if cmd_name not in COMMANDS:
            return None
        file = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name  # no file can be named import
        command: click.Command = importlib.import_module(f".{file}", __package__).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; say in one line what went wrong, and never show a traceback for it."""
        try:
            return super().invoke(ctx)
        except BelvedereError as error:
            raise _shown(error) from error
        except KeyboardInterrupt:
            click.echo("Interrupted: what is finished is kept, and the same command goes on.", err=True)
            ctx.exit(INTERRUPTED)


class Refused(click.ClickException):
    """An error of Belvedere's, as click shows it."""

    exit_code = REFUSED


class Incomplete(click.ClickException):
    """The error that units are missing, as click shows it."""

    exit_code = INCOMPLETE


class Failed(click.ClickException):
    """The error that a unit could not be made, as click shows it."""

    exit_code = FAILED


def _shown(error: BelvedereError) -> click.ClickException:
    """Give an error the exit code that belongs to it."""
    match error:
        case MissingUnits():
            return Incomplete(str(error))
        case UnitFailed() | RequestFailed() | ProviderDown() | BudgetSpent():
            return Failed(str(error))
        case _:
            return Refused(str(error))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_AFTER,
)
@click.version_option(package_name="belvedere")
def main() -> None:
    """Keep what has been learnt about a vision model, and show it as views.

    A store is a folder. Models, images and texts are added to it under names; views of them are filled,
    reused from then on, and asked in SQL. Every command takes --store DIR; without it, the store is
    $BELVEDERE_STORE, or the one in or above the working directory. To see it at work: belvedere demo.
    """

"""What starting the command costs, and what it says of itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from belvedere.cli import main
from tests.shell import Process, Run

HEAVY = ("duckdb", "matplotlib", "numpy", "pandas", "pyarrow", "rich", "torch", "zarr")
PROBE = """
import sys
sys.argv = ["belvedere", *{words!r}]
from belvedere.cli import main
try:
    main()
finally:
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


def commands(command: click.Command = main, name: str = "belvedere") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from commands(found, f"{name} {each}")


def imported(process: Process, *words: str) -> str:
    import subprocess

    code = PROBE.format(words=list(words), heavy=HEAVY)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stderr.splitlines()[-1]


def test_help_imports_nothing_heavy(process: Process) -> None:
    assert imported(process, "--help") == "[]"


def test_sql_without_a_table_of_the_store_imports_duckdb_alone(process: Process, whole: Path) -> None:
    assert imported(process, "sql", "--store", str(whole), "SELECT 1 AS one") == "['duckdb']"


def test_what_is_kept_is_read_and_made_into_tables_without_torch(whole: Path, tmp_path: Path) -> None:
    import shutil
    import subprocess

    store = shutil.copytree(whole, tmp_path / "store")
    code = (
        "import sys; sys.modules['torch'] = None; import belvedere; store = belvedere.open(sys.argv[1]); "
        "store.view('head_contributions')[:]; store.sql('SELECT * FROM head_descriptions').fetchall(); "
        "print(store.view('similar_images').fill(progress=False).complete)"
    )
    found = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True)
    assert found.stdout == "True\n", found.stderr


def test_importing_the_package_imports_nothing_heavy() -> None:
    import subprocess

    code = f"import sys, belvedere; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n"


def test_every_public_name_is_there_although_it_is_imported_late() -> None:
    import belvedere

    assert [name for name in belvedere.__all__ if not hasattr(belvedere, name)] == []
    assert set(belvedere.__all__) <= set(dir(belvedere))
    with pytest.raises(AttributeError, match="no attribute 'stor'"):
        belvedere.stor  # noqa: B018


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_help_and_an_example(name: str, command: click.Command, run: Run) -> None:
    shown = run(*name.split()[1:], "--help")
    assert shown.exit_code == 0
    assert command.help
    assert f"\n    {name}" in shown.stdout, "an example that starts with the command"
    untold = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert untold == []


def test_help_says_what_the_exit_codes_mean(run: Run) -> None:
    told = run("--help").stdout
    assert [code for code in ("  0  ", "  1  ", "  2  ", "  3  ", "  130  ") if code not in told] == []


def test_first_lines_of_help_are_not_cut_short(run: Run) -> None:
    listed = run("--help").stdout.split("Commands:")[1].split("Exit codes:")[0]
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_the_module_is_the_command(process: Process) -> None:
    found = process("--version")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("python -m belvedere, version ")


def test_a_command_that_does_not_exist_is_refused(run: Run) -> None:
    found = run("statuss")
    assert found.exit_code == 2
    assert "Error: No such command 'statuss'" in found.stderr

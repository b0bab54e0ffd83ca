"""The rules of the house: layers point down, imports are light, files stay small, doctests hold."""

from __future__ import annotations

import ast
import doctest
import importlib
import linecache
import pkgutil
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import belvedere

ROOT = Path(__file__).parents[1]
LAYERS = {"store": 0, "demo": 0, "compute": 1, "query": 2, "cli": 3}
"""A file may import from its own layer and from lower ones; the demo world stands beside the store."""
ALONE = {"zarr": {"store/arrays.py", "store/dense_zarr.py"}, "obstore": {"store/objects.py"}}
"""Libraries, and the files that alone may import them."""
ONLY_IN = {"duckdb": "query", "torch": "compute", "open_clip": "compute"}
"""Libraries that one layer alone may import, the demo world aside."""

SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[tuple[str, ...]]:
    """List what a file imports, each as the parts of a module's name."""
    inside = path.relative_to(ROOT).parts
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            start = inside[: len(inside) - node.level]
            found.add((*start, *(node.module or "").split(".")))
        elif isinstance(node, ast.ImportFrom):
            found.add(tuple((node.module or "").split(".")))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    used = {parts[0] for parts in imported(path)}
    assert {name for name in used & set(LAYERS) if LAYERS[name] > LAYERS[layer]} == set()
    assert "belvedere" not in used, "inside the package import relatively"
    if layer == "store":
        assert "demo" not in used


def test_folders_of_query_need_one_another_in_one_direction() -> None:
    needs: dict[str, set[str]] = {}
    for path in (ROOT / "query").rglob("*.py"):
        inside = path.relative_to(ROOT).parts
        for node in ast.parse(path.read_text()).body:  # what is imported later, in a function, needs nothing
            if isinstance(node, ast.ImportFrom) and node.level:
                named = (node.module or node.names[0].name).split(".")
                target = (*inside[: len(inside) - node.level], *named)
                if target[0] == "query" and target[1] != inside[1]:
                    needs.setdefault(inside[1].removesuffix(".py"), set()).add(target[1])
    order = TopologicalSorter({each: found - {each} for each, found in needs.items()})
    assert len(list(order.static_order())) > 10  # a circle raises


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_have_one_place(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    used = {parts[0] for parts in imported(path)}
    assert {library for library, files in ALONE.items() if library in used and name not in files} == set()
    layer = name.split("/")[0]
    assert layer == "demo" or {lib for lib, home in ONLY_IN.items() if lib in used and home != layer} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_opens_with_one_sentence_and_stays_small(path: Path) -> None:
    text = path.read_text()
    opening = ast.get_docstring(ast.parse(text))
    assert opening is not None
    assert opening.split("\n\n")[0].rstrip().endswith((".", ":"))
    assert len(text.splitlines()) <= 400


def test_files_that_are_named_are_there() -> None:
    named = re.compile(r"\b(?:belvedere/)?((?:store|compute|query|cli|demo|tests|benchmarks)/[a-z_/]+\.py)\b")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    told = {(page.name, file) for page in (*pages, *SOURCES) for file in named.findall(page.read_text())}
    assert len(told) > 40
    assert {(page, file) for page, file in told if not (ROOT / file).is_file()} == set()


def test_links_lead_to_the_folders_of_the_layers() -> None:
    links = {path.name: path.readlink() for path in (ROOT / "belvedere").iterdir() if path.is_symlink()}
    assert links == {layer: Path("..") / layer for layer in LAYERS}


HEAVY = "{'torch', 'open_clip', 'transformers', 'zarr', 'scipy', 'skimage'} & set(sys.modules)"


@pytest.mark.parametrize(
    "code", ["import belvedere", "import belvedere.compute.views as views; views.all_views()"]
)
def test_nothing_heavy_is_imported_before_something_is_computed(code: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}; print(sorted({HEAVY}))"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_all_is_everything_public_and_sorted() -> None:
    assert belvedere.__all__ == sorted(belvedere.__all__)
    public = {name for name in dir(belvedere) if not name.startswith("_")}
    hidden = {name for name in public if isinstance(getattr(belvedere, name), type(sys))}
    assert set(belvedere.__all__) == public - hidden - {"Any", "Literal", "TYPE_CHECKING", "annotations"}


def test_examples_in_docstrings_hold() -> None:
    failed = attempted = 0
    for module in pkgutil.walk_packages(belvedere.__path__, "belvedere."):
        if module.name.endswith("__main__"):
            continue
        linecache.clearcache()  # each example looks whether any file that is in it has changed
        found = doctest.testmod(importlib.import_module(module.name))
        failed, attempted = failed + found.failed, attempted + found.attempted
    assert failed == 0
    assert attempted >= 10

"""Views of other packages: those that can be used are, and a broken one breaks nothing but itself."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import belvedere.views
from belvedere.compute import plugins
from belvedere.compute.joined import JOINED
from belvedere.compute.plugins import Broken, Plugins
from belvedere.compute.views import built_in
from belvedere.query.sql import catalog
from belvedere.store.errors import BelvedereError, BrokenView
from tests import forked
from tests.small_views import text_set
from tests.worlds import TEXTS

GOOD = """
from dataclasses import dataclass
from typing import ClassVar, Mapping
from belvedere.views import *

@dataclass(frozen=True)
class WordLengths(Derived, TableView):
    '''How long each text is.'''

    texts: Input[TextSet]
    least: Param[int] = 0
    axis: ClassVar[str] = "text"
    columns: ClassVar[Mapping[str, str]] = {"text_id": "int64", "letters": "int32"}

    @property
    def grid(self):
        return Grid(len(self.texts), 2)

    def contents(self, start, stop):
        return self.texts.contents(start, stop)

    def derive(self, unit, parts):
        rows = [(i, len(self.texts.texts[i])) for i in range(unit.start, unit.stop)]
        rows = [row for row in rows if row[1] >= self.least]
        return Made(rows={"text_id": [row[0] for row in rows], "letters": [row[1] for row in rows]})
"""


def install(site: Path, package: str, code: str, **points: str) -> None:
    """Put a package beside others as pip would: a module, and what its metadata name."""
    (site / f"{package}.py").write_text(dedent(code))
    metadata = site / f"{package}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {package}:{target}" for name, target in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[belvedere.views]", *lines]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which packages are imported; what was imported is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def found() -> Plugins:
    return plugins.find(built_in())


def shell(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command where the packages of a folder are installed."""
    return forked.belvedere(*words, environment=having(site)).ended()


def having(site: Path) -> dict[str, str]:
    """Give an environment in which the packages of a folder are installed."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(forked.ROOT)])}


def test_without_other_packages_there_are_none() -> None:
    assert found() == Plugins({}, {}, {})


def test_a_view_of_another_package_is_found_with_its_package(site: Path) -> None:
    install(site, "lengths", GOOD, word_lengths="WordLengths")
    brought = found()
    assert (list(brought.views), brought.packages) == (["word_lengths"], {"word_lengths": "lengths"})
    assert brought.broken == {}
    assert brought.views["word_lengths"].summary() == "How long each text is."


def test_what_it_keeps_is_not_taken_for_that_of_another_package(site: Path) -> None:
    for package in ("lengths", "sizes"):
        install(site, package, GOOD)
    texts = text_set(["a", "an"])
    one, other = (importlib.import_module(each).WordLengths(texts) for each in ("lengths", "sizes"))
    recipe = {"view": "word_lengths", "version": 1, "parameters": {"least": 0}, "inputs": {}}
    assert (one.recipe, other.recipe) == ({**recipe, "package": "lengths"}, {**recipe, "package": "sizes"})
    assert {unit.key for unit in one.units} & {unit.key for unit in other.units} == set()


def test_belvederes_own_views_are_of_no_package(kept: belvedere.Store) -> None:
    assert "package" not in json.dumps(kept.view("head_descriptions")._view.recipe)


FAULTS = {
    "raises": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "has none": ("", "AttributeError: module 'p_has_none' has no attribute 'WordLengths'"),
    "no view": ("WordLengths = dict", "p_no_view:WordLengths is no view but <class 'dict'>"),
    "no dataclass": (GOOD.replace("@dataclass(frozen=True)", ""), "is no dataclass with frozen=True"),
    "thawed": (GOOD.replace("(frozen=True)", ""), "is no dataclass with frozen=True"),
    "bare field": (
        GOOD.replace("Param[int]", "int"),
        "TypeError: WordLengths.least must be annotated Input, Param or Read",
    ),
    "no default": (
        GOOD.replace("Param[int] = 0", "Param[int]"),
        "has a parameter least without a default; a bare name stands for the defaults",
    ),
    "odd type": (
        GOOD.replace("Param[int] = 0", "Param[list] = None"),
        "has a parameter least that is neither",
    ),
    "odd input": (GOOD.replace("Input[TextSet]", "Input[str]"), "has an input texts that is neither Model"),
    "unfinished": (GOOD.replace("def derive", "def made"), "leaves out derive"),
    "no kind": (GOOD.replace("(Derived, TableView)", "(TableView)"), "must derive from a way to make units"),
    "no axis": (GOOD.replace("axis:", "along:"), "does not say along which `axis` it is cut into units"),
    "no columns": (GOOD.replace("columns:", "fields_:"), "is a table without `columns`"),
    "input's column": (GOOD.replace('"letters"', '"text_set"'), "has columns text_set, which every table"),
    "odd column": (
        GOOD.replace('"int32"', '"int3"'),
        "has columns of unknown type (letters: int3); there are",
    ),
    "astray": (
        GOOD
        + GOOD.replace("WordLengths", "Hidden").replace("TextSet]", "TextSet]\n    of: Input[WordLengths]"),
        "is made from WordLengths, which no entry point makes a view",
    ),
}


@pytest.mark.parametrize("what", list(FAULTS))
def test_what_cannot_be_used_is_broken_and_says_why(what: str, site: Path) -> None:
    code, reason = FAULTS[what]
    package, view = f"p_{what.replace(' ', '_').replace(chr(39), '')}", "word_lengths"
    target = "WordLengths"
    if what == "astray":
        view, target = "hidden", "Hidden"
    install(site, package, code, **{view: target})
    brought = found()
    assert (brought.views, brought.packages, list(brought.broken)) == ({}, {}, [view])
    assert brought.broken[view].packages == (f"{package} 1.2",)
    assert reason in brought.broken[view].reason


def test_an_entry_point_is_called_as_its_view_is(site: Path) -> None:
    install(site, "lengths", GOOD, wordlengths="WordLengths")
    reason = "lengths:WordLengths is the view 'word_lengths'; the entry point must be called so"
    assert found().broken == {"wordlengths": Broken("wordlengths", ("lengths 1.2",), reason)}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("head_roles", "Belvedere has a view of that name"),
        ("images", "the catalog has a table of that name"),
    ],
)
def test_a_name_that_is_belvederes_own_is_not_given_away(name: str, reason: str, site: Path) -> None:
    install(site, "greedy", "raise AssertionError('not even imported')", **{name: "Roles"})
    assert found() == Plugins({}, {}, {name: Broken(name, ("greedy 1.2",), reason)})


def test_names_of_the_catalog_are_known_to_be_taken() -> None:
    assert {*catalog.COLUMNS, *JOINED} == plugins.RESERVED


def test_of_two_packages_with_one_name_neither_is_used(site: Path) -> None:
    for package in ("one", "two"):
        install(site, package, "raise AssertionError('not even imported')", word_lengths="WordLengths")
    reason = "2 entry points have that name"
    assert found().broken == {"word_lengths": Broken("word_lengths", ("one 1.2", "two 1.2"), reason)}


def test_a_view_made_from_a_broken_one_is_broken_too(site: Path) -> None:
    made = GOOD.replace("WordLengths", "Above").replace("texts: Input[TextSet]", "of: Input[WordLengths]")
    install(site, "below", GOOD, word_lengths="WordLengths", more="WordLengths")
    install(site, "above", "from below import WordLengths\n" + made, above="Above")
    assert list(found().views) == ["above", "word_lengths"]
    install(site, "again", "", word_lengths="WordLengths")
    brought = found()
    assert (dict(brought.views), list(brought.broken)) == ({}, ["above", "more", "word_lengths"])
    assert "which no entry point makes a view" in brought.broken["above"].reason


@pytest.fixture
def broken_site(site: Path) -> Path:
    install(site, "noisy", "print('I am imported')\n" + GOOD, word_lengths="WordLengths")
    install(site, "torn", "import nowhere_to_be_found", torn="Torn")
    return site


REASON = "torn:Torn raised ModuleNotFoundError: No module named 'nowhere_to_be_found'"


def test_the_list_of_views_has_what_works_and_stderr_what_does_not(broken_site: Path) -> None:
    command = [sys.executable, "-m", "belvedere", "views", "--json"]  # the others are forked, this is not
    listed = subprocess.run(command, capture_output=True, text=True, env=having(broken_site), timeout=120)
    names = [row["view"] for row in json.loads(listed.stdout)]
    assert (listed.returncode, names) == (0, [*built_in(), "word_lengths", *JOINED])
    assert listed.stderr == f"I am imported\nbroken: torn of torn 1.2: {REASON}\n"


def test_everything_else_goes_on_beside_a_broken_view(broken_site: Path, store: belvedere.Store) -> None:
    path = str(store.path)
    rows = shell(broken_site, "sql", "SELECT count(*) AS n FROM head_roles, texts", "--csv", "--store", path)
    assert (rows.returncode, rows.stdout) == (1, "n\n0\n")
    filled = shell(broken_site, "fill", "word_lengths", "--store", path)
    assert filled.stdout == "word_lengths: 6 filled, 0 reused, 0 failed, 0 skipped units\n"
    query = (
        "SELECT sum(letters) AS n, count(*) AS texts FROM word_lengths JOIN texts USING (text_set, text_id)"
    )
    rows = shell(broken_site, "sql", query, "--csv", "--store", path)
    assert (rows.returncode, rows.stdout) == (0, f"n,texts\n{sum(map(len, TEXTS))},12\n")
    root = json.loads(shell(broken_site, "lineage", "word_lengths", "--json", "--store", path).stdout)["root"]
    assert {unit["made"]["libraries"]["noisy"] for unit in root["units"]} == {"1.2"}
    for words in (("fill", "torn"), ("sql", "FROM torn")):
        refused = shell(broken_site, *words, "--store", path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.splitlines()[1:] == [
            f"Error: the view 'torn' of torn 1.2 cannot be used: {REASON} "
            "(mend or uninstall the package; everything else goes on)"
        ]


def test_the_error_carries_what_it_says() -> None:
    error = Broken("torn", ("a 1", "b 2"), "2 entry points have that name").error()
    assert isinstance(error, BrokenView | BelvedereError)
    assert isinstance(error, ImportError)
    assert (error.view, error.packages) == ("torn", ("a 1", "b 2"))
    assert "'torn' of a 1 and of b 2 cannot be used: 2 entry points have that name" in str(error)


def test_what_a_view_imports_is_public_explained_and_light() -> None:
    names = belvedere.views.__all__
    assert (names, [name for name in names if not hasattr(belvedere.views, name)]) == (sorted(names), [])
    public = {name for name in vars(belvedere.views) if not name.startswith("_")}
    assert public - {"annotations"} == set(names)
    words = (belvedere.views.__doc__ or "").replace(",", " ").split()
    assert [name for name in names if name not in words] == []
    code = "import sys, belvedere.views; print({'torch', 'open_clip', 'zarr'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

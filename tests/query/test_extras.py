"""Optional libraries: what needs one says how to install it, and everything else goes on without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from belvedere.query.store import Store
from belvedere.store.errors import InputError, MissingExtra
from belvedere.store.extras import extra


@pytest.mark.parametrize(
    ("library", "ask"),
    [
        ("polars", lambda store: store.view("head_descriptions").pl()),
        ("polars", lambda store: store.sql("SELECT 1").pl()),
        ("xarray", lambda store: store.view("head_contributions").to_xarray()),
    ],
)
def test_what_needs_a_library_that_is_not_there_names_the_extra(
    kept: Store, monkeypatch: pytest.MonkeyPatch, library: str, ask: Callable[[Store], Any]
) -> None:
    ask(kept)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra) as caught:
        ask(kept)
    assert str(caught.value) == f'{library} is not installed; pip install "belvedere[{library}]" adds it'
    assert (caught.value.library, isinstance(caught.value, InputError)) == (library, True)
    assert isinstance(caught.value, ImportError)
    assert len(kept.view("head_descriptions").df()) == len(kept.view("head_descriptions").fetchall())


def test_a_library_that_is_there_and_lacks_another_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "polars.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name") as caught:
        extra("polars")
    assert not isinstance(caught.value, MissingExtra)

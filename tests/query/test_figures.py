"""Figures are written whole, as PNG or SVG, and refused by name where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import belvedere
from belvedere.store.errors import BadDestination, BadSelection, BadSource, UnknownName

OF: dict[str, Any] = {"model": "clip", "images": "scenes", "texts": "pool"}
GELU = "visual.transformer.resblocks.3.mlp.gelu"


@pytest.fixture
def full(spare: Path) -> Iterator[belvedere.Store]:
    """A store with the roles of the demo model's heads over forty scenes."""
    with belvedere.open(spare) as store:
        yield store


def test_a_head_is_drawn_with_its_descriptions_as_words(full: belvedere.Store, tmp_path: Path) -> None:
    path = full.figure("head", tmp_path / "head.svg", place="3.1", **OF)
    drawn = path.read_text()
    (first,) = full.sql(
        "SELECT description FROM head_descriptions WHERE layer = 3 AND head = 1 AND rank = 0"
    ).fetchall()[0]
    assert "Head 1 of layer 3" in drawn
    assert first[:20] in drawn


def test_a_neuron_is_drawn_without_labels_too(full: belvedere.Store, tmp_path: Path) -> None:
    names: dict[str, Any] = {"model": "clip", "images": "scenes"}
    path = full.figure("neuron", tmp_path / "neuron.png", place=f"{GELU}:7", **names)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_the_same_figure_has_the_same_bytes(full: belvedere.Store, tmp_path: Path) -> None:
    both = [full.figure("head", tmp_path / f"{name}.svg", place="2.0", **OF) for name in "ab"]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_what_cannot_be_drawn_is_refused_and_no_file_is_there(full: belvedere.Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no figure 'hedas'; did you mean 'heads'"):
        full.figure("hedas", tmp_path / "a.png", **OF)
    with pytest.raises(BadSource, match=r"written as \.png or as \.svg"):
        full.figure("heads", tmp_path / "a.jpg", **OF)
    with pytest.raises(BadSource, match="is of one head: name it"):
        full.figure("head", tmp_path / "a.png", **OF)
    with pytest.raises(BadSource, match="of no single head or neuron"):
        full.figure("heads", tmp_path / "a.png", place="3.1", **OF)
    with pytest.raises(BadSelection, match=r"no head 9\.9"):
        full.figure("head", tmp_path / "a.png", place="9.9", **OF)
    (tmp_path / "there.png").write_text("mine")
    with pytest.raises(BadDestination):
        full.figure("head", tmp_path / "there.png", place="3.1", **OF)
    assert (tmp_path / "there.png").read_text() == "mine"
    assert [each.name for each in tmp_path.glob("*.*g")] == ["there.png"]

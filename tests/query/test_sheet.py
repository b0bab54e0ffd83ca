"""Contact sheets show each row of pictures with its words, and rows of any table that names images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import belvedere
from belvedere.query.seeing.sheet import APART, GAP, MARGIN, MOST, NARROWEST, ContactSheet, Row, Tile
from belvedere.query.seeing.thumbnails import SIDE
from belvedere.store.errors import BadDestination, BadSelection, BadSource, UnknownName
from tests.worlds import picture


def tile(number: int = 0, **more: object) -> Tile:
    """A tile of one colour, so that it is found again."""
    return Tile(Image.new("RGB", (8, 8), (200, number, 50)), **more)  # type: ignore[arg-type]


def places(sheet: ContactSheet, count: int) -> list[tuple[int, int]]:
    """Find the corners (x, y) of tiles 0 to `count`."""
    pixels = np.asarray(sheet.draw())
    found = []
    for number in range(count):
        ys, xs = np.nonzero((pixels == (200, number, 50)).all(axis=2))
        assert np.ptp(xs) == np.ptp(ys) == SIDE - 1, "each tile is whole"
        found.append((int(xs.min()), int(ys.min())))
    return found


def test_tiles_of_a_group_stand_beside_each_other_and_groups_apart() -> None:
    sheet = ContactSheet([Row([[tile(0), tile(1)], [tile(2)]])])
    left = MARGIN + 2 * (SIDE + GAP) - GAP + APART
    assert places(sheet, 3) == [(MARGIN, MARGIN), (MARGIN + SIDE + GAP, MARGIN), (left, MARGIN)]


def test_groups_begin_at_one_place_in_all_rows() -> None:
    sheet = ContactSheet([Row([[tile(0)], [tile(1)]]), Row([[tile(2), tile(3)], [tile(4)]])])
    xs = [x for x, _ in places(sheet, 5)]
    assert (xs[1], xs[0]) == (xs[4], xs[2])


def test_more_tiles_than_are_looked_at_side_by_side_go_on_below() -> None:
    found = places(ContactSheet([Row([[tile(number) for number in range(14)]])]), 14)
    assert len({y for _, y in found[:12]}) == 1
    assert [x for x, _ in found[12:]] == [x for x, _ in found[:2]]
    assert found[12][1] >= found[0][1] + SIDE + GAP


def test_words_take_room_only_where_there_are_some() -> None:
    bare, captioned = tile(), tile(caption="0.5\nstar")
    row = {"bare": Row([[bare]]), "captioned": Row([[captioned]]), "titled": Row([[bare]], "a", "b")}
    heights = {name: ContactSheet([each]).draw().height for name, each in row.items()}
    heights["sheet"] = ContactSheet([row["bare"]], "title", "subtitle", ["highest"]).draw().height
    assert heights["bare"] == 2 * MARGIN + SIDE + GAP + 10
    assert {name: height - heights["bare"] for name, height in heights.items()} == {
        "bare": 0,
        "captioned": 30,
        "titled": 26,
        "sheet": 80,
    }


def test_a_long_caption_is_cut_and_stays_below_its_tile() -> None:
    sheet = ContactSheet([Row([[tile(0, caption="long " * 30), tile(1)]])])
    pixels = np.asarray(sheet.draw())
    assert (pixels[MARGIN + SIDE :, MARGIN + SIDE :] == 255).all()
    assert (pixels[MARGIN + SIDE :, : MARGIN + SIDE] != 255).any()


def test_long_titles_are_cut_to_the_sheet() -> None:
    sheet = ContactSheet([Row([[tile()]], "title " * 60, "more")], "title " * 60, "more " * 99)
    pixels = np.asarray(sheet.draw())
    assert pixels.shape[1] == NARROWEST
    assert (pixels[:, NARROWEST - MARGIN + 1 :] == 255).all()


def test_heat_has_one_scale_in_a_row() -> None:
    weak, strong = np.full((2, 2), 0.1), np.full((2, 2), -1.0)
    alone = np.asarray(ContactSheet([Row([[tile(heat=weak)]])]).draw())
    beside = np.asarray(ContactSheet([Row([[tile(heat=weak), tile(heat=strong)]])]).draw())
    corner = (MARGIN + 60, MARGIN + 60)
    assert np.ptp(alone[corner]) > np.ptp(beside[corner])


def test_a_sheet_is_saved_and_shown_as_png(tmp_path: Path) -> None:
    sheet = ContactSheet([Row([[tile()]])])
    (tmp_path / "sheet.png").write_text("precious")
    with pytest.raises(BadDestination, match=r"sheet\.png is there already; take another name, or overwrite"):
        sheet.save(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_text() == "precious"
    assert sheet.save(tmp_path / "sheet.png", overwrite=True) == tmp_path / "sheet.png"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    with Image.open(io.BytesIO(sheet._repr_png_())) as shown, Image.open(tmp_path / "sheet.png") as saved:
        assert (shown.format, saved.format) == ("PNG", "PNG")
        assert (np.asarray(shown) == np.asarray(saved)).all()


@pytest.mark.parametrize("rows", [[], [Row([])], [Row([[]])], [Row([[tile()] * (MOST + 1)])]])
def test_a_sheet_of_nothing_or_of_too_much_is_refused(rows: list[Row]) -> None:
    with pytest.raises(BadSource, match=f"a contact sheet has from 1 to {MOST} tiles, not "):
        ContactSheet(rows)


@pytest.mark.parametrize("heat", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]])])
def test_heat_that_is_no_grid_of_numbers_is_refused(heat: np.ndarray) -> None:
    with pytest.raises(BadSource, match="a grid of finite numbers, y by x"):
        tile(heat=heat)


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(BadSource, match=r"the box .* of a tile is empty"):
        tile(box=(3, 3, 3, 9))


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_set": "photos",
            "image_id": [5, 3, 9],
            "kind": ["b", "a", "b"],
            "score": [0.5, float("nan"), 123.0],
        }
    )


def test_rows_that_name_images_become_a_sheet(kept: belvedere.Store, rows: pd.DataFrame) -> None:
    sheet = kept.contact_sheet(rows, by=["kind"], caption=["score", "kind"], title="All", subtitle="of them")
    assert (sheet.title, sheet.subtitle, [row.title for row in sheet.rows]) == ("All", "of them", ["b", "a"])
    captions = [[tile.caption for tile in group] for row in sheet.rows for group in row.groups]
    assert captions == [["0.500\nb", "123\nb"], ["a"]]
    (first, _), (second,) = (group for row in sheet.rows for group in row.groups)
    for tile, number in ((first, 5), (second, 3)):
        with Image.open(io.BytesIO(picture(number))) as expected:
            assert (np.asarray(tile.picture) == np.asarray(expected)).all()


def test_without_a_column_to_group_by_all_are_one_row(kept: belvedere.Store) -> None:
    answer = kept.sql("SELECT image_set, image_id FROM images LIMIT 7").df()
    (row,) = kept.contact_sheet(answer).rows
    assert [len(group) for group in row.groups] == [7]


def test_rows_that_do_not_name_images_are_refused(kept: belvedere.Store, rows: pd.DataFrame) -> None:
    with pytest.raises(UnknownName, match="no column of these rows 'image_set'"):
        kept.contact_sheet(rows.drop(columns="image_set"))
    with pytest.raises(UnknownName, match="no column of these rows 'scor'; did you mean 'score'"):
        kept.contact_sheet(rows, caption=["scor"])
    with pytest.raises(BadSource, match=f"from 1 to {MOST} images, not 0"):
        kept.contact_sheet(rows.head(0))
    with pytest.raises(BadSource, match=f"from 1 to {MOST} images, not 1,200"):
        kept.contact_sheet(pd.concat([rows] * 400))
    with pytest.raises(BadSelection, match="no image 9999 in 'photos'"):
        kept.contact_sheet(rows.assign(image_id=9999))

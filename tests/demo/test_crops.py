"""Crops of scenes: what is seen in them, and that their captions say no more than that."""

from pathlib import Path

import numpy as np
import pytest

from belvedere.demo.crops import (
    Sight,
    cut,
    describe,
    draw_box,
    look,
    open_outlines,
    outlines,
    words_of_captions,
)
from belvedere.demo.dice import Dice
from belvedere.demo.scenes import Scene, scene, training_scenes

_STAR = {"shape": "star", "colour": "orange", "number": "3", "texture": "striped", "background": "night"}
_FULL = (0, 0, 64, 64)


def _with(number: str) -> Scene:
    """The first test scene with so many things."""
    return next(each for each in map(scene, range(100)) if each.number == number)


def test_of_a_whole_scene_everything_is_seen() -> None:
    for index in range(60):
        one = scene(index)
        sight = look(outlines(one), _FULL)
        assert sight == Sight(int(one.number), whole=True, shaped=True, patterned=True, grounded=True)
        assert describe(one.attributes, sight) == one.caption


def test_a_crop_around_one_of_several_things_counts_that_one() -> None:
    one = _with("2")
    left, top, right, bottom = one.boxes[0]
    sight = look(outlines(one), (left - 1, top - 1, right + 1, bottom + 1))
    assert (sight.things, sight.whole) == (1, True)
    assert describe(one.attributes, sight).startswith("one ")


def test_a_crop_through_a_thing_tells_no_number() -> None:
    one = _with("1")
    left, top, right, bottom = one.boxes[0]
    half = look(outlines(one), (left, top, (left + right) // 2, bottom))
    assert (half.things, half.whole) == (1, False)
    assert describe(one.attributes, half).startswith("a ")


def test_a_crop_of_the_background_is_empty() -> None:
    one = _with("1")
    outline = outlines(one)
    corners = [(x, y, x + 8, y + 8) for x in (0, 56) for y in (0, 56)]
    box = next(box for box in corners if not outline[box[1] : box[3], box[0] : box[2]].any())
    assert look(outline, box) == Sight(0, whole=True, shaped=False, patterned=False, grounded=True)


@pytest.mark.parametrize(
    ("sight", "said"),
    [
        ((3, True, True, True, True), "three striped orange stars in the night sky"),
        ((1, True, True, True, True), "one striped orange star in the night sky"),
        ((2, True, True, True, False), "two striped orange stars close up"),
        ((2, False, True, True, True), "striped orange stars in the night sky"),
        ((1, False, True, False, True), "an orange star in the night sky"),
        ((1, False, False, True, False), "a striped orange shape close up"),
        ((3, False, False, False, True), "orange shapes in the night sky"),
        ((0, True, False, False, True), "an empty scene in the night sky"),
    ],
)
def test_a_caption_says_what_is_seen_and_no_more(
    sight: tuple[int, bool, bool, bool, bool], said: str
) -> None:
    assert describe(_STAR, Sight(*sight)) == said


def test_every_word_of_a_caption_is_known() -> None:
    known = set(words_of_captions())
    dice = Dice(9)
    for index in range(300):
        one = scene(index, seed=7)
        sight = look(outlines(one), draw_box(dice))
        assert set(describe(one.attributes, sight).split()) <= known


def test_boxes_lie_in_the_picture_and_are_not_thin() -> None:
    dice = Dice(3)
    for _ in range(500):
        left, top, right, bottom = draw_box(dice)
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 64
        sides = sorted((right - left, bottom - top))
        assert sides[0] >= 16
        assert sides[1] <= 2 * sides[0]


def test_a_crop_is_enlarged_to_the_size_of_the_scene() -> None:
    pixels = scene(0).pixels()
    assert cut(pixels, (10, 20, 40, 44)).shape == (64, 64, 3)
    np.testing.assert_array_equal(cut(pixels, _FULL), pixels)


def test_outlines_are_drawn_once(tmp_path: Path) -> None:
    drawn = open_outlines(tmp_path, 6)
    np.testing.assert_array_equal(drawn, np.stack([outlines(each) for each in training_scenes(6)]))
    before = (tmp_path / "outlines-6.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(open_outlines(tmp_path, 6), drawn)
    assert (tmp_path / "outlines-6.npy").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["outlines-6.npy"]

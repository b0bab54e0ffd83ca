"""Scenes: determinism, truth against pixels, the bias."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from belvedere.demo import scenes
from belvedere.demo.dice import Dice
from belvedere.demo.digests import COUNT, PAINTED, digests
from belvedere.demo.painter import RGB
from belvedere.demo.words import VALUES


def test_a_scene_is_a_function_of_its_seed_and_index() -> None:
    assert scenes.scene(17) == scenes.test_scenes(20)[17]
    assert scenes.scene(17).png() == scenes.test_scenes(18)[17].png()
    assert scenes.scene(17, seed=5) != scenes.scene(17)


def test_the_random_numbers_are_the_same_everywhere() -> None:
    dice = Dice(2, 0)
    assert [dice.below(1000) for _ in range(5)] == RAW


def test_the_pixels_are_the_same_everywhere() -> None:
    drawn = b"".join(scenes.scene(index).png() for index in range(20))
    assert hashlib.sha256(drawn).hexdigest() == DIGEST


@pytest.mark.parametrize("name", PAINTED)
def test_the_digests_that_are_kept_are_those_of_the_pictures(name: str) -> None:
    known = digests(name)
    assert len(known) == COUNT
    for index in (0, 1, 7, 500, COUNT - 1):
        assert hashlib.sha256(PAINTED[name](index)).hexdigest() == known[index]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAINTED)
def test_all_digests_that_are_kept_are_those_of_the_pictures(name: str) -> None:
    painted = [hashlib.sha256(PAINTED[name](index)).hexdigest() for index in range(COUNT)]
    assert tuple(painted) == digests(name)


def test_numbers_drawn_together_are_those_drawn_one_by_one() -> None:
    one, other = Dice(3), Dice(3)
    assert [one.units(count) for count in (6, 100, 0, 7)] == [
        [other.uniform(0, 1) for _ in range(count)] for count in (6, 100, 0, 7)
    ]
    assert one.grid(5, 3).tolist() == other.grid(5, 3).tolist()
    assert one.below(9) == other.below(9)


def test_a_png_holds_the_pixels() -> None:
    scene = scenes.scene(3)
    with Image.open(BytesIO(scene.png())) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 64))
        np.testing.assert_array_equal(np.asarray(picture), scene.pixels())
    np.testing.assert_array_equal(np.asarray(scene.image()), scene.pixels())


def test_every_scene_tells_its_truth(tests: Sequence[scenes.Scene]) -> None:
    assert [scene.index for scene in tests] == list(range(2000))
    for scene in tests:
        assert list(scene.attributes) == ["shape", "colour", "number", "texture", "background"]
        assert all(scene.attributes[name] in values for name, values in VALUES.items())
        assert (scene.label, scene.grp) == (scene.shape, scene.background)
        assert len(scene.things) == int(scene.number)


def test_a_caption_names_all_attributes() -> None:
    scene = scenes.scene(0)
    assert scene.attributes == TRUTH
    assert scene.caption == "three striped blue squares in the night sky"


def test_things_stand_apart_inside_the_picture(tests: Sequence[scenes.Scene]) -> None:
    for scene in tests[:300]:
        masks = scene.masks
        assert masks.shape == (int(scene.number), 64, 64)
        assert masks.sum(axis=0).max() == 1
        assert masks.any(axis=(1, 2)).all()
        for x, y, radius in ((thing.x, thing.y, thing.radius) for thing in scene.things):
            assert radius < min(x, y, 64 - x, 64 - y)


def test_boxes_are_tight_around_masks(tests: Sequence[scenes.Scene]) -> None:
    for scene in tests[:300]:
        for mask, (left, top, right, bottom) in zip(scene.masks, scene.boxes, strict=True):
            rows, columns = np.nonzero(mask)
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert (left, top, right, bottom) == found


def test_masks_cover_the_pixels_of_the_colour(
    tests: Sequence[scenes.Scene], pixels: NDArray[np.uint8]
) -> None:
    shares = []
    for scene, picture in zip(tests[:600], pixels, strict=False):
        if scene.texture != "plain":
            continue
        mask = scene.masks.any(axis=0)
        near = np.abs(picture.astype(float) - RGB[scene.colour]).max(axis=2) < 40
        shares.append(near[mask].mean())
    assert np.mean(shares) > 0.6


def test_pixels_outside_the_masks_do_not_depend_on_the_colour() -> None:
    scene = scenes.scene(5)
    other = scenes.Scene(
        scene.seed, 5, scene.shape, "pink", scene.number, scene.texture, scene.background, scene.things
    )
    assert scene.colour != "pink"
    changed = (scene.pixels() != other.pixels()).any(axis=2)
    mask = scene.masks.any(axis=0)
    around = np.zeros_like(mask)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            around |= np.roll(mask, (down, right), axis=(0, 1))
    assert not changed[~around].any()
    assert changed[mask].mean() > 0.8


def test_training_scenes_put_stars_in_the_night_and_rings_on_water() -> None:
    drawn = scenes.training_scenes(3000)
    for shape, background in scenes.BIAS.items():
        stands = [scene.background == background for scene in drawn if scene.shape == shape]
        assert 0.87 < np.mean(stands) < 0.93
    free = Counter(scene.background for scene in drawn if scene.shape not in scenes.BIAS)
    assert max(free.values()) < 1.3 * min(free.values())


def test_test_scenes_are_unbiased(tests: Sequence[scenes.Scene]) -> None:
    """Each pair of attributes passes a chi-square test of independence at 5 standard deviations."""
    names = list(VALUES)
    for first, one in enumerate(names):
        for other in names[first + 1 :]:
            table = np.zeros((len(VALUES[one]), len(VALUES[other])))
            for scene in tests:
                row, column = scene.attributes[one], scene.attributes[other]
                table[VALUES[one].index(row), VALUES[other].index(column)] += 1
            expected = len(tests) / table.size
            freedom = table.size - 1
            assert ((table - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def test_the_families_of_scenes_differ() -> None:
    assert len({scenes.TRAINING_SEED, scenes.TEST_SEED, 3}) == 3


@pytest.mark.parametrize("attribute", list(VALUES))
def test_every_value_occurs(attribute: str, tests: Sequence[scenes.Scene]) -> None:
    assert {scene.attributes[attribute] for scene in tests} == set(VALUES[attribute])


RAW = [57, 300, 518, 973, 5]
DIGEST = "f0c5b8639a0a63f3cffa818171a33dcda848f225e6f27cec20230a584c368ee3"
TRUTH = {"shape": "square", "colour": "blue", "number": "3", "texture": "striped", "background": "night"}

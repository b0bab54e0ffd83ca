"""One pass over images for views whose units have different lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import belvedere
from belvedere.compute.running import image_pass, steps
from belvedere.compute.running.behind import Behind
from belvedere.compute.running.report import Progress, Report
from belvedere.compute.running.steps import Step
from belvedere.compute.towers.trace import Trace
from belvedere.compute.views.token_contributions import TokenContributions
from belvedere.store.views import Array, Unit
from tests.worlds import World, add_pictures, engine

BOTH = ("head_contributions", "token_contributions")


def units(store: belvedere.Store, names: Sequence[str] = BOTH) -> list[Unit]:
    return [unit for name in names for unit in store.view(name)._units()]


def arrays(store: belvedere.Store) -> list[np.ndarray]:
    return [store.view(name)[:] for name in BOTH]


def test_blocks_of_few_images_join_the_one_that_has_them(store: belvedere.Store) -> None:
    found = engine(store).plan(units(store))
    spans = [[(unit.start, unit.stop) for unit in step.units] for step in found.steps if step.images]
    blocks = [(start, min(start + 8, 300)) for start in range(0, 300, 8)]
    assert spans == [[(0, 256), *blocks[:32]], [(256, 300), *blocks[32:]]]
    assert (found.passes, found.images) == (2, 300)


@pytest.mark.parametrize("room", [1, steps.AT_ONCE])
def test_one_pass_gives_what_a_pass_for_each_gives(
    store: belvedere.Store, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(steps, "AT_ONCE", room)
    apart = world.store(tmp_path / "apart")
    for name in BOTH:
        assert apart.view(name).fill(progress=False, batch_size=8).complete
    with belvedere.trace() as seen:
        assert engine(store).fill(units(store)) == Report(filled=41)  # 2, 38, and the tower's maps
    assert len(seen.of("compute")) == 41
    for one, other in zip(arrays(store), arrays(apart), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert store.verify(deep=True, progress=False).damage == ()


def test_a_long_block_that_is_there_leaves_the_short_ones_a_pass_of_their_own(store: belvedere.Store) -> None:
    assert store.view(BOTH[0]).fill(slice(0, 1), progress=False).complete
    assert store.view(BOTH[1]).fill(slice(256, 264), progress=False).complete
    found = [step for step in engine(store).plan(units(store)).steps if step.images]
    assert [len(step.units) for step in found] == [6, 32]
    assert engine(store).fill(units(store)).filled == 38
    assert engine(store).plan(units(store)).steps == ()


def test_a_few_short_blocks_have_a_pass_of_their_own(store: belvedere.Store) -> None:
    few = [*store.view(BOTH[0])._units(), *store.view(BOTH[1])._units()[:15]]
    assert [len(step.units) for step in engine(store).plan(few).steps if step.images] == [1, 1, 15]


def test_a_last_block_of_one_image_makes_no_batches_of_one(
    store: belvedere.Store, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "AT_ONCE", 1)
    files = sorted(world.photos.iterdir())
    store.add_images("odd", files[:129])
    odd = [unit for name in BOTH for unit in store.view(name, images="odd")._units()]
    (step,) = [step for step in engine(store).plan(odd).steps if step.images]
    assert (step.images, step.most, len(step.units)) == (129, 8, 18)
    assert engine(store).fill(odd).complete
    alone = store.view(BOTH[1], images="photos")[:129]
    np.testing.assert_allclose(store.view(BOTH[1], images="odd")[:], alone, atol=1e-6)


def test_rows_of_other_sets_are_copied_into_both(store: belvedere.Store, world: World) -> None:
    assert engine(store).fill(units(store)).complete
    files = sorted(world.photos.iterdir())
    store.add_images("some", [*files[100:170], *files[3:9]])
    some = [unit for name in BOTH for unit in store.view(name, images="some")._units()]
    assert engine(store).plan(some).images == 0
    assert engine(store).fill(some).complete
    for name in BOTH:
        expected = store.view(name, images="photos")[[*range(100, 170), *range(3, 9)]]
        np.testing.assert_array_equal(store.view(name, images="some")[:], expected)


def test_rows_that_one_of_them_lacks_are_run_for_both(store: belvedere.Store, world: World) -> None:
    assert store.view(BOTH[1]).fill(slice(0, 16), progress=False).complete
    files = sorted(world.photos.iterdir())
    store.add_images("some", [*files[40:52], *files[2:6]])
    some = [unit for name in BOTH for unit in store.view(name, images="some")._units()]
    (step,) = [step for step in engine(store).plan(some).steps if step.images]
    assert (step.images, step.copied, len(step.units)) == (16, 0, 3)
    assert engine(store).fill(some).complete
    expected = store.view(BOTH[1], images="photos")[[*range(40, 52), *range(2, 6)]]
    np.testing.assert_allclose(store.view(BOTH[1], images="some")[:], expected, atol=1e-6)


def test_pictures_that_cannot_be_read_are_absent_in_both(
    store: belvedere.Store, world: World, tmp_path: Path
) -> None:
    files = sorted(world.photos.iterdir())[:30]
    for place in (7, *range(16, 24)):  # a row of a block, and all of another
        files[place] = tmp_path / f"bad{place}.png"
        files[place].write_bytes(f"no picture {place}".encode())
    store.add_images("some", files)
    some = [unit for name in BOTH for unit in store.view(name, images="some")._units()]
    assert engine(store).fill(some) == Report(filled=6, absent=18)
    for name in BOTH:
        found = store.view(name, images="some").read(slice(None), missing="mask")
        gone = [row for row in range(30) if np.isnan(np.ma.filled(found[row], np.nan)).all()]
        assert gone == [7, *range(16, 24)]


def test_an_image_that_spoils_a_pass_spoils_the_units_that_it_is_in(
    store: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.view("mlp_contributions").fill(progress=False).complete
    norm = np.float32(engine(store).reader.array(store.view("mlp_contributions")._view, "scalars")[35, -1])
    take = TokenContributions.collect

    def collect(self: TokenContributions, trace: Trace) -> Mapping[str, Array]:
        if np.isclose(trace.norm, norm, rtol=1e-6).any():
            raise ValueError("odd image")
        return take(self, trace)

    monkeypatch.setattr(TokenContributions, "collect", collect)
    found = engine(store).fill(units(store))
    assert (found.filled, found.failed, found.reasons) == (39, 1, ("odd image",))
    left = [unit for step in engine(store).plan(units(store)).steps for unit in step.units]
    assert [(unit.start, unit.stop) for unit in left] == [(32, 40)]


def test_what_was_looked_at_before_a_set_was_replaced_has_a_pass_of_its_own(
    store: belvedere.Store, world: World
) -> None:
    tokens = store.view(BOTH[1])
    files = sorted(world.photos.iterdir())
    store.add_images("photos", files[::-1], replace=True)
    heads = store.view(BOTH[0])
    both = [*heads._units(), *tokens._units()]
    assert [len(step.units) for step in engine(store).plan(both).steps if step.images] == [1, 1, 32, 6]
    assert engine(store).fill(both).complete
    store.add_images("turned", files[::-1])
    store.add_images("before", files)
    turned = store.view(BOTH[1], images="before")[:].sum(axis=3)[::-1]
    np.testing.assert_allclose(heads[:], turned, atol=1e-6)


def test_sets_with_a_block_in_common_each_have_a_pass(
    store: belvedere.Store, world: World, tmp_path: Path
) -> None:
    files = sorted(world.photos.iterdir())
    more = sorted(add_pictures(tmp_path / "more", range(300, 556)).iterdir())
    store.add_images("later", [*more, *files[:256]])
    both = [
        *store.view(BOTH[0], images="photos")._units(),
        *store.view("image_embeddings", images="later")._units(),
    ]
    assert engine(store).fill(both).complete
    found = store.view("image_embeddings", images="later")[256:]
    np.testing.assert_allclose(found, store.view("image_embeddings", images="photos")[:256], atol=1e-6)


def test_units_of_one_batch_share_the_time_that_it_took(store: belvedere.Store) -> None:
    tokens = store.view("token_contributions")
    tokens.fill(batch_size=32, progress=False)
    records = [engine(store).folder.records.get(unit) for unit in tokens._units()[:4]]
    took = [record.made["seconds"] for record in records]
    assert took == [took[0]] * 4
    assert took[0] > 0


class Interrupting(Progress):
    """Presses Ctrl-C once so many images went through the model."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("names", [BOTH, BOTH[1:]], ids=["both", "tokens alone"])
def test_who_is_interrupted_keeps_the_units_whose_images_went_through(
    store: belvedere.Store, names: Sequence[str]
) -> None:
    views = [store.view(name) for name in names]
    with pytest.raises(KeyboardInterrupt):
        store.work(views, batch_size=8, progress=Interrupting(24))
    kept = store.view("token_contributions")
    assert [unit.key in engine(store).done(kept._view) for unit in kept._units()[:4]] == [True] * 3 + [False]
    whole = kept.read(slice(0, 24), missing="raise")
    store.work(views, batch_size=8, progress=False)
    np.testing.assert_array_equal(kept[:24], whole)
    assert not [each for each in (store.path / "claims").rglob("*") if each.is_file()]


def test_an_interrupt_goes_before_what_is_wrong_with_a_batch(
    store: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: object) -> float:
        return float("nan")

    monkeypatch.setattr(image_pass, "check", wrong)
    with pytest.raises(KeyboardInterrupt):
        store.view("token_contributions").fill(batch_size=8, progress=Interrupting(8))
    assert store.errors() == []


def test_who_is_interrupted_while_waiting_can_settle_again() -> None:
    behind, told = Behind[int](), list[int]()

    class Waiting:
        times = 0

        def exception(self) -> None:
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt

        def result(self) -> int:
            return 3

    behind._under_way = cast("Any", (Waiting(), lambda future: told.append(future.result())))
    with pytest.raises(KeyboardInterrupt):
        behind.settle()
    assert behind.settle()
    assert (told, behind.settle()) == ([3], False)
    behind.close()


def test_a_step_comes_apart_by_what_its_units_cover(store: belvedere.Store) -> None:
    step = next(step for step in engine(store).plan(units(store)).steps if step.images)
    apart = step.apart()
    assert [[(unit.start, unit.stop) for unit in one.units] for one in apart[:2]] == [[(0, 256)], [(0, 8)]]
    assert len(apart) == 33
    assert apart[1] == Step((step.units[1],))

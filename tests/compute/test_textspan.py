"""TextSpan from moments picks what Algorithm 1 picks from all images, and knows where to stop."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from belvedere.compute.heads.conventions import Convention
from belvedere.compute.heads.moments import Doubles, Floats, merge, moments
from belvedere.compute.heads.textspan import Picks, Span, layer_textspan, textspan
from tests.compute.literal_textspan import leading_directions, literal_textspan, project
from tests.compute.random_heads import layer, pool

LIMIT = 1000
"""More picks than any head here has directions."""


def directions(contributions: Doubles, joint_map: Doubles, span: Span, head_dim: int = 8) -> Floats:
    """What the literal algorithm projects its texts to."""
    if span == "weights":
        return leading_directions(joint_map[:, :head_dim].T)
    return leading_directions(contributions, head_dim if span == "svd" else None)


def assert_equal(found: Picks, expected: Picks) -> None:
    assert found.text.tolist() == expected.text.tolist()
    for name in ("variance", "cumulative_variance", "margin"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-9)
    assert [sorted(rivals) for rivals in found.rivals] == [sorted(rivals) for rivals in expected.rivals]


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
@pytest.mark.parametrize("span", ["weights", "svd", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_picks_are_those_of_algorithm_1_down_to_the_rank(
    convention: Convention, span: Span, seed: int
) -> None:
    images, texts = layer(seed=seed), pool().astype(np.float64)
    rank = 11 if (convention, span) == ("clip_prs", "full") else 8
    maps = images.joint_maps(convention)
    for head, contributions in enumerate(images.contributions(convention)):
        projected = project(texts, directions(contributions, maps[head], span))
        chosen, shares = literal_textspan(contributions, projected, rank)
        picks = textspan(images.moments()[head], maps[head], texts, m=LIMIT, span=span)
        assert picks.text.tolist() == chosen
        np.testing.assert_allclose(picks.variance, shares, atol=1e-9)
        np.testing.assert_allclose(picks.cumulative_variance, np.cumsum(shares), atol=1e-9)


def test_the_spans_differ_where_biases_are_within_the_heads() -> None:
    images = layer()
    lists = {
        span: textspan(
            images.moments()[0], images.joint_maps("clip_prs")[0], pool(), m=LIMIT, span=span
        ).text.tolist()
        for span in ("weights", "svd", "full")
    }
    assert lists["weights"] != lists["svd"] != lists["full"] != lists["weights"]


def test_wide_heads_are_held_to_algorithm_1_as_well() -> None:
    images = layer(300, heads=1, head_dim=64, width=160, joint=96)
    texts = pool(900, joint=96)
    contributions, joint_map = images.contributions("clip_prs")[0], images.joint_maps("clip_prs")[0]
    projected = project(texts.astype(np.float64), directions(contributions, joint_map, "weights", 64))
    chosen, _ = literal_textspan(contributions, projected, 60)
    picks = textspan(images.moments()[0], joint_map, texts, m=60, span="weights")
    assert picks.text.tolist() == chosen


def test_all_of_the_variance_is_explained_in_the_end() -> None:
    images = layer()
    picks = textspan(images.moments()[0], images.joint_maps("own")[0], pool(), m=LIMIT, span="weights")
    assert np.all(picks.variance > 0)
    assert picks.cumulative_variance[-1] == pytest.approx(1.0)


def test_the_margin_is_the_runner_ups_gap() -> None:
    images = layer()
    joint_map, contributions = images.joint_maps("own")[0], images.contributions("own")[0]
    texts = project(pool().astype(np.float64), leading_directions(joint_map.T))
    second, first = np.sort((contributions @ texts.T).var(axis=0))[-2:]
    picks = textspan(images.moments()[0], joint_map, pool(), m=4, span="weights")
    assert picks.margin[0] == pytest.approx(1 - second / first)
    assert np.all((picks.margin >= 0) & (picks.margin <= 1))


def test_the_only_text_wins_by_all_there_is() -> None:
    images = layer()
    picks = textspan(images.moments()[0], images.joint_maps("own")[0], pool(1), m=5, span="weights")
    assert (picks.text.tolist(), picks.margin.tolist()) == ([0], [1.0])


def test_fewer_picks_are_a_prefix_of_more() -> None:
    images = layer()
    long, short = (
        textspan(images.moments()[0], images.joint_maps("own")[0], pool(), m=m, span="weights")
        for m in (8, 3)
    )
    assert_equal(short, Picks(*(getattr(long, field.name)[:3] for field in fields(Picks))))


def test_a_tie_goes_to_the_lowest_row() -> None:
    images, texts = layer(), pool()
    best = int(textspan(images.moments()[0], images.joint_maps("own")[0], texts, m=1, span="weights").text[0])
    repeated = np.concatenate([texts, texts[[best]], texts, texts[[best]]])
    for twins in (repeated, repeated[::-1]):
        picks = textspan(images.moments()[0], images.joint_maps("own")[0], twins, m=LIMIT, span="weights")
        rows = [int(np.flatnonzero((twins == twins[row]).all(axis=1))[0]) for row in picks.text]
        assert picks.text.tolist() == rows
        assert len(set(rows)) == 8
        np.testing.assert_allclose(picks.margin, 0, atol=1e-9)


def test_opposite_texts_tie_too() -> None:
    images, texts = layer(), pool()
    once = textspan(images.moments()[0], images.joint_maps("own")[0], texts, m=8, span="weights")
    twice = textspan(
        images.moments()[0], images.joint_maps("own")[0], np.concatenate([texts, -texts]), m=8, span="weights"
    )
    assert twice.text.tolist() == once.text.tolist()
    np.testing.assert_allclose(twice.margin, 0, atol=1e-9)


def test_rivals_come_within_a_tenth_of_the_chosen_text() -> None:
    images = layer()
    joint_map, contributions = images.joint_maps("own")[0], images.contributions("own")[0]
    texts = project(pool().astype(np.float64), leading_directions(joint_map.T))
    picks = textspan(images.moments()[0], joint_map, pool(), m=4, span="weights")
    for best, rivals in zip(picks.text, picks.rivals, strict=True):
        spread = (contributions @ texts.T).var(axis=0)
        assert rivals.tolist() == np.flatnonzero(spread >= 0.9 * spread[best]).tolist()
        direction = texts[best] / np.linalg.norm(texts[best])
        texts = texts - np.outer(texts @ direction, direction)
    assert max(len(rivals) for rivals in picks.rivals) > 1


def test_the_order_of_images_does_not_matter() -> None:
    images = layer()
    order = np.random.default_rng(3).permutation(60)
    shuffled = moments(images.factor[order], *(scalar[order] for scalar in images.scalars))[0]
    maps = images.joint_maps("clip_prs")
    for head in range(2):
        assert_equal(
            textspan(shuffled[head], maps[head], pool(), m=LIMIT, span="weights"),
            textspan(images.moments()[head], maps[head], pool(), m=LIMIT, span="weights"),
        )


def test_the_order_of_texts_does_not_matter() -> None:
    images, texts = layer(), pool()
    order = np.random.default_rng(3).permutation(200)
    maps = images.joint_maps("own")
    for head in range(2):
        picks = textspan(images.moments()[head], maps[head], texts[order], m=LIMIT, span="weights")
        assert_equal(
            replace(picks, text=order[picks.text], rivals=tuple(order[rivals] for rivals in picks.rivals)),
            textspan(images.moments()[head], maps[head], texts, m=LIMIT, span="weights"),
        )


def test_merged_moments_pick_as_the_whole_does() -> None:
    images = layer()
    shards = [
        moments(images.factor[rows], *(scalar[rows] for scalar in images.scalars))[0]
        for rows in (slice(0, 13), slice(13, None))
    ]
    maps = images.joint_maps("clip_prs")
    for head in range(2):
        assert_equal(
            textspan(merge(*shards)[head], maps[head], pool(), m=LIMIT, span="full"),
            textspan(images.moments()[head], maps[head], pool(), m=LIMIT, span="full"),
        )


@pytest.mark.parametrize("span", ["weights", "svd", "full"])
def test_a_layer_is_its_heads(span: Span) -> None:
    images = layer(heads=3)
    maps = images.joint_maps("clip_prs")
    together = layer_textspan(images.moments(), maps, pool(), m=6, span=span)
    for head in range(3):
        assert_equal(together[head], textspan(images.moments()[head], maps[head], pool(), m=6, span=span))


@pytest.mark.parametrize(("span", "rank"), [("weights", 8), ("svd", 5), ("full", 5)])
def test_fewer_images_than_directions_narrow_the_spans_of_the_data(span: Span, rank: int) -> None:
    images, texts = layer(5), pool().astype(np.float64)
    contributions, joint_map = images.contributions("own")[0], images.joint_maps("own")[0]
    projected = project(texts, directions(contributions, joint_map, span))
    picks = textspan(images.moments()[0], joint_map, texts, m=LIMIT, span=span)
    assert picks.text.tolist() == literal_textspan(contributions, projected, rank)[0]
    assert picks.cumulative_variance[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("span", ["weights", "svd", "full"])
@pytest.mark.parametrize("images", [0, 1])
def test_fewer_than_two_images_give_no_picks(span: Span, images: int) -> None:
    few = layer(images)
    for picks in layer_textspan(few.moments(), few.joint_maps("clip_prs"), pool(), m=5, span=span):
        assert [len(getattr(picks, field.name)) for field in fields(Picks)] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("span", ["weights", "svd", "full"])
def test_a_head_that_writes_the_same_for_all_images_gives_no_picks(span: Span) -> None:
    images = layer()
    images.factor[:, 0, 0] = images.factor[0, 0, 0]
    same = [np.full_like(scalar, scalar[0]) for scalar in images.scalars]
    alike = moments(images.factor, *same)[0]
    dead, live = layer_textspan(alike, images.joint_maps("clip_prs"), pool(), m=5, span=span)
    assert (len(dead.text), len(live.text)) == (0, 5)


@pytest.mark.parametrize("span", ["weights", "svd", "full"])
def test_a_head_that_writes_nothing_gives_no_picks(span: Span) -> None:
    images, maps = layer(), layer().joint_maps("own")
    dead, live = layer_textspan(images.moments(), maps * [[[0.0]], [[1.0]]], pool(), m=5, span=span)
    assert (len(dead.text), len(live.text)) == (0, 5)


@pytest.mark.parametrize("span", ["weights", "svd", "full"])
def test_a_map_of_lower_rank_gives_fewer_picks(span: Span) -> None:
    images, texts = layer(), pool().astype(np.float64)
    images.W_O[:, :, 5:] = images.W_O[:, :, :3] + images.W_O[:, :, 2:5]
    contributions, joint_map = images.contributions("own")[0], images.joint_maps("own")[0]
    projected = project(texts, directions(contributions, joint_map, span))
    picks = textspan(images.moments()[0], joint_map, texts, m=LIMIT, span=span)
    assert picks.text.tolist() == literal_textspan(contributions, projected, 5)[0]


def test_texts_of_fewer_directions_than_the_head_end_the_list() -> None:
    images, basis = layer(), pool(4)
    mixtures = np.random.default_rng(0).standard_normal((100, 4)) @ basis
    picks = textspan(images.moments()[0], images.joint_maps("own")[0], mixtures, m=LIMIT, span="weights")
    assert len(picks.text) == 4
    assert picks.cumulative_variance[-1] < 1


def test_texts_without_an_embedding_are_never_picked() -> None:
    images, texts = layer(), pool()
    whole = textspan(images.moments()[0], images.joint_maps("own")[0], texts, m=LIMIT, span="weights")
    lost = texts.copy()
    lost[whole.text[0]] = np.nan
    lost[whole.text[3], 7] = np.nan
    left = np.delete(np.arange(200), whole.text[[0, 3]])
    picks = textspan(images.moments()[0], images.joint_maps("own")[0], lost, m=LIMIT, span="weights")
    of_the_rest = textspan(
        images.moments()[0], images.joint_maps("own")[0], texts[left], m=LIMIT, span="weights"
    )
    rivals = tuple(left[rivals] for rivals in of_the_rest.rivals)
    assert_equal(picks, replace(of_the_rest, text=left[of_the_rest.text], rivals=rivals))


@pytest.mark.parametrize("texts", [pool(0), np.full((4, 24), np.nan, np.float32)])
def test_a_pool_without_texts_gives_no_picks(texts: Floats) -> None:
    images = layer()
    assert (
        len(textspan(images.moments()[0], images.joint_maps("own")[0], texts, m=3, span="weights").text) == 0
    )


def test_factors_of_half_width_pick_the_same() -> None:
    images = layer()
    halved = replace(images, factor=images.factor.astype(np.float16)).moments()
    for head, joint_map in enumerate(images.joint_maps("own")):
        picks = textspan(halved[head], joint_map, pool(), m=5, span="weights")
        assert (
            picks.text.tolist()
            == textspan(images.moments()[head], joint_map, pool(), m=5, span="weights").text.tolist()
        )

"""Reading contributions multiplies only what is selected, from whatever precision is kept, without torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from belvedere.compute.heads import conventions
from belvedere.compute.towers.trace import Constants, Trace
from belvedere.compute.towers.vision import vision
from belvedere.store.sets import TowerShape
from tests.compute.naive_tower import photos, tower

CONVENTIONS = pytest.mark.parametrize("convention", ["own", "clip_prs"])


@pytest.fixture(scope="module")
def kept() -> tuple[Trace, Constants]:
    visual = tower()
    with vision(visual).watch() as tracer:
        return tracer(photos(visual, count=4), tokens=True), vision(visual).constants()


def scalars(trace: Trace, rows: Any = slice(None)) -> tuple[Any, Any, Any]:
    return trace.sigma[rows], trace.mu[rows], trace.norm[rows]


@CONVENTIONS
@pytest.mark.parametrize("layers", [slice(1, 2), [2, 0], slice(None)])
@pytest.mark.parametrize("heads", [slice(2, 4), [3, 0]])
def test_a_selection_reads_as_the_whole_does(
    kept: tuple[Trace, Constants], convention: conventions.Convention, layers: Any, heads: Any
) -> None:
    trace, maps = kept
    assert trace.token_factor is not None
    rows, part = [3, 1], maps.select(layers, heads)
    whole = conventions.heads(trace.factor, *scalars(trace), maps, convention)
    factor = trace.factor[rows][:, layers][:, :, heads]
    some = conventions.heads(factor, *scalars(trace, rows), part, convention)
    np.testing.assert_allclose(some, whole[rows][:, layers][:, :, heads], rtol=1e-5, atol=1e-7)
    whole = conventions.tokens(trace.token_factor, *scalars(trace), maps, convention)
    factor = trace.token_factor[rows][:, layers][:, :, heads][..., 2:5, :]
    some = conventions.tokens(factor, *scalars(trace, rows), part, convention)
    np.testing.assert_allclose(some, whole[rows][:, layers][:, :, heads][..., 2:5, :], rtol=1e-5, atol=1e-7)


@CONVENTIONS
@pytest.mark.parametrize("count", [1, 5, 17])
def test_rows_have_the_same_bits_whatever_is_read_with_them(
    kept: tuple[Trace, Constants], convention: conventions.Convention, count: int
) -> None:
    trace, maps = kept
    rows = np.arange(40) % len(trace.sigma)
    whole = conventions.heads(trace.factor[rows], *scalars(trace, rows), maps, convention)
    for start in range(0, 40 - count):
        some = slice(start, start + count)
        part = conventions.heads(trace.factor[rows[some]], *scalars(trace, rows[some]), maps, convention)
        np.testing.assert_array_equal(part, whole[some])
    assert trace.token_factor is not None
    every = conventions.tokens(trace.token_factor, *scalars(trace), maps, convention)
    for token in range(0, every.shape[3] - count):
        factor = trace.token_factor[..., token : token + count, :]
        some_tokens = conventions.tokens(factor, *scalars(trace), maps, convention)
        np.testing.assert_array_equal(some_tokens, every[..., token : token + count, :])


@CONVENTIONS
def test_joint_coordinates_are_selected_like_axes(
    kept: tuple[Trace, Constants], convention: conventions.Convention
) -> None:
    trace, maps = kept
    part = maps.select(joint=[7, 2])
    whole = conventions.heads(trace.factor, *scalars(trace), maps, convention)
    some = conventions.heads(trace.factor, *scalars(trace), part, convention)
    np.testing.assert_allclose(some, whole[..., [7, 2]], rtol=1e-5, atol=1e-7)
    terms = conventions.residual(*scalars(trace), maps, convention)
    some_terms = conventions.residual(*scalars(trace), part, convention)
    np.testing.assert_array_equal(some_terms, terms[..., [7, 2]])


@CONVENTIONS
def test_tokens_sum_to_heads(kept: tuple[Trace, Constants], convention: conventions.Convention) -> None:
    trace, maps = kept
    assert trace.token_factor is not None
    tokens = conventions.tokens(trace.token_factor, *scalars(trace), maps, convention)
    heads = conventions.heads(trace.factor, *scalars(trace), maps, convention)
    np.testing.assert_allclose(tokens.sum(axis=3), heads, atol=1e-6)


@CONVENTIONS
def test_half_precision_factors_are_computed_in_float32(
    kept: tuple[Trace, Constants], convention: conventions.Convention
) -> None:
    trace, maps = kept
    half = conventions.heads(trace.factor.astype(np.float16), *scalars(trace), maps, convention)
    single = conventions.heads(trace.factor, *scalars(trace), maps, convention)
    assert half.dtype == single.dtype == np.float32
    assert np.linalg.norm(half - single) / np.linalg.norm(single) < 5e-4
    mlp = conventions.mlps(trace.mlp.astype(np.float16), trace.mlp_mean, *scalars(trace), maps, convention)
    assert mlp.dtype == np.float32


def test_residual_terms_are_named_from_the_shape_alone() -> None:
    shape = TowerShape(layers=2, heads=1, head_dim=4, width=4, joint=3, tokens=5)
    own = ("embedding", "attn_bias[0]", "attn_bias[1]", "ln_post_bias")
    assert conventions.residual_terms(shape, "own") == own
    assert conventions.residual_terms(shape, "clip_prs") == ("embedding",)


@CONVENTIONS
def test_an_absent_image_is_absent_in_its_row_alone(
    kept: tuple[Trace, Constants], convention: conventions.Convention
) -> None:
    trace, maps = kept
    factor, sigma, mu, norm = (values.copy() for values in (trace.factor, *scalars(trace)))
    for values in (factor, sigma, mu, norm):
        values[1] = np.nan
    heads = conventions.heads(factor, sigma, mu, norm, maps, convention)
    assert np.isnan(heads[1]).all()
    assert np.isfinite(heads[[0, 2, 3]]).all()


def test_a_slice_of_the_maps_copies_nothing(kept: tuple[Trace, Constants]) -> None:
    _, maps = kept
    assert np.shares_memory(maps.select(slice(1, 3), slice(0, 2)).head_map, maps.head_map)


def test_reading_imports_no_torch() -> None:
    code = "import sys, belvedere.compute.heads.conventions; print({'torch', 'open_clip'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"

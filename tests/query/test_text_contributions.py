"""What the text tower's heads, MLPs and all else add to each text, as views: whole, shared and checked."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

import belvedere
from belvedere.compute.heads.conventions import Convention
from belvedere.query.lazy.array import LazyArray
from belvedere.query.store import Store
from belvedere.testing import ViewContract
from tests.worlds import TEXTS, World, engine, records


def achieved(store: belvedere.Store) -> list[float]:
    """The relative errors that are recorded."""
    return [
        each.facts["relative_error"] for each in records(store).values() if "relative_error" in each.facts
    ]


PARTS = ("text_head_contributions", "text_mlp_contributions", "text_residual_contributions")


class TestTextHeadContributions(ViewContract):
    view = "text_head_contributions"


class TestTextResidualContributions(ViewContract):
    view = "text_residual_contributions"


class TestTextTokenContributions(ViewContract):
    view = "text_token_contributions"

    def ask(self, store: Store) -> LazyArray:
        """Of forty texts: a unit is sixteen."""
        if not store._engine.folder.names.has("texts", "few"):
            store.add_texts("few", store._engine.folder.names.text_set("words").texts[:40])
        few: LazyArray = store.view(self.view, model="clip", texts="few")
        return few


@pytest.mark.parametrize("convention", get_args(Convention))
def test_heads_mlps_and_the_rest_sum_to_the_text_embeddings(store: belvedere.Store, convention: str) -> None:
    heads, mlps, rest = (store.view(name, convention=convention) for name in PARTS)
    tokens = store.view("text_token_contributions", convention=convention)
    assert (heads.dims, heads.shape) == (("text", "layer", "head", "joint"), (12, 1, 2, 12))
    assert (tokens.dims, tokens.shape) == (("text", "layer", "head", "token", "joint"), (12, 1, 2, 12, 12))
    terms = {"own": ("embedding", "attn_bias[0]", "ln_final_bias"), "clip_prs": ("embedding",)}
    assert rest.coords["term"] == terms[convention]
    expected = store.view("text_embeddings")[:]
    total = heads[:].sum((1, 2)) + mlps[:].sum(1) + rest[:].sum(1)
    assert np.abs(total - expected).max() < 1e-6
    assert np.abs(tokens[:].sum(3) - heads[:]).max() < 1e-6
    assert np.allclose(heads[[5, 2], :, 1:, ::3], heads[:][[5, 2], :, 1:, ::3], atol=1e-7)


def test_views_of_the_same_texts_share_one_pass_and_record_what_was_achieved(store: belvedere.Store) -> None:
    model = engine(store).residents.get(store.view(PARTS[0])._view.model, "cpu")
    passes: list[int] = []
    hook = model.net.ln_final.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    units = [unit for name in PARTS for unit in store.view(name)._view.units]
    assert engine(store).fill(units).filled == 4, "three views of one block, and the tower's maps"
    hook.remove()
    assert passes == [12]
    errors = achieved(store)
    assert len(errors) == 3
    assert 0 < max(errors) < 1e-5


def test_a_sum_that_is_not_the_embedding_is_refused(store: belvedere.Store) -> None:
    heads = store.view("text_head_contributions")
    model = engine(store).residents.get(heads._view.model, "cpu")
    hook = model.net.transformer.resblocks[0].register_forward_hook(lambda _, args, output: output + 0.1)
    assert heads.fill(slice(0, 4)).failed == 1
    hook.remove()
    assert {each.error for each in store.errors()} == {"InexactDecomposition"}


def test_a_text_that_is_too_long_is_absent(store: belvedere.Store) -> None:
    store.add_texts("long", ["a star", "one " * 40])
    heads = store.view("text_head_contributions", texts="long")
    assert heads.fill().absent == 1
    masked = heads.read(slice(None), missing="mask")
    assert not masked.mask[0].any()
    assert masked.mask[1].all()
    with pytest.raises(belvedere.BelvedereError, match="needs more than the 12 tokens"):
        heads[1]


@pytest.mark.parametrize(("precision", "allowed"), [("float16", 5e-3), ("bfloat16", 3e-2)])
def test_half_precision_checks_itself(
    store: belvedere.Store, world: World, precision: Any, allowed: float
) -> None:
    store.add_model("half", world.source, precision=precision)
    assert store.view("text_head_contributions", model="half", dtype="float16").fill().complete
    assert 1e-5 < max(achieved(store)) <= allowed


def test_sql_reads_vectors_by_text(store: belvedere.Store) -> None:
    query = """
        SELECT text, vector FROM text_head_contributions JOIN texts USING (text_set, text_id)
        WHERE head = 1 AND text_id < 2 ORDER BY text_id
    """
    rows = store.sql(query, fill=True).fetchall()
    assert [row[0] for row in rows] == TEXTS[:2]
    assert np.allclose([row[1] for row in rows], store.view("text_head_contributions")[:2, 0, 1])


def test_a_model_without_a_text_tower_that_is_taken_apart_is_refused(store: belvedere.Store) -> None:
    import torch

    store.add_model(
        "flat", torch.nn.Flatten().eval(), transform=lambda _: torch.zeros(3, 4, 4), transform_id="1"
    )
    with pytest.raises(belvedere.BelvedereError, match=r"model 'flat' .* embeds no texts"):
        store.view("text_head_contributions", model="flat")
    assert store.view("text_head_contributions")._view.model.name == "m"

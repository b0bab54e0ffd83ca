"""What the neurons of the text tower give for each text, and the texts that they give most for."""

from __future__ import annotations

from typing import Any

import numpy as np
import open_clip
import pytest
import torch

import belvedere
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.table import LazyTable
from belvedere.query.store import Store
from belvedere.store.errors import BadSource, NoTextTower, UnknownName, UnsuitableModule
from belvedere.testing import ViewContract
from tests.worlds import TEXTS, World

GELU = "transformer.resblocks.0.mlp.gelu"


class TestTextNeuronActivations(ViewContract):
    view = "text_neuron_activations"

    def ask(self, store: Store) -> LazyArray:
        """Of the MLP's neurons."""
        found: LazyArray = store.view(self.view, model="clip", texts="words", module=GELU)
        return found


class TestTopTexts(ViewContract):
    view = "top_texts"

    def ask(self, store: Store) -> LazyTable:
        """Of the MLP's neurons."""
        found: LazyTable = store.view(self.view, model="clip", texts="words", module=GELU)
        return found


def hooked(world: World, module: str, texts: list[str]) -> tuple[Any, list[int]]:
    """What a plain hook sees, "text token neuron", and how many tokens each text has of its own."""
    where = f"local-dir:{world.clip}"
    net, tokenizer = open_clip.create_model(where).eval(), open_clip.get_tokenizer(where)
    seen: list[Any] = []
    net.get_submodule(module).register_forward_hook(lambda *got: seen.append(got[2].detach().numpy()))
    tokens = tokenizer(texts)
    with torch.inference_mode():
        net.encode_text(tokens)
    return seen[0], [int((row != 0).sum()) for row in tokens]


@pytest.mark.parametrize("pool", ["mean", "max", "last", "token"])
def test_a_text_is_pooled_over_its_own_tokens(store: belvedere.Store, world: World, pool: str) -> None:
    given, lengths = hooked(world, GELU, TEXTS)
    assert len(set(lengths)) > 1
    expected = {
        "mean": [row[:n].astype(np.float64).mean(0) for row, n in zip(given, lengths, strict=True)],
        "max": [row[:n].max(0) for row, n in zip(given, lengths, strict=True)],
        "last": [row[n - 1] for row, n in zip(given, lengths, strict=True)],
        "token": list(given[:, 2]),
    }
    more: dict[str, Any] = {"token": 2} if pool == "token" else {}
    found = store.view("text_neuron_activations", module=GELU, pool=pool, **more)
    assert (found.dims, found.shape) == (("text", "neuron"), (12, 32))
    np.testing.assert_allclose(found[:], np.stack(expected[pool]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:, 3:9], found[:][:, 3:9])


def test_the_top_texts_are_those_of_a_sort(store: belvedere.Store) -> None:
    given = store.view("text_neuron_activations", module=GELU)[:]
    rows = store.view("top_texts", module=GELU, k=5).df()
    for neuron, mine in rows.groupby("neuron"):
        order = np.argsort(-given[:, neuron], kind="stable")[:5]
        assert mine.sort_values("rank").text_id.tolist() == order.tolist()
        np.testing.assert_array_equal(mine.activation, given[order, neuron])
    query = f"SELECT text FROM top_texts JOIN texts USING (text_set, text_id) WHERE module = '{GELU}'"
    assert len(store.sql(query, fill=True).fetchall()) == 32 * 12  # as many texts as there are


def test_a_module_that_pools_itself_gives_what_it_gives(store: belvedere.Store, world: World) -> None:
    given, _ = hooked(world, "token_embedding", TEXTS)
    found = store.view("text_neuron_activations", module="token_embedding", pool="token", token=-1)
    np.testing.assert_allclose(found[:], given[:, -1], rtol=1e-6)


def test_several_modules_share_one_pass_and_texts_too_long_are_absent(
    store: belvedere.Store,
) -> None:
    store.add_texts("more", [*TEXTS[:3], "a word " * 30, TEXTS[3]])
    first = store.view("text_neuron_activations", texts="more", module=GELU)
    assert first.fill(progress=False).absent == 1
    rows = store.view("top_texts", texts="more", module=GELU).df()
    assert sorted(set(rows.text_id)) == [0, 1, 2, 4]
    np.testing.assert_allclose(
        first[[0, 1, 2, 4]], store.view("text_neuron_activations", texts="words", module=GELU)[:4], rtol=1e-5
    )


def test_what_cannot_be_asked_for_says_why(store: belvedere.Store) -> None:
    ask = store.view
    with pytest.raises(UnsuitableModule, match="runs while an image goes through: see neuron_activations"):
        ask("text_neuron_activations", module="visual.conv1")
    with pytest.raises(UnsuitableModule, match="runs while a text goes through: see text_neuron_activations"):
        ask("neuron_activations", module=GELU)
    with pytest.raises(UnknownName, match="did you mean 'ln_final'"):
        ask("text_neuron_activations", module="ln_fina")
    with pytest.raises(BadSource, match=r"token=12: .* has 12 positions"):
        ask("text_neuron_activations", module=GELU, pool="token", token=12)
    with pytest.raises(BadSource, match="goes with pool='token'"):
        ask("text_neuron_activations", module=GELU, token=2)
    with pytest.raises(BadSource, match="from 1 to 100 texts"):
        ask("top_texts", module=GELU, k=0)


def test_a_model_without_texts_is_refused(store: belvedere.Store) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 4)).eval()
    store.add_model("own", net, transform=lambda _: torch.zeros(3, 16, 16), transform_id="zeros")
    with pytest.raises(NoTextTower):
        store.view("text_neuron_activations", model="own", module="1")

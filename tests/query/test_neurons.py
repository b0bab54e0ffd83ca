"""Activations of any module of any model, against a plain forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import belvedere
from belvedere.compute.instruments import sources as instruments
from belvedere.compute.neurons.pooling import layout
from belvedere.store.errors import (
    BadSource,
    CannotRun,
    NameTaken,
    NoTextTower,
    UnknownName,
    UnsuitableModule,
    UnsupportedTower,
)
from tests.worlds import World, engine, picture, records

COUNT = 300


def small(seed: int = 0) -> nn.Sequential:
    """A network with a norm before a ReLU that writes into what it gets, tokens, and a classifier."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 4, stride=4),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Flatten(2),
        nn.Linear(16, 5),
    )
    return net.eval()


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image).transpose(2, 0, 1)).float() / 127.5 - 1


@pytest.fixture
def own(world: World, tmp_path: Path) -> belvedere.Store:
    """A store with a model of one's own and 300 pictures."""
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", world.photos)
    store.add_model("mine", small(), transform=to_tensor, transform_id="to ±1")
    return store


def outputs(world: World, net: nn.Module, name: str) -> NDArray[np.float32]:
    """What a module gives for all pictures, as one forward pass has it."""
    pixels = [to_tensor(Image.open(path)) for path in sorted(world.photos.iterdir())]
    found: list[Tensor] = []
    hook = net.get_submodule(name).register_forward_hook(lambda m, a, output: found.append(output.clone()))
    with torch.inference_mode():
        net(torch.stack(pixels))
    hook.remove()
    return found[0].numpy()


@pytest.mark.parametrize("name", ["0", "1", "2"])
def test_maps_are_pooled_over_positions(own: belvedere.Store, world: World, name: str) -> None:
    maps = outputs(world, small(), name).reshape(COUNT, 6, 16)
    for pool, literal in (("mean", maps.mean(2)), ("max", maps.max(2))):
        view = own.view("neuron_activations", module=name, pool=pool)
        assert (view.dims, view.shape, view.dtype) == (("image", "neuron"), (COUNT, 6), np.dtype("float32"))
        np.testing.assert_allclose(view[...], literal, atol=1e-6)
    chosen = own.view("neuron_activations", module=name, pool="token", token=-1)
    np.testing.assert_allclose(chosen[...], maps[:, :, 15], atol=1e-6)
    assert own.view("neuron_activations", module=name, pool="token", token=15).plan().units == 0


def test_what_stands_before_a_relu_in_place_is_not_what_it_leaves(own: belvedere.Store) -> None:
    before = own.view("neuron_activations", module="1", pool="token", token=0)[...]
    after = own.view("neuron_activations", module="2", pool="token", token=0)[...]
    assert (before < 0).any()
    np.testing.assert_array_equal(np.maximum(before, 0), after)


def test_neurons_of_tokens_are_last_unless_said_otherwise(own: belvedere.Store, world: World) -> None:
    tokens = outputs(world, small(), "4")
    for params, literal in (
        ({}, tokens.mean(1)),
        ({"pool": "cls"}, tokens[:, 0]),
        ({"pool": "max", "channels": "first"}, tokens.max(2)),
    ):
        np.testing.assert_allclose(
            own.view("neuron_activations", module="4", **params)[...], literal, atol=1e-6
        )


def test_half_precision_halves_what_is_kept_and_rounds(own: belvedere.Store) -> None:
    full, half = (own.view("neuron_activations", module="4", dtype=each) for each in ("float32", "float16"))
    np.testing.assert_allclose(half[...], full[...], rtol=1e-3, atol=1e-4)
    assert half.dtype == np.dtype("float32")
    assert half.plan().bytes == 0


def test_a_module_of_a_clip_shares_the_pass_of_the_heads(store: belvedere.Store) -> None:
    view = store.view("neuron_activations", module="visual.transformer.resblocks.1.mlp.gelu", pool="cls")
    assert view.shape == (COUNT, 64)
    both = [*view._view.units, *store.view("head_contributions")._view.units]
    plan = engine(store).plan(both)
    assert (plan.images, plan.passes) == (COUNT, 2)
    assert engine(store).fill(both).complete
    alone = engine(store).residents.get(view._view.model, "cpu")
    pixels = torch.stack([alone.transform(Image.open(p).convert("RGB")) for p in pictures(store)])
    seen: list[Tensor] = []
    hook = alone.net.visual.transformer.resblocks[1].mlp.gelu.register_forward_hook(
        lambda m, a, output: seen.append(output[:, 0])
    )
    with torch.inference_mode():
        alone.net.encode_image(pixels)
    hook.remove()
    np.testing.assert_allclose(view[:20], seen[0].numpy(), atol=1e-5)


def pictures(store: belvedere.Store) -> list[str]:
    return [path for (path,) in store.sql("SELECT path FROM images ORDER BY image_id LIMIT 20").fetchall()]


def test_pictures_that_cannot_be_read_are_absent(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number) if number != 1 else b"no picture")
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", folder)
    store.add_model("mine", small(), transform=to_tensor, transform_id="to ±1")
    view = store.view("neuron_activations", module="4")
    assert view.fill().absent == 1
    assert view.read(missing="mask").mask[:, 0].tolist() == [False, True, False]
    top = store.view("top_images", module="4").where("neuron = 2").df()
    assert sorted(top["image_id"]) == [0, 2]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {},
            BadSource,
            r"neuron_activations needs module=…, a module of 'mine': 0, 1, 2, … \(belvedere show mine",
        ),
        ({"module": "7"}, UnknownName, "no module of model 'mine' that runs when an image goes through '7'"),
        ({"module": "0", "token": 3}, BadSource, "token=3 goes with pool='token', not with pool='mean'"),
        ({"module": "0", "pool": "token", "token": 16}, BadSource, "token=16: 0 has 16 positions"),
        (
            {"module": "0", "pool": "cls"},
            BadSource,
            "0 gives a map of 16 positions without a class token",
        ),
        ({"module": "0", "pool": "median"}, UnknownName, "value of neuron_activations's pool 'median'"),
        ({"module": "0", "mode": "mean"}, UnknownName, "parameter of neuron_activations 'mode'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(
    own: belvedere.Store, params: Any, error: type[Exception], message: str
) -> None:
    with belvedere.trace() as seen, pytest.raises(error, match=message):
        own.view("neuron_activations", **params)
    assert seen.of("load") == []


class Mixed(nn.Module):
    """One module that runs twice, one that gives a tuple, one whose neurons are last of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.both, self.last = nn.ReLU(), Both(), Last()

    def forward(self, images: Tensor) -> Tensor:
        both: tuple[Tensor, Tensor] = self.both(self.act(self.act(images)))
        return self.last(both[0]).mean(dim=(1, 2))  # type: ignore[no-any-return]


class Both(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, -images


class Last(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.movedim(1, -1)


def resized(image: Image.Image) -> Tensor:
    return to_tensor(image.resize((16, 16)))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("act", "it runs 2 times in one forward pass"),
        ("both", r"it gives a tuple of 2 tensors \(2 × 3 × 16 × 16, 2 × 3 × 16 × 16\)"),
        ("last", "of its output 16 × 16 × 3 it is not plain which axis has the neurons"),
    ],
)
def test_a_module_without_one_number_a_neuron_says_why(
    own: belvedere.Store, module: str, reason: str
) -> None:
    own.add_model("mixed", Mixed().eval(), transform=resized, transform_id="16 × 16, to ±1")
    with pytest.raises(UnsuitableModule, match=reason):
        own.view("neuron_activations", model="mixed", module=module)
    assert own.view("neuron_activations", model="mixed", module="last", channels="last").shape == (COUNT, 3)


def test_a_model_without_towers_is_refused_where_one_is_needed(own: belvedere.Store) -> None:
    own.add_texts("words", ["a dog"])
    for name in ("head_contributions", "head_roles", "image_embeddings"):
        with pytest.raises(UnsupportedTower, match="its class is Sequential, whose parts are not known"):
            own.view(name)
    with pytest.raises(NoTextTower, match=r"model 'mine' \(module:Sequential\) embeds no texts"):
        own.view("text_embeddings")
    assert own.sql("SELECT model, layers, joint FROM models").fetchall() == [("mine", None, None)]


def test_a_reopened_store_reads_what_is_kept_and_asks_for_the_module(own: belvedere.Store) -> None:
    kept = own.view("neuron_activations", module="4")[...]
    again = belvedere.open(own.path)
    np.testing.assert_array_equal(again.view("neuron_activations", module="4")[...], kept)
    with pytest.raises(CannotRun, match=r"Sequential is a module of your own.*give it again with add_model"):
        again.view("neuron_activations", module="2")[...]
    assert again.errors() == []
    again.add_model("mine", small(), transform=to_tensor, transform_id="to ±1")
    assert again.view("neuron_activations", module="4").plan().units == 0
    assert again.view("neuron_activations", module="2")[...].shape == (COUNT, 6)


def test_a_module_is_told_from_another_by_weights_settings_and_the_word_for_its_preprocessing(
    own: belvedere.Store,
) -> None:
    other = small()
    other[1].eps = 0.5  # type: ignore[assignment]
    for net, word in ((small(1), "to ±1"), (small(), "another"), (other, "to ±1")):
        with pytest.raises(NameTaken, match="other weights or settings"):
            own.add_model("mine", net, transform=to_tensor, transform_id=word)
    own.add_model("mine", small(), transform=to_tensor, transform_id="to ±1")


def test_what_becomes_of_a_module_after_it_was_given_changes_nothing(own: belvedere.Store) -> None:
    net = small(3)
    own.add_model("later", net, transform=to_tensor, transform_id="to ±1")
    net.train()
    with torch.no_grad():
        net[0].weight.zero_()  # type: ignore[operator]
    own.add_model("same", small(3), transform=to_tensor, transform_id="to ±1")
    np.testing.assert_array_equal(
        own.view("neuron_activations", model="later", module="4")[:9],
        own.view("neuron_activations", model="same", module="4")[:9],
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"source": small().train()},
            r"in training mode \(the whole\).*call module.eval\(\) first",
        ),
        ({"source": small(), "transform_id": ""}, r"needs transform=….*transform_id=…, your word"),
        ({"source": small(), "transform": None}, "needs transform=…, which turns an RGB picture to a tensor"),
        ({"source": small(), "checkpoint": "a.pt"}, "a module of your own has its weights"),
        ({"source": 3}, "a model is a source such as 'timm:resnet50.a1_in1k', or a torch module, not 3"),
        ({"source": "demo:clip"}, "demo:clip has its own preprocessing and tokenizer: transform=… and"),
        (
            {"source": small(), "transform": lambda image: 3},
            "the preprocessing gives a int, not ",
        ),
        (
            {"source": small(), "transform": np.linalg.inv},
            "the preprocessing fails on an empty picture 224 wide",
        ),
    ],
)
def test_a_module_that_cannot_be_taken_is_refused(own: belvedere.Store, given: Any, message: str) -> None:
    settings = {"transform": to_tensor, "transform_id": "to ±1", **given}
    with pytest.raises(BadSource, match=message):
        own.add_model("other", settings.pop("source"), **settings)
    assert own.sql("SELECT model FROM models").fetchall() == [("mine",)]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_model_in_half_precision_gives_activations_and_embeds_pictures(
    world: World, store: belvedere.Store, precision: Any
) -> None:
    store.add_model("half", world.source, precision=precision)
    asked = {"images": "photos", "module": "visual.transformer.resblocks.1.mlp.gelu"}
    half = store.view("neuron_activations", model="half", **asked)
    assert half.fill(progress=False).complete
    whole = store.view("neuron_activations", model="m", **asked)[...]
    np.testing.assert_allclose(half[...], whole, atol=0.05)
    maps = store.view("activation_maps", model="half", **asked)
    assert maps.fill(progress=False).complete
    chooser = store.add_captioner("texts", f"clip:{world.source}#demo:scenes", precision=precision)
    assert instruments.load(chooser, "cpu").caption([Image.new("RGB", (20, 20), "teal")])[0]


class Infinite(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) / 0


def test_activations_that_are_not_finite_are_a_failure_and_not_kept(own: belvedere.Store) -> None:
    own.add_model("odd", nn.Sequential(Infinite()).eval(), transform=to_tensor, transform_id="to ±1")
    report = own.view("neuron_activations", model="odd", module="0").fill()
    assert (report.filled, report.failed) == (0, 2)
    assert {each.message for each in own.errors()} == {
        "module 0 gave activations that are not finite: of 3 of its 3 neurons (0, 1, 2); nothing was kept"
    }
    assert records(own) == {}


class Bends(nn.Module):
    """A function, a number and a buffer that no state dictionary has say what it gives."""

    def __init__(self, act: Any = torch.relu, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.act, self.scale = act, torch.tensor(scale)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        self.limit = float("inf")
        self.out = nn.Flatten(2)

    def forward(self, images: Tensor) -> Tensor:
        return self.out(self.act(images) * self.scale + self.shift)  # type: ignore[no-any-return]


def times(factor: float) -> Any:
    """Make functions of one code, told apart by what they close over."""
    return lambda images: images * factor


@pytest.mark.parametrize("other", [{"act": torch.tanh}, {"act": times(3.0)}, {"scale": 10.0}, {"shift": 1.0}])
def test_what_no_state_dictionary_has_tells_modules_apart(own: belvedere.Store, other: Any) -> None:
    own.add_model("bends", Bends().eval(), transform=to_tensor, transform_id="to ±1")
    own.add_model("bends", Bends().eval(), transform=to_tensor, transform_id="to ±1")
    first = own.view("neuron_activations", model="bends", module="out", channels="first")[:4]
    with pytest.raises(NameTaken):
        own.add_model("bends", Bends(**other).eval(), transform=to_tensor, transform_id="to ±1")
    own.add_model("bends", Bends(**other).eval(), transform=to_tensor, transform_id="to ±1", replace=True)
    second = own.view("neuron_activations", model="bends", module="out", channels="first")[:4]
    assert not np.allclose(first, second)


def through(function: Any) -> Any:
    """Make functions of one code that call another one."""
    return lambda images: function(images)


@pytest.mark.parametrize(
    ("one", "other"), [(times(2.0), times(3.0)), (through(torch.relu), through(torch.tanh))]
)
def test_functions_that_close_over_other_values_are_other_functions(
    own: belvedere.Store, one: Any, other: Any
) -> None:
    own.add_model("bent", Bends(act=one).eval(), transform=to_tensor, transform_id="to ±1")
    with pytest.raises(NameTaken):
        own.add_model("bent", Bends(act=other).eval(), transform=to_tensor, transform_id="to ±1")


def test_a_hook_that_changes_what_a_module_gives_is_refused_and_one_of_torch_told_apart(
    own: belvedere.Store,
) -> None:
    net = small()
    handle = net[2].register_forward_hook(lambda module, given, output: output * 2)
    with pytest.raises(BadSource, match=r"Sequential has forward hooks \(on 2\).*remove them"):
        own.add_model("hooked", net, transform=to_tensor, transform_id="to ±1")
    handle.remove()
    own.add_model("plain", net, transform=to_tensor, transform_id="to ±1")
    one, other = (normed(epsilon) for epsilon in (1e-12, 0.5))
    own.add_model("normed", one, transform=to_tensor, transform_id="to ±1")
    with pytest.raises(NameTaken):
        own.add_model("normed", other, transform=to_tensor, transform_id="to ±1")


def normed(epsilon: float) -> nn.Module:
    """Make a module whose weights torch norms by a hook; the same but for this setting."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(3, 6, 3), eps=epsilon)).eval()


@pytest.mark.parametrize("shape", [(7, 14, 96), (12, 197, 64), (8, 8, 96), (7, 7, 7)])
def test_where_the_neurons_are_is_asked_where_it_is_not_plain(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="it is not plain which axis has the neurons"):
        layout(shape, "auto")
    assert layout(shape, "last")[0] == shape[-1]


def test_the_only_model_that_a_view_can_be_of_need_not_be_named(store: belvedere.Store) -> None:
    store.add_model("mine", small(), transform=to_tensor, transform_id="to ±1")
    assert "[m × photos]" in repr(store.view("head_contributions"))
    assert "[m × photos × words]" in repr(store.view("head_roles"))
    with pytest.raises(BadSource, match="needs model=…; there are m, mine"):
        store.view("neuron_activations", module="0")

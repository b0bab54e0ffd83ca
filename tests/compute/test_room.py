"""Work that is cut to the room that a device has, and what is remembered of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import belvedere
from belvedere.compute.kinds import BLOCK
from belvedere.compute.models.loaded import Loaded
from belvedere.compute.running import aids
from belvedere.compute.running.report import Settings
from belvedere.compute.running.room import in_room
from belvedere.store.errors import BadSource
from belvedere.store.sets import TowerShape
from tests.helping import helping
from tests.judged_neurons import Channels, paint, to_tensor
from tests.worlds import engine


@dataclass
class Small:
    """A model on a device with room for so many items."""

    room: int
    fits: int | None = None

    def run(self, part: Sequence[int]) -> list[int]:
        if len(part) > self.room:
            raise torch.OutOfMemoryError("no room")
        return [item * item for item in part]


@pytest.mark.parametrize(("room", "parts"), [(9, [4, 4, 1]), (2, [2, 2, 2, 2, 1]), (1, [1] * 9)])
def test_parts_are_halved_until_they_fit_and_stay_so(room: int, parts: list[int]) -> None:
    small, items = Small(room), list(range(-4, 5))
    found = list(in_room(small, items, 4, small.run))
    assert [len(part) for part, _ in found] == parts
    assert [each for _, made in found for each in made] == [item * item for item in items]
    assert [len(part) for part, _ in in_room(small, items, 4, small.run)] == parts


def test_a_device_that_says_so_in_words_alone_is_believed_and_other_errors_are_raised() -> None:
    def run(part: Sequence[int], error: RuntimeError) -> list[int]:
        if len(part) > 1:
            raise error
        return list(part)

    for said in (
        "MPS backend out of memory (MPS allocated: 17.9 GB)",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes",
    ):
        with_it = partial(run, error=RuntimeError(said))
        assert [part for part, _ in in_room(Small(1), [1, 2], 2, with_it)] == [[1], [2]]
    with pytest.raises(RuntimeError, match="shapes"):
        list(in_room(Small(1), [1, 2], 2, partial(run, error=RuntimeError("shapes do not fit"))))


def test_a_gpu_is_given_a_whole_unit_at_once_unless_somebody_says() -> None:
    devices = ("cpu", "cuda:1", "mps", "import")
    assert [Settings().at_once(each) for each in devices] == [32, BLOCK, BLOCK, 32]
    assert Settings(batch_size=7).at_once("cuda") == 7
    sizes = ((65, 128), (50, 768), (257, 1024))
    shapes = [TowerShape(12, 12, 64, width, 512, tokens) for tokens, width in sizes]
    assert [Settings().at_once("cpu", each) for each in shapes] == [128, 104, 32]
    assert Settings().at_once("cuda", shapes[0]) == BLOCK
    with pytest.raises(BadSource, match="batch_size=0"):
        Settings(batch_size=0)


def test_without_room_for_one_it_is_said() -> None:
    small = Small(0)
    with pytest.raises(torch.OutOfMemoryError):
        list(in_room(small, [1, 2, 3], 2, small.run))


class Cramped(nn.Module):
    """A network on a device with room for two pictures; it fails after its watched module has run."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Channels()
        self.tried: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.tried.append(len(images))
        found: Tensor = self.net(images)
        if len(images) > 2:
            raise torch.OutOfMemoryError("no room")
        return found

    def encode_image(self, images: Tensor) -> Tensor:
        found: Tensor = self(images)
        return found


def test_pictures_of_no_set_go_through_in_parts_that_fit(tmp_path: Path) -> None:
    net = Cramped().eval()
    store = belvedere.open(tmp_path / "store")
    store.add_images("colours", paint(tmp_path / "pictures"))
    store.add_model("net", Cramped().net.eval(), transform=to_tensor, transform_id="8 × 8")
    view = store.view("neuron_activations", model="net", images="colours", module="colours")._view
    loaded = Loaded(net, net, to_tensor, lambda: None, torch.device("cpu"))
    net.colours = net.net.colours  # by the name that the view has for it
    pictures = [Image.new("RGB", (12, 12), (10 * number, 99, 5)) for number in range(7)]
    expected = Channels()(torch.stack([to_tensor(each) for each in pictures])).detach().numpy()
    at_hand = helping(store, loaded)
    np.testing.assert_allclose(at_hand.activations(view, pictures), expected, atol=1e-6)
    assert net.tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    loaded.fits = None
    embedded = at_hand.embeddings(view.model, pictures)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embedded, expected / norms, atol=1e-6)


def test_decoded_pictures_are_forgotten_by_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, side in enumerate((10, 10, 10, 30, 40)):
        Image.new("RGB", (side, side), (number, 1, 2)).save(tmp_path / f"{number}.png")
    store = belvedere.open(tmp_path / "store")
    store.add_images("few", sorted(tmp_path.glob("*.png")))
    images = engine(store).folder.names.image_set("few")
    monkeypatch.setattr(aids, "REMEMBERED", 4 * (10 * 10 + 30 * 30))
    at_hand = helping(store)
    first = at_hand.image(images, 0)
    second = at_hand.image(images, 1)
    assert at_hand.image(images, 0) is first  # looked at again: the other one goes first
    large = at_hand.image(images, 3)
    assert at_hand.image(images, 0) is first
    assert at_hand.image(images, 3) is large
    assert at_hand.image(images, 1) is not second
    at_hand.image(images, 4)  # larger than all that may be remembered
    assert at_hand._bytes == 0

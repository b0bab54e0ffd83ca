"""The classifier: its loss, its training, its file, and how well it names what is in scenes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from belvedere.demo import classifier_dir
from belvedere.demo.batches import normalise
from belvedere.demo.scenes import scene
from belvedere.demo.train_classifier import (
    CLASSES,
    accuracy,
    build,
    classification_loss,
    config,
    spoken_for,
    train,
)
from belvedere.demo.training import Schedule
from belvedere.demo.words import VALUES
from belvedere.demo.zeroshot import truth


class Fixed(torch.nn.Module):
    """Gives the logits that it was made with."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits, self.fc = logits, torch.nn.Linear(2, len(CLASSES))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(pictures)]


def test_the_loss_is_a_softmax_for_each_attribute_with_the_price_of_the_last_layer() -> None:
    dice = np.random.default_rng(0)
    logits = dice.normal(size=(3, 30)).astype(np.float32)
    codes = truth([scene(index) for index in range(3)])
    net = Fixed(torch.from_numpy(logits))
    torch.nn.init.uniform_(net.fc.weight)
    wanted, start = 0.0, 0
    for column, values in enumerate(VALUES.values()):
        for row in range(3):
            scores = logits[row, start : start + len(values)].astype(np.float64)
            wanted -= np.log(np.exp(scores[codes[row, column]]) / np.exp(scores).sum()) / 3
        start += len(values)
    wanted += 0.05 * float(spoken_for(net.fc.weight.detach()).mean())
    found = classification_loss(net, torch.zeros(3, 3, 64, 64), codes)
    np.testing.assert_allclose(float(found.detach()), wanted, rtol=1e-5)


def test_a_neuron_speaks_for_as_many_classes_as_have_its_weight() -> None:
    weights = torch.tensor([[1.0, 2.0, 0.0, 0.1], [0.0, 2.0, 0.0, 0.1], [0.0, 2.0, 0.0, 0.2]])
    np.testing.assert_allclose(spoken_for(weights).numpy(), [1, 3, 0, 0.16 / 0.06], rtol=1e-6)


def test_accuracy_looks_at_each_attribute_on_its_own() -> None:
    codes = truth([scene(index) for index in range(20)])
    starts = np.cumsum([0, *(len(values) for values in VALUES.values())])[:-1]
    logits = torch.zeros(20, 30)
    logits[np.arange(20)[:, None], codes + starts] = 1.0
    logits[:5, :8] = -logits[:5, :8]
    shares = accuracy(Fixed(logits), torch.zeros(20, 3, 64, 64), codes)
    assert {name: shares[name] for name in VALUES if name != "shape"} == dict.fromkeys(list(VALUES)[1:], 1.0)
    assert shares["shape"] <= 0.8


def _short(out: Path, work: Path, until: int) -> None:
    train(out, work, Schedule(4, until, 1e-3), images=10, pool_size=10, held_out_size=4)


@pytest.mark.slow
def test_training_stopped_and_taken_up_again_ends_alike(tmp_path: Path) -> None:
    _short(tmp_path / "whole", tmp_path / "a", until=4)
    _short(tmp_path / "parts", tmp_path / "b", until=2)
    _short(tmp_path / "parts", tmp_path / "b", until=4)
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == ["config.json", "model.safetensors"]
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_the_saved_classifier_is_small_and_opens_with_timm_alone() -> None:
    assert sum(file.stat().st_size for file in classifier_dir().iterdir()) < 1_500_000
    net: Any = timm.create_model(f"local-dir:{classifier_dir()}", pretrained=True).eval()
    assert json.loads((classifier_dir() / "config.json").read_text()) == config()
    assert net.pretrained_cfg["label_names"] == list(CLASSES)
    assert {key: value.shape for key, value in net.state_dict().items()} == {
        key: value.shape for key, value in build().state_dict().items()
    }
    scenes = [scene(index) for index in range(500)]
    pictures = normalise(np.stack([each.pixels() for each in scenes]))
    assert min(accuracy(net, pictures, truth(scenes)).values()) >= 0.95

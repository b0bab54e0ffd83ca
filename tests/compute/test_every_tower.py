"""Each vision tower of open_clip is taken apart exactly, or refused for a reason that is true.

`python -m tests.compute.test_every_tower` writes the table of docs/towers.md anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from belvedere.compute.heads import conventions
from belvedere.compute.towers.check import check
from belvedere.compute.towers.support import shape_of
from belvedere.compute.towers.tower import Tower
from belvedere.compute.towers.trace import Constants, Trace
from belvedere.compute.towers.vision import vision
from belvedere.store.errors import UnsupportedTower
from belvedere.store.sets import TowerShape
from tests.compute.interventions import lost
from tests.compute.small_towers import CONFIGURATIONS, key_of, pixels, small

PAGE = Path(__file__).parents[2] / "docs" / "towers.md"
FIRST: dict[str, str] = {}
for _name in CONFIGURATIONS:
    FIRST.setdefault(key_of(_name), _name)
ONE_OF_EACH_KIND = (
    "ViT-B-32",
    "ViT-M-16-alt",
    "ViT-L-14-CLIPA",
    "coca_ViT-B-32",
    "RN50",
    "convnext_tiny",
    "swin_base_patch4_window7_224",
    "MobileCLIP2-S0",
    "MobileCLIP-B",
    "MobileCLIP2-L-14",
    "ViT-B-32-SigLIP2-256",
    "ViT-SO400M-16-SigLIP2-256",
    "PE-Core-T-16-384",
    "EVA01-g-14",
    "EVA02-B-16",
    "EVA02-E-14",
    "vit_medium_patch16_gap_256",
    "vit_relpos_medium_patch16_cls_224",
    "ViTamin-S",
    "ViTamin-XL-256",
)
"""Configurations that go every way through the code; all others go one of theirs."""
REFUSED = ("convnext_large_d", "convnext_large_d_320")
NAMES = [
    pytest.param(name, marks=() if name in ONE_OF_EACH_KIND else pytest.mark.slow)
    for name in sorted({*FIRST.values(), *ONE_OF_EACH_KIND} - {*REFUSED})
]


@dataclass(frozen=True)
class Taken:
    """A small tower that was taken apart, and a few images in it."""

    tower: Tower
    images: torch.Tensor
    trace: Trace
    constants: Constants

    @property
    def heads(self) -> np.ndarray:
        """What each head adds to the unit-norm embedding, "image layer head joint"."""
        trace = self.trace
        return conventions.heads(trace.factor, trace.sigma, trace.mu, trace.norm, self.constants, "own")

    @property
    def share(self) -> float:
        """How much of the embedding's length heads add along it, over images."""
        along = (self.heads.sum((1, 2)) * self.trace.embedding).sum(-1)
        return float(along.mean())

    @property
    def length(self) -> float:
        """How long the sum of what heads add is, the embedding being 1, over images."""
        return float(np.linalg.norm(self.heads.sum((1, 2)), axis=-1).mean())


@lru_cache(maxsize=4)
def taken(name: str) -> Taken:
    """Take the small tower of a configuration apart; raises `UnsupportedTower`."""
    tower = vision(small(name), name)
    images = pixels(name)
    with tower.watch() as tracing:
        trace = tracing(images, tokens=True, patches=True, class_token=tower.shape.prefix > 0)
    return Taken(tower, images, trace, tower.constants())


@pytest.mark.parametrize("name", NAMES)
def test_the_terms_of_a_tower_sum_to_its_own_embedding(name: str) -> None:
    found = taken(name)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(found.tower.run(found.images).float(), dim=-1).numpy()
    assert np.abs(found.trace.embedding - expected).max() < 1e-6
    assert check(found.trace, found.constants) < 2e-6


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_patches_sum_to_heads(name: str) -> None:
    found = taken(name)
    trace, shape = found.trace, found.tower.shape
    assert trace.token_factor is not None
    assert trace.patch is not None
    size = np.abs(trace.factor).max()
    assert trace.token_factor.shape[3] == shape.tokens
    assert np.abs(trace.token_factor.sum(3) - trace.factor).max() < 3e-6 * size
    scalars = (trace.sigma, trace.mu, trace.norm)
    tokens = conventions.tokens(trace.token_factor, *scalars, found.constants, "own")
    patches = conventions.patches(trace.patch, trace.patch_mean, *scalars, found.constants, "own")  # type: ignore[arg-type]  # both are there
    expected = tokens[:, :, :, shape.prefix :].sum((1, 2))
    assert np.abs(patches - expected).max() < 1e-5 * np.abs(expected).max()
    if trace.class_factor is not None:
        assert np.abs(trace.class_factor - trace.token_factor[:, :, :, 0]).max() < 1e-6 * size


@pytest.mark.parametrize("name", NAMES)
def test_what_the_embedding_loses_with_a_head_is_what_the_head_adds(name: str) -> None:
    found = taken(name)
    shape = found.tower.shape
    for layer, head in {(0, 0), (shape.layers - 1, shape.heads - 1)}:
        gone = lost(found.tower, found.images, layer, head).numpy() / found.trace.norm[:, None]
        added = found.heads[:, layer, head]
        assert np.abs(gone - added).max() < 3e-5 * np.abs(added).max() + 1e-6, (layer, head)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_before_anything_is_loaded_and_for_a_true_reason(name: str) -> None:
    with pytest.raises(UnsupportedTower) as caught:
        shape_of(CONFIGURATIONS[name], name)
    assert caught.value.reason == "its embedding comes out of an MLP (Mlp), which is not linear"
    assert "GELU" in [type(each).__name__ for each in small_head(name)]


@pytest.mark.slow
def test_no_other_configuration_is_refused() -> None:
    grades = {name: shape_of(CONFIGURATIONS[name], name).grade for name in {*CONFIGURATIONS} - {*REFUSED}}
    assert Counter(grades.values()) == {"heads": 116, "positions": 16, "pool-heads": 10}


def small_head(name: str) -> list[torch.nn.Module]:
    """List the parts of what is behind a trunk."""
    visual = small(name)
    return [*visual.head.mlp.children()]  # type: ignore[union-attr]  # open_clip's TimmModel


def test_the_page_tells_of_every_configuration() -> None:
    table = PAGE.read_text().partition("| configuration |")[2]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == sorted(CONFIGURATIONS, key=str.lower)
    grades = Counter(row[3].strip() for row in rows)
    assert grades == {"heads": 116, "positions": 16, "pool-heads": 10, "refused": 2}


@pytest.mark.slow
def test_the_page_says_what_is_measured() -> None:
    assert table() in PAGE.read_text()


def table() -> str:
    """Write the table: a row for each configuration."""
    lines = [
        "| configuration | family | grade | heads | other terms | share | length | exact to |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(CONFIGURATIONS, key=str.lower):
        try:
            shape = shape_of(CONFIGURATIONS[name], name)
        except UnsupportedTower as refusal:
            lines.append(f"| `{name}` | {_family(name)} | refused | | {refusal.reason} | | | |")
            continue
        small_one = taken(FIRST[key_of(name)])
        error = check(small_one.trace, small_one.constants)
        exact = "1e-6" if error < 1e-6 else f"{error:.0e}"
        lines.append(
            f"| `{name}` | {_family(name)} | {shape.grade} | {shape.layers} × {shape.heads} | "
            f"{_terms(shape)} | {small_one.share:z.2f} | {small_one.length:.2f} | {exact} |"
        )
    return "\n".join(lines)


def _terms(shape: TowerShape) -> str:
    norm = ("ln_post_bias",) if shape.last_norm else ()
    last = (*norm, *(("projection_bias",) if shape.projection_bias else ()))
    names = conventions.residual_terms(shape, "own", last)
    mlps = [f"{shape.layers} MLPs"] if shape.grade == "heads" else []
    biases = [each for each in names if each.startswith("attn_bias[")]
    others = [each for each in names if each not in biases]
    return ", ".join([*mlps, *others, *([f"attn_bias × {len(biases)}"] if biases else [])])


def _family(name: str) -> str:
    vision_cfg = CONFIGURATIONS[name]["vision_cfg"]
    if vision_cfg.get("timm_model_name"):
        return f"timm {vision_cfg['timm_model_name']}"
    if isinstance(vision_cfg["layers"], list):
        return "CLIP ResNet"
    pools = {"avg": "mean", "tok": "class token"}
    pool = "attention" if vision_cfg.get("attentional_pool") else pools[vision_cfg.get("pool_type", "tok")]
    return f"ViT, {pool}"


if __name__ == "__main__":
    text = PAGE.read_text()
    start = text.index("| configuration |")
    end = text.index("\n\n", start)
    PAGE.write_text(text[:start] + table() + text[end:])

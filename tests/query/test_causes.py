"""Causes in people's words, from recipes that differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from belvedere.query.causes import changes, other_settings, same_question
from belvedere.query.engine import Engine
from belvedere.query.lazy.array import LazyArray
from belvedere.store.sets import TextSet
from belvedere.store.views import Input, Param
from tests.small_views import Letters, LetterSums, small_engine, text_set

WORDS = text_set(["a", "b"])
MODEL: dict[str, Any] = {
    "weights": "1" * 64,
    "architecture": {"layers": 2, "width": 8},
    "preprocessing": {"interpolation": "bicubic", "size": [8, 8]},
    "decoding": 2,
    "precision": "float32",
}


def over(model: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Give the recipe of a view over a view of a model."""
    beneath = {"view": "acts", "version": 1, "parameters": {}, "inputs": {"model": model}}
    return {"view": "sums", "version": 1, "parameters": {}, "inputs": {"acts": beneath}, **own}


@pytest.mark.parametrize(
    ("now", "causes"),
    [
        (MODEL, []),
        ({**MODEL, "weights": "2" * 64}, ["weights changed: 11111111 → 22222222"]),
        (
            {**MODEL, "preprocessing": {"interpolation": "bilinear", "size": [16, 16]}},
            ["preprocessing changed: interpolation bicubic → bilinear, size [8, 8] → [16, 16]"],
        ),
        ({**MODEL, "precision": "bfloat16"}, ["precision changed: float32 → bfloat16"]),
        ({**MODEL, "decoding": 3}, ["decoding of pictures changed: 2 → 3"]),
        (
            {**MODEL, "architecture": {f"field{n}": n for n in range(5)}, "weights": "2" * 64},
            [
                "weights changed: 11111111 → 22222222",
                "architecture changed: field0 None → 0, field1 None → 1, field2 None → 2, field3 None → 3, "
                "and 3 more",
            ],
        ),
    ],
)
def test_facts_of_a_model_beneath_are_told_field_by_field(now: dict[str, Any], causes: list[str]) -> None:
    assert changes(over(MODEL), over(now)) == causes


def test_both_sides_of_a_model_are_told_apart_and_what_they_share_is_told_once() -> None:
    def both(image: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
        return {"view": "roles", "version": 1, "parameters": {}, "inputs": {"a": image, "b": text}}

    text = {"weights": "3" * 64, "tokenizer": {"vocabulary": "4" * 64}, "precision": "float32"}
    halved = {"weights": "5" * 64, "precision": "bfloat16"}
    assert changes(both(MODEL, text), both({**MODEL, **halved}, {**text, **halved})) == [
        "weights changed: 11111111 → 55555555",
        "precision changed: float32 → bfloat16",
        "weights of the text side changed: 33333333 → 55555555",
    ]


def test_versions_packages_parameters_and_other_views_beneath_are_told() -> None:
    assert changes(over(MODEL, parameters={"a": 1, "b": 2}), over(MODEL, version=2, parameters={"b": 3})) == [
        "view version of sums changed: 1 → 2",
        "parameters of sums changed: a=1 is no more, b 2 → 3",
    ]
    assert changes(over(MODEL), over(MODEL, package="another")) == ["package of sums changed: None → another"]
    other = {"view": "others", "version": 1, "parameters": {}, "inputs": {}}
    assert changes(over(MODEL), over(MODEL, inputs={"acts": other})) == [
        "made from others now, and before from acts"
    ]


def test_a_question_is_the_same_unless_a_parameter_of_it_or_beneath_was_another() -> None:
    sums = LetterSums(Letters(WORDS))
    assert same_question(sums.recipe, sums)
    assert not same_question(LetterSums(Letters(WORDS, block=8)).recipe, sums)
    assert same_question({**sums.recipe, "version": 0}, sums)


@dataclass(frozen=True)
class Cases(Letters):
    """Letters, as they are counted since there is a further parameter."""

    texts: Input[TextSet]
    upper: Param[bool] = False
    calls: ClassVar[list[int]] = []

    @classmethod
    def name(cls) -> str:
        return "letters"


def test_a_parameter_that_a_view_has_gained_makes_it_stale_at_its_default_and_not_otherwise(
    tmp_path: Path,
) -> None:
    engine: Engine = small_engine(tmp_path / "store")
    engine.fill(Letters(WORDS).units)
    status = LazyArray(engine, Cases(WORDS)).status()
    assert (status.stale, status.causes) == (1, ("parameters of letters changed: upper is new (False)",))
    status = LazyArray(engine, Cases(WORDS, upper=True)).status()
    assert (status.stale, status.missing, status.causes) == (0, 1, ())


def test_many_other_settings_are_cut_short() -> None:
    recipes = [Letters(WORDS, block=block).recipe for block in range(5, 12)]
    found = other_settings(recipes, Letters(WORDS))
    assert found[0] == "never made with block=4; kept is what was made with block=5"
    assert (len(found), found[-1]) == (5, "… and what was made in 3 other ways")

"""Captions are cleaned of loops, artefacts and marks that a tokenizer set apart, and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belvedere.compute.instruments.caption_text import clean


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a grill grill grill grill", "a grill"),
        ("grill, grill, grill", "grill"),
        ("a man in a suit and a man in a suit and a man in a suit and", "a man in a suit"),
        ("a dog and a cat and a dog and a cat and a dog", "a dog and a cat"),
        ("black and white, black and white, striped", "black and white, striped"),
        ("A Dog on a dog on a sofa", "A Dog on a sofa"),
        ("the sea the sea the sea and a boat", "the sea and a boat"),
        ("no no no way no no no way", "no way"),
        ("the the the the", "the"),
    ],
)
def test_what_is_said_in_a_loop_is_said_once(said: str, meant: str) -> None:
    assert clean(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("arafed man on a bench", "man on a bench"),
        ("Araffe standing in grass", "standing in grass"),
        ("an arafed view of a beach", "view of a beach"),
        ("araffes", ""),
        ("a man in a t - shirt", "a man in a t-shirt"),
        ("a woman ' s hat , and it ' s red .", "a woman's hat, and it's red."),
        ("  two   red\tcircles\n", "two red circles"),
    ],
)
def test_artefacts_and_spaces_of_captioners_go(said: str, meant: str) -> None:
    assert clean(said) == meant


@pytest.mark.parametrize("said", ["", "   ", ".", " , - ", "…"])
def test_a_caption_without_a_word_is_empty(said: str) -> None:
    assert clean(said) == ""


@pytest.mark.parametrize(
    "said",
    [
        "three striped red stars in the night sky",
        "a choo choo train on a bridge",
        "a very, very big dog",
        "a dog on a sofa and a cat on a chair",
        "a scarf of arafura silk",
        "ein Hund, der auf einem Sofa schläft",
        "一只狗",
    ],
)
def test_a_sound_caption_stays_as_it_is(said: str) -> None:
    assert clean(said) == said


@given(st.lists(st.sampled_from(["a", "dog", "dog,", "and", "on", "-", "'", "s", "araffe", ".", "Cat"])))
def test_cleaning_twice_changes_nothing_more(words: list[str]) -> None:
    once = clean(" ".join(words))
    assert clean(once) == once
    assert len(once) <= len(" ".join(words))

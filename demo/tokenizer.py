"""The word-level tokenizer of the demo world."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from .descriptions import DISTRACTORS
from .words import FORMS, LEADS, WORDINGS

CONTEXT_LENGTH = 24
"""Tokens of a text, the two marks at its ends and the padding included."""

_PAD, _UNKNOWN, _START, _END = "<pad>", "<unk>", "<start>", "<end>"
_SPLIT = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)


def _words() -> list[str]:
    """Return every word of the demo world, sorted."""
    texts = [wording for wordings in WORDINGS.values() for wording in wordings]
    texts += [
        word
        for values in FORMS.values()
        for forms in values.values()
        for form in forms
        for word in form.values()
    ]
    texts += [*LEADS, *DISTRACTORS, "an", "with", "object", "objects", "figure", "figures"]
    texts = [text.replace("{", " ").replace("}", " ") for text in texts]
    return sorted({word for text in texts for word, _ in _SPLIT.pre_tokenize_str(text.lower())})


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save the tokenizer so that transformers 4 and 5 both read it: each writes a class name of its own.

    What is saved cuts and pads texts to `CONTEXT_LENGTH`, whatever the tokenizer was last asked for.
    """
    tokenizer.backend_tokenizer.enable_truncation(CONTEXT_LENGTH)
    tokenizer.backend_tokenizer.enable_padding(length=CONTEXT_LENGTH, pad_token=_PAD)
    tokenizer.save_pretrained(str(folder))
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told = {key: value for key, value in told.items() if key != "backend"}
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def build_tokenizer(words: Sequence[str] | None = None) -> PreTrainedTokenizerFast:
    """Build the tokenizer: lower case, one id for each known word, ``<unk>`` for any other.

    The end mark has the largest id, since CLIP pools a text where its ids are largest.

    Args:
        words: The words, each once; without them every word of the demo world.
    """
    names = [_PAD, _UNKNOWN, _START, *(words or _words()), _END]
    vocabulary = {name: number for number, name in enumerate(names)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = _SPLIT
    core.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}",
        special_tokens=[(_START, vocabulary[_START]), (_END, vocabulary[_END])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=CONTEXT_LENGTH,
        padding_side="right",
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        bos_token=_START,
        eos_token=_END,
    )

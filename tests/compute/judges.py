"""Random language models of a few thousand weights, saved as a judge's libraries save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "red", "star", "green", "ring", "blue", "night", "nothing", "on")


def make_bert(folder: Path, seed: int = 0) -> Path:
    """Save a BERT of three layers, with a tokenizer that does not say how long texts may be."""
    from transformers import BertConfig, BertModel, BertTokenizer

    torch.manual_seed(seed)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    net: Any = BertModel(BertConfig(vocab_size=len(vocabulary), intermediate_size=32, **sizes))
    net.eval().save_pretrained(folder)
    tokenizer: Any = BertTokenizer(vocab={word: at for at, word in enumerate(vocabulary)})
    tokenizer.save_pretrained(folder)
    return folder


def make_sentences(folder: Path) -> Path:
    """Save a sentence encoder: a BERT, and after it the mean over its tokens."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    bert = Transformer(str(make_bert(folder / "bert")))
    SentenceTransformer(modules=[bert, Pooling(16)], device="cpu").save(str(folder / "sentences"))
    return folder / "sentences"


def say_baseline(folder: Path, values: dict[int, float]) -> Path:
    """Put into a model's folder what texts without relation score at some layers."""
    rows = ["LAYER,P,R,F", *(f"{layer},0,0,{value}" for layer, value in values.items())]
    (folder / "rescale_baseline.tsv").write_text("\n".join(rows) + "\n")
    return folder

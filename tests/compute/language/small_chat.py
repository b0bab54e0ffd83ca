"""A chat model with random weights and a tokenizer of a few words, saved as transformers saves one."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
WORDS = ("red", "blue", "star", "ring", "striped", "plain", "grass", "snow")


def save(folder: Path, *, template: str | None = TEMPLATE, room: int = 1024, seed: int = 0) -> Path:
    """Make the model and save it; weights are drawn by the seed."""
    marks = ("<unk>", "<user>", "<assistant>", "<system>", "<end>")
    vocabulary = {word: number for number, word in enumerate((*marks, *WORDS))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="<end>", pad_token="<end>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<user>", "<assistant>", "<system>"]})
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=room,
        eos_token_id=vocabulary["<end>"],
        bos_token_id=None,
        pad_token_id=vocabulary["<end>"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = LlamaForCausalLM(config)
        torch.nn.init.normal_(net.lm_head.weight, std=1.0)
    net.generation_config.temperature = 0.01
    net.generation_config.do_sample = True
    net.generation_config.top_k = 1
    net.save_pretrained(str(folder))
    return folder

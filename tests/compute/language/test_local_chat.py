"""A chat model on this machine answers the same to the same request, whatever else was asked or runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from belvedere.compute.language import find, prompts
from belvedere.compute.language.asking import Asker
from belvedere.compute.language.budget import Spent
from belvedere.compute.language.local_chat import LocalChat
from belvedere.compute.language.messages import Message, Request, Sampling
from belvedere.store.errors import BadSource, RequestRejected
from belvedere.store.tracing import trace
from tests.compute.language import small_chat


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_chat.save(tmp_path_factory.mktemp("chat"))


def question(heat: float, sample: int = 0, *, most: int = 6) -> Request:
    sampling = Sampling(temperature=heat, max_tokens=most)
    return prompts.find("merge").request(["red star", "blue star"], "en", sampling, sample=sample)


def test_a_reply_does_not_depend_on_what_was_asked_before(folder: Path) -> None:
    one, other = find(f"hf:{folder}"), find(f"hf:{folder}")
    requests = [question(0.0), *(question(1.0, sample) for sample in range(6))]
    there = [one.complete(request) for request in requests]
    torch.manual_seed(5)
    assert [other.complete(request) for request in reversed(requests)][::-1] == there
    assert len({reply.text for reply in there[1:]}) > 2


def test_at_temperature_zero_the_likeliest_words_come(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    net: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    turns = [message.facts() for message in question(0.0).messages]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    with torch.inference_mode():
        while ids.shape[1] < start + 6 and (ids.shape[1] == start or ids[0, -1] != tokenizer.eos_token_id):
            ids = torch.cat([ids, net(ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
    reply = find(f"hf:{folder}").complete(question(0.0))
    assert reply.text == tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    assert (reply.tokens_in, reply.tokens_out) == (start, ids.shape[1] - start)


def test_first_words_are_drawn_as_often_as_they_are_likely(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = LocalChat(str(folder), "cpu")
    ids = model._ids(question(0.7))
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(folder)(ids).logits[0, -1]
    likely = torch.softmax(logits.double() / 0.7, 0)
    drawn = Counter(model.complete(question(0.7, sample, most=1)).text for sample in range(120))
    for number, word in enumerate(small_chat.WORDS, 5):
        expected = float(likely[number])
        assert abs(drawn[word] / 120 - expected) < 4 * (expected * (1 - expected) / 120) ** 0.5 + 1e-9


def test_a_reply_that_ends_by_itself_stops_and_one_that_does_not_is_cut(folder: Path) -> None:
    model = find(f"hf:{folder}")
    replies = [model.complete(question(1.0, sample)) for sample in range(25)]
    assert {reply.finish_reason for reply in replies} == {"stop", "length"}
    assert all(reply.tokens_out == 6 for reply in replies if reply.finish_reason == "length")


def test_it_is_identified_by_what_it_is_and_not_by_where_it_lies(folder: Path, tmp_path: Path) -> None:
    facts = find(f"hf:{folder}").facts()
    assert find(f"hf:{small_chat.save(tmp_path / 'copy')}").facts() == facts
    other = find(f"hf:{small_chat.save(tmp_path / 'other', seed=1)}").facts()
    assert {key for key in facts if facts[key] != other[key]} == {"weights"}
    told = find(f"hf:{small_chat.save(tmp_path / 'told', template=small_chat.TEMPLATE + ' ')}").facts()
    assert {key for key in facts if facts[key] != told[key]} == {"template"}
    roomy = find(f"hf:{small_chat.save(tmp_path / 'roomy', room=2048)}").facts()
    assert {key for key in facts if facts[key] != roomy[key]} == {"config"}
    assert (facts["kind"], facts["precision"]) == ("transformers", "float32")
    assert str(folder) not in str(facts)
    padded = LocalChat(str(folder), "cpu")
    padded._tokenizer.backend_tokenizer.enable_padding(length=4)
    padded._tokenizer.backend_tokenizer.enable_truncation(4)
    assert padded.facts() == facts


def test_its_weights_are_loaded_once_and_not_to_count_tokens(folder: Path) -> None:
    model = find(f"hf:{folder}")
    with trace() as seen:
        assert model.tokens(question(0.0)) > 10
        assert seen.of("load") == []
        model.facts()
        model.complete(question(0.0))
        model.complete(question(1.0))
    assert seen.of("load") == [str(folder)]


def test_calls_and_tokens_are_counted_and_cost_nothing(folder: Path) -> None:
    ask = Asker(find(f"hf:{folder}"))
    reply = ask(question(0.0))
    assert ask.spent == Spent(1, reply.tokens_in or 0, reply.tokens_out or 0, 0.0)


def test_a_request_that_does_not_fit_is_rejected(tmp_path: Path) -> None:
    model = find(f"hf:{small_chat.save(tmp_path, room=32)}")
    with pytest.raises(
        RequestRejected, match=r"\d+ tokens and 6 of a reply do not fit into its context of 32"
    ):
        model.complete(question(0.0))
    short = Request((Message("user", "red star"),), "summarise", (), "en", Sampling(0.0, 6))
    assert model.complete(short).tokens_in == 5


def test_a_model_without_a_chat_template_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    model = find(f"hf:{small_chat.save(tmp_path, template=None)}")
    with pytest.raises(BadSource, match="no chat model: its tokenizer has no chat template"):
        Asker(model)(question(0.0))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="no tokenizer can be loaded from"):
        find(f"hf:{tmp_path / 'nothing'}").check()
    with pytest.raises(BadSource, match="hf: names no model"):
        find("hf:")
    small_chat.save(tmp_path / "chat")
    (tmp_path / "chat" / "model.safetensors").unlink()
    with pytest.raises(BadSource, match="no chat model can be loaded from"):
        find(f"hf:{tmp_path / 'chat'}").complete(question(0.0))

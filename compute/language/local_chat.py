"""Chat models of transformers on this machine: `hf:FOLDER_OR_REPOSITORY`."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...store import digest
from ...store.errors import BadSource, RequestRejected
from ...store.tracing import emit
from ..models.model_files import first_line
from .messages import Reply, Request, Terms

if TYPE_CHECKING:
    from torch import Tensor

_NOT_IDENTITY = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")


class LocalChat:
    """A causal language model with a chat template, in the precision in which its weights are kept.

    What its checkpoint says of sampling is not used: replies are greedy at temperature 0, and above it drawn
    from the whole distribution by noise of the request alone, whatever else runs.
    """

    terms = Terms(metered=True, billed=False)

    def __init__(self, source: str, device: str) -> None:
        """Remember where the model is; nothing is read yet."""
        if not source:
            raise BadSource("hf: names no model; hf:FOLDER, or a repository of the hub, does")
        self.name, self._source, self._device = source, source, device

    def check(self) -> None:
        """Raise `BadSource` where the tokenizer cannot be loaded or has no chat template."""
        if not self._tokenizer.chat_template:
            raise BadSource(f"{self._source} is no chat model: its tokenizer has no chat template")

    def facts(self) -> dict[str, Any]:
        """Give the digests of the weights, the configuration, the tokenizer and the chat template."""
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        from ..models.weights import weights_digest

        self.check()
        told = json.loads(self._net.config.to_json_string())
        config = {key: value for key, value in told.items() if key not in _NOT_IDENTITY}
        tokenizer = self._tokenizer
        return {
            "kind": "transformers",
            "weights": weights_digest(self._net.state_dict().items()),
            "config": digest.of_facts(config),
            "tokenizer": digest.of_facts([_words(tokenizer), sorted(self._ends)]),
            "template": digest.of_facts(tokenizer.chat_template),
            "precision": str(self._net.dtype).removeprefix("torch."),
        }

    def tokens(self, request: Request) -> int:
        """Count the tokens of a request."""
        return int(self._ids(request).shape[1])

    def complete(self, request: Request) -> Reply:
        """Generate a reply.

        Raises:
            RequestRejected: The request and its reply do not fit into the model's context.
        """
        import torch
        from transformers import GenerationConfig

        ids = self._ids(request).to(self._net.device)
        count, room = int(ids.shape[1]), getattr(self._net.config, "max_position_embeddings", None)
        longest = request.sampling.max_tokens
        if room is not None and count + longest > room:
            raise RequestRejected(
                self.name,
                None,
                f"{count} tokens and {longest} of a reply do not fit into its context of {room}",
            )
        settings = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=longest,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=min(self._ends, default=0),
        )
        with torch.inference_mode():
            whole = self._net.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=settings,
                logits_processor=_drawing(request),
            )
        made = whole[0, count:].tolist()
        ended = bool(made) and made[-1] in self._ends
        text = self._tokenizer.decode(made, skip_special_tokens=True)
        return Reply(text, "stop" if ended else "length", count, len(made))

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self._source)
        except Exception as error:
            raise BadSource(f"no tokenizer can be loaded from {self._source}: {first_line(error)}") from error

    @cached_property
    def _net(self) -> Any:
        from transformers import AutoModelForCausalLM, GenerationConfig

        emit("load", self.name)
        try:
            net: Any = AutoModelForCausalLM.from_pretrained(self._source, dtype="auto")
        except Exception as error:
            said = first_line(error)
            raise BadSource(f"no chat model can be loaded from {self._source}: {said}") from error
        self._stops = net.generation_config.eos_token_id
        net.generation_config = GenerationConfig()
        return net.eval().to(self._device)

    @cached_property
    def _ends(self) -> frozenset[int]:
        """The tokens that end a reply, as the checkpoint's generation settings or its tokenizer have them."""
        found = self._net and self._stops
        if found is None:
            found = self._tokenizer.eos_token_id
        return frozenset([] if found is None else [found] if isinstance(found, int) else found)

    def _ids(self, request: Request) -> Tensor:
        """Give the tokens of a request, "1 token"; a model that can be told not to think aloud is told so."""
        turns = [message.facts() for message in request.messages]
        found: Tensor = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True, enable_thinking=False
        )["input_ids"]
        return found


def _words(tokenizer: Any) -> dict[str, Any]:
    """Give what a tokenizer does, without how it was last asked to cut and to pad."""
    told: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in told.items() if key not in ("truncation", "padding")}


def _drawing(request: Request) -> list[Any]:
    """Give what turns the likeliest token into one that is drawn: Gumbel noise on the scaled logits.

    The largest of logits / T + noise is a draw of softmax(logits / T) (Gumbel 1954). The generator is the
    request's own, on the CPU, so that neither the device nor other requests change what is drawn.
    """
    import torch

    heat = request.sampling.temperature
    if heat <= 0:
        return []
    dice = torch.Generator("cpu").manual_seed(request.noise)

    def draw(_: Tensor, scores: Tensor) -> Tensor:
        uniform = torch.rand(scores.shape, generator=dice, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
        noisy = scores.cpu().double() / heat - torch.log(-torch.log(uniform))
        return noisy.to(scores)

    return [draw]

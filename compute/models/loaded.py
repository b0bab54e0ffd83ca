"""Models in memory: loaded, checked against what was registered, and ready to run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL import Image
from torch import Tensor, nn

from ...store import digest
from ...store.errors import BadSource, UnsupportedTower, WeightsChanged
from ...store.sets import Model, Module
from ...store.tracing import emit
from ...store.views import Array
from ..images import pictures
from ..images.geometry import Windows
from . import modules
from .family import Found, Transform

if TYPE_CHECKING:
    from ..towers.tower import Tower
    from ..towers.trace import Constants
    from .compiled import Compiled

PRECISIONS = ("float32", "float16", "bfloat16")
"""The data types in which a model can compute."""
SIDES = (224, 256, 128, 96, 64, 48, 32, 28, 16, 299, 336, 384, 448, 512)
"""Sizes of empty pictures that a model is tried with, one after the other, in pixels."""
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "timm", "transformers")
"""Libraries whose versions are recorded with a model; none is part of its identity."""


@dataclass(eq=False)
class Loaded:
    """A model on a device, in evaluation mode."""

    net: Any
    """The model."""
    side: nn.Module
    """The part of it that is called with a batch of images."""
    transform: Transform
    """The model's own preprocessing."""
    make_tokenizer: Callable[[], Any]
    """Makes the model's own tokenizer; None where it has none."""
    device: torch.device
    """Where it runs."""
    vision: Tower | None = None
    """Its vision tower, to be taken apart; None where it cannot be."""
    untaken: str = ""
    """Why it cannot be taken apart."""
    fits: int | None = None
    """The largest batch that is known to fit after one did not."""

    @cached_property
    def windows(self) -> Windows:
        """What its preprocessing keeps of pictures."""
        return Windows(self.transform)

    @cached_property
    def compiled(self) -> Compiled:
        """Those of its parts that torch can compile."""
        from .compiled import Compiled

        return Compiled(self.side)

    @property
    def tower(self) -> Tower:
        """The vision tower, to be taken apart; `UnsupportedTower` where it cannot be."""
        if self.vision is None:
            raise UnsupportedTower(type(self.net).__name__, self.untaken)
        return self.vision

    @cached_property
    def constants(self) -> Constants:
        """The vision tower's fixed maps."""
        return self.tower.constants()

    @cached_property
    def text_tower(self) -> Tower:
        """The text tower, to be taken apart; `UnsupportedTower` where it cannot be."""
        from ..towers.text import text

        return text(self.net)

    @cached_property
    def text_constants(self) -> Constants:
        """The text tower's fixed maps."""
        return self.text_tower.constants()

    def run(self, pixels: Tensor) -> None:
        """Run preprocessed images, "image channel y x", through the model at its device and precision."""
        self.side(pixels.to(device=self.device, dtype=modules.entry(self.side)))

    @cached_property
    def tokenizer(self) -> Any:
        """The model's own tokenizer, made when the first text comes; None where it has none."""
        return self.make_tokenizer()

    def encode_texts(self, texts: Sequence[str]) -> Array:
        """Embed texts: float32 on the host, "text joint", not normalised."""
        return self.encode_tokens(self.tokens(texts))

    def encode_tokens(self, tokens: Tensor) -> Array:
        """Embed texts that are tokens, "text token"."""
        with torch.inference_mode():
            features = self.net.encode_text(tokens)
        return cast("Array", features.float().cpu().numpy())

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Give the tokens of texts on the device, "text token"."""
        return cast("Tensor", self.tokenizer(list(texts)).to(self.device))

    def lengths(self, tokens: Tensor) -> Tensor:
        """Give the number of each text's own tokens, "text": those before the padding."""
        own = tokens != self._padding
        return (own * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)).amax(dim=1)

    @cached_property
    def _padding(self) -> int:
        """What the tokenizer fills short texts up with."""
        return int(self.tokenizer([""], context_length=int(self.tokenizer.context_length) + 1)[0, -1])

    def too_long(self, texts: Sequence[str]) -> list[int | None]:
        """Give each text's room in tokens where the text needs more than that, else None."""
        room = int(self.tokenizer.context_length)
        last = self.tokenizer(list(texts), context_length=room + 1)[:, -1]
        return [room if int(token) != self._padding else None for token in last]


def register(name: str, source: str, found: Found, *, checkpoint: str | None, precision: str) -> Model:
    """Load a model once to learn what it is: its digests, sizes, modules and preprocessing.

    Raises `BadSource` for a checkpoint that does not fit the architecture, or an unknown precision.
    """
    if precision not in PRECISIONS:
        raise BadSource(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
    net = found.build("float32")
    text = found.text_facts(net)
    tower, untaken = _tower(found, net)
    return Model(
        name=name,
        source=source,
        checkpoint=checkpoint,
        precision=cast("Any", precision),
        tower=None if tower is None else tower.shape,
        untaken=untaken,
        modules=_surveyed(net, found.image_side(net), found.transform(net)),
        image=_image_facts(found, net),
        text=text,
        text_modules=_surveyed_texts(net, text),
        libraries={each: importlib.metadata.version(each) for each in LIBRARIES},
    )


def load(model: Model, found: Found, device: str) -> Loaded:
    """Load a registered model to run it; `WeightsChanged` where it is no longer what was registered."""
    emit("load", model.name)
    there = place(device)
    net = found.build("float32")
    compare(model, found, net)
    if model.precision != "float32":
        net = found.build(model.precision)
    net = net.to(there).eval()
    side, transform = found.image_side(net), found.transform(net)
    return Loaded(net, side, transform, found.tokenizer, there, *_tower(found, net))


def _tower(found: Found, net: Any) -> tuple[Tower | None, str]:
    """Take a model's vision tower, or say why it is here for the activations of its modules alone."""
    try:
        return found.tower(net), ""
    except UnsupportedTower as error:
        if found.for_its_tower:
            raise
        return None, error.reason


def compare(model: Model, found: Found, net: Any) -> None:
    """Compare a model loaded in float32 with what was registered; `WeightsChanged` says what differs."""
    now = {"image": _image_facts(found, net), "text": found.text_facts(net)}
    if now != {"image": dict(model.image), "text": dict(model.text)}:
        changes = digest.differences({"image": model.image, "text": model.text}, now)
        raise WeightsChanged(
            f"model {model.name!r} is no longer what {model.source} was when it was added "
            f"({'; '.join(changes)}); add it again with replace=True (--replace), or under another name"
        )


def _image_facts(found: Found, net: nn.Module) -> dict[str, Any]:
    """Give what identifies the image side, with the way in which pictures are decoded."""
    return {**found.image_facts(net), "decoding": pictures.DECODING}


def _surveyed(net: nn.Module, side: nn.Module, transform: Transform) -> dict[str, Module]:
    """Run empty pictures through a model; of several sizes, as some preprocessing leaves the size alone."""
    first: Exception | None = None
    for length in SIDES:
        pixels = _blank(transform, length)
        try:
            return modules.survey(net, side, pixels)
        except Exception as error:  # whatever a model raises for pictures of a size that it was not made for
            first = first or error
    raise BadSource(f"{type(net).__name__} takes no picture that its preprocessing gives: {first}") from first


def _surveyed_texts(net: nn.Module, facts: Mapping[str, Any]) -> dict[str, Module]:
    """Run empty texts through a model; none of its modules is known where it embeds none."""
    if not facts:
        return {}
    return modules.survey_texts(net, torch.zeros(facts["tokenizer"]["context_length"], dtype=torch.int64))


def _blank(transform: Transform, length: int) -> Tensor:
    """Preprocess an empty picture; `BadSource` where that gives no tensor of one picture."""
    try:
        pixels: Any = transform(Image.new("RGB", (length, length)))
    except Exception as error:
        raise BadSource(f"the preprocessing fails on an empty picture {length} wide: {error}") from error
    if not isinstance(pixels, Tensor) or pixels.ndim != 3:
        shape = f" of shape {tuple(pixels.shape)}" if hasattr(pixels, "shape") else ""
        raise BadSource(
            f"the preprocessing gives a {type(pixels).__name__}{shape}, not a channel × y × x tensor"
        )
    return pixels


def place(device: str) -> torch.device:
    """Find a device; `BadSource` says which there are."""
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise BadSource(f"no device {device!r} to compute on; there are {', '.join(there)}") from error
    return found

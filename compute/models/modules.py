"""The modules of a model as a forward pass runs them: which there are, and what they give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...store.sets import Module

T = TypeVar("T")

PROBES = (2, 3)
"""Images of the two passes that tell where the axis of images is: it is the one whose length differs."""


@dataclass(frozen=True, slots=True)
class _Ran:
    """What is known of one call of a module."""

    shape: tuple[int, ...]
    problem: str | None


def survey(net: nn.Module, image_side: nn.Module, pixels: Tensor) -> dict[str, Module]:
    """List the modules of a model that run while an image goes through, by dotted name.

    `pixels` is one preprocessed picture, "channel y x". Where the modules allow it they are run without
    their weights, on torch's device `meta`, which takes no time whatever the model's size.
    """
    return _surveyed(net, image_side, pixels)


def survey_texts(net: nn.Module, tokens: Tensor) -> dict[str, Module]:
    """List the modules of a model that run while a text goes through, as `survey` does.

    `tokens` is one text, as the model's `encode_text` takes it.
    """
    return _surveyed(net, _Texts(net), tokens)


class _Texts(nn.Module):
    """Calls a model with texts alone."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor) -> Any:
        return self.net.encode_text(tokens)  # type: ignore[operator]  # models of texts have it


def _surveyed(net: nn.Module, side: nn.Module, one: Tensor) -> dict[str, Module]:
    small, large = (_watched(net, side, one, count) for count in PROBES)
    kinds = {name: type(module).__name__ for name, module in net.named_modules()}
    return {name: _described(kinds[name], small[name], large[name]) for name in kinds if name in small}


def _watched(net: nn.Module, side: nn.Module, one: Tensor, copies: int) -> dict[str, list[_Ran]]:
    """Run some copies of a picture or a text; give what each module gave at each of its calls."""
    seen: dict[str, list[_Ran]] = defaultdict(list)

    def watch(name: str, module: nn.Module, args: Any, output: Any) -> None:
        seen[name].append(_looked_at(output))

    batch = one.expand(copies, *one.shape)
    with ExitStack() as hooks, torch.inference_mode():
        for name, module in net.named_modules():
            if name:
                hooks.callback(module.register_forward_hook(partial(watch, name)).remove)
        try:
            _run_without_weights(side, batch)
        except Exception:  # whatever cannot be run without weights is run with them, and raises then
            seen.clear()
            side(batch)
    return dict(seen)


def _run_without_weights(side: nn.Module, batch: Tensor) -> None:
    state = {**dict(side.named_parameters()), **dict(side.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    functional_call(side, empty, (torch.empty_like(batch, device="meta"),))


def _looked_at(output: Any) -> _Ran:
    try:
        tensor = single(output)
    except ValueError as error:
        return _Ran((), str(error))
    if not tensor.is_floating_point():
        return _Ran((), f"it gives {str(tensor.dtype).removeprefix('torch.')}, not numbers with a point")
    return _Ran(tuple(tensor.shape), None)


def _described(kind: str, small: Sequence[_Ran], large: Sequence[_Ran]) -> Module:
    shapes = small[0].shape, large[0].shape
    places = [place for place, pair in enumerate(zip(*shapes, strict=False)) if pair == PROBES]
    problem = small[0].problem
    if len(small) > 1:
        problem = f"it runs {len(small)} times in one forward pass"
    elif problem is None and (len(places) != 1 or len(shapes[0]) != len(shapes[1])):
        listed = " × ".join(map(str, shapes[0]))
        problem = f"no axis of its output is that of the images ({listed} for {PROBES[0]} images)"
    if problem is not None:
        return Module(kind, (), 0, len(small), problem)
    rest = tuple(length for place, length in enumerate(shapes[0]) if place != places[0])
    return Module(kind, rest, places[0], 1, None)


def single(output: Any) -> Tensor:
    """Give the one tensor of a module's output; `ValueError` where there is none, or more than one."""
    found = list(_tensors(output))
    if len(found) != 1:
        told = ", ".join(" × ".join(map(str, each.shape)) for each in found)
        raise ValueError(f"it gives a {type(output).__name__} of {len(found)} tensors ({told})")
    return found[0]


def _tensors(output: Any) -> Iterable[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for each in output.values():
            yield from _tensors(each)
    elif isinstance(output, tuple | list):
        for each in output:
            yield from _tensors(each)


class Watch(Generic[T]):
    """Looks at what some modules give, while the `with` block lasts.

    Each output is looked at when it is given: a later module may write into it, as ReLU often does.
    """

    def __init__(self, net: nn.Module, looks: Mapping[str, Callable[[Tensor], T]]) -> None:
        """Take a model, and by the dotted names of modules in it what is done with their outputs."""
        self._looks = {name: (net.get_submodule(name), look) for name, look in looks.items()}
        self._hooks = ExitStack()
        self._seen: dict[str, list[T]] = defaultdict(list)

    def __enter__(self) -> Self:
        for name, (module, look) in self._looks.items():
            self._hooks.callback(module.register_forward_hook(partial(self._catch, name, look)).remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.close()
        self._seen.clear()

    def take(self) -> dict[str, T]:
        """Give what was made of the modules' outputs in the last pass, and forget it.

        Raises `RuntimeError` for a module that did not run exactly once.
        """
        seen, self._seen = self._seen, defaultdict(list)
        for name in self._looks:
            if len(seen[name]) != 1:
                raise RuntimeError(f"module {name} ran {len(seen[name])} times in this pass, and once before")
        return {name: outputs[0] for name, outputs in seen.items()}

    def forget(self) -> None:
        """Drop what an aborted pass left."""
        self._seen.clear()

    def _catch(
        self, name: str, look: Callable[[Tensor], T], module: nn.Module, args: Any, output: Any
    ) -> None:
        self._seen[name].append(look(single(output)))


def entry(side: nn.Module) -> torch.dtype | None:
    """Give the data type in which a module wants its images: that of its first layer's weights.

    Not that of its first parameter: in half precision open_clip leaves those of no layer, such as the class
    token, in float32. None where it has no weights.
    """
    layers = (getattr(each, "weight", None) for each in side.modules())
    weights = [*(each for each in layers if isinstance(each, Tensor)), *side.parameters()]
    return next((each.dtype for each in weights if each.is_floating_point()), None)

"""Parts of a tower that torch compiles while it is watched, where they give the same but for rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from ..store.errors import CannotRun
from .towers.trace import Trace

BACKEND: str | Callable[..., Any] = "inductor"
"""What compiles them; on a processor it needs a C++ compiler."""


class Compiled:
    """The compiled parts of one model in memory: those into which no hook looks, such as a block's MLP.

    What has hooks at the moment, or a module with hooks in it, is never compiled, as torch's compiler looks
    at a module's hooks when it compiles and not when the module runs.
    """

    def __init__(self, side: nn.Module) -> None:
        """Take the part of a model that images go through; nothing is compiled yet."""
        self._side = side
        self._known: dict[nn.Module, Any] = {}
        self.same: bool | None = None
        """Whether compiled parts gave the same embeddings; None until that was looked at."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the parts that are not watched run compiled; `CannotRun` where they cannot be compiled."""
        parts = list(dict.fromkeys(_parts(self._side)))
        try:
            for part in parts:
                if part not in self._known:
                    part.compile(backend=BACKEND)
                    self._known[part] = part._compiled_call_impl
                part._compiled_call_impl = self._known[part]
            yield
        except (TorchDynamoException, torch._inductor.exc.InductorError) as error:
            reason = " ".join(str(error).split("Set TORCHDYNAMO_VERBOSE")[0].split())[:300]
            raise CannotRun(
                f"{type(self._side).__name__} cannot be compiled here ({type(error).__name__}: {reason}); "
                "leave compiled=True (--compile) out"
            ) from error
        finally:
            for part in parts:
                part._compiled_call_impl = None

    def prove(self, trace: Callable[[], Trace], tolerance: float) -> tuple[Trace, bool]:
        """Trace a batch compiled, and as it is; give the second, and whether both embed the same."""
        with self.running():
            quick = trace()
        plain = trace()
        with np.errstate(all="ignore"):
            apart = np.linalg.norm(quick.embedding - plain.embedding, axis=-1)
            self.same = bool((apart <= tolerance * np.linalg.norm(plain.embedding, axis=-1)).all())
        return plain, self.same


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """List the largest modules below one that no hook looks into and that have at least two matrices."""
    for child in module.children():
        matrices = sum(weight.ndim > 1 for weight in child.parameters())
        watched = any(each._forward_hooks or each._forward_pre_hooks for each in child.modules())
        if matrices > 1 and not watched:
            yield child
        elif matrices:
            yield from _parts(child)

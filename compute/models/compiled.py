"""Parts of a tower that torch compiles while it is watched, where they give the same but for rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._dynamo import config
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.exc import InductorError

from ...store.errors import CannotRun
from ..towers.trace import Trace

BACKEND: str | Callable[..., Any] = "inductor"
"""What compiles them; on a processor it needs a C++ compiler."""
VERSIONS = 64
"""The most versions of one function that torch compiles, for parts that differ and batches of two sizes; it
would run more than 8 uncompiled, without a word."""


class Compiled:
    """The compiled parts of one model in memory: those into which no hook looks, such as a block's MLP.

    A module in which another one has hooks at the moment is never compiled, as torch's compiler looks for
    hooks when it compiles and not when the module runs. Its own are called around what is compiled of it.
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
                    self._known[part] = torch.compile(part.forward, backend=BACKEND)
                part.forward = self._known[part]
            with config.patch(recompile_limit=VERSIONS, fail_on_recompile_limit_hit=True):
                yield
        except (TorchDynamoException, FailOnRecompileLimitHit, InductorError) as error:
            reason = " ".join(str(error).split("Set TORCHDYNAMO_VERBOSE")[0].split())[:300]
            raise CannotRun(
                f"{type(self._side).__name__} cannot be compiled here ({type(error).__name__}: {reason}); "
                "leave compiled=True (--compile) out"
            ) from error
        finally:
            for part in parts:
                part.__dict__.pop("forward", None)

    def prove(self, trace: Callable[[], Trace], tolerance: float) -> tuple[Trace, bool]:
        """Trace a batch as it is, and compiled; give the second where both embed the same, and whether.

        Where they do not, it is traced a third time, as it is: what is watched is what was traced last.
        """
        plain = trace()
        with self.running():
            quick = trace()
        with np.errstate(all="ignore"):
            apart = np.linalg.norm(quick.embedding - plain.embedding, axis=-1)
            self.same = bool((apart <= tolerance * np.linalg.norm(plain.embedding, axis=-1)).all())
        return (quick if self.same else trace()), self.same


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """List the largest modules below one that no hook looks into and that have at least two matrices."""
    for child in module.children():
        matrices = sum(weight.ndim > 1 for weight in child.parameters())
        within = (each for each in child.modules() if each is not child)
        watched = any(each._forward_hooks or each._forward_pre_hooks for each in within)
        if matrices > 1 and not watched and "forward" not in child.__dict__:
            yield child
        elif matrices:
            yield from _parts(child)

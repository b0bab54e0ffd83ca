"""The loop that trains a demo model: it keeps its state in a file, and takes up where it was stopped."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a model learns."""

    steps: int
    """Steps in all, over which the learning rate falls to zero."""
    until: int
    """The step before which to stop."""
    peak: float
    """The largest learning rate."""
    every: int = 100
    """After so many steps the model is examined and saved."""


def rate(step: int, steps: int, peak: float) -> float:
    """Return the learning rate: a linear rise over 200 steps, then a cosine to zero."""
    rise = min(200, steps // 10 + 1)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def optimiser(model: torch.nn.Module) -> torch.optim.AdamW:
    """Return AdamW; vectors, such as biases and the scales of normalisations, do not decay."""
    flat = [weight for weight in model.parameters() if weight.ndim < 2]
    deep = [weight for weight in model.parameters() if weight.ndim >= 2]
    groups = [{"params": flat, "weight_decay": 0.0}, {"params": deep, "weight_decay": 0.05}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))


def run(
    model: torch.nn.Module,
    state: Path,
    schedule: Schedule,
    *,
    loss: Callable[[int], torch.Tensor],
    examine: Callable[[], Mapping[str, float]],
    save: Callable[[], None],
    settle: Callable[[], None] | None = None,
) -> None:
    """Train a model; take up where an earlier run with the same state file stopped.

    Where that run had come to the end, the model is only saved.

    Args:
        model: The model, in training mode.
        state: The file of its state, written now and then.
        schedule: How long and how fast.
        loss: The loss of one step, a pure function of the model and the step's number.
        examine: How good the model is now, by name.
        save: Writes the model where it belongs.
        settle: What is done after each step, such as to keep a parameter within bounds.
    """
    learner, start, began = optimiser(model), 0, time.monotonic()
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        learner.load_state_dict(kept["optimiser"])
        start = kept["step"]
    if start >= schedule.until:
        save()
    for step in range(start, schedule.until):
        now = _learn(model, learner, loss(step), rate(step, schedule.steps, schedule.peak))
        if settle is not None:
            settle()
        if (step + 1) % schedule.every == 0 or step + 1 == schedule.until:
            model.eval()
            told = "  ".join(f"{name} {share:.3f}" for name, share in examine().items())
            model.train()
            print(f"step {step + 1}  {time.monotonic() - began:.0f} s  loss {now:.3f}  {told}", flush=True)
            kept = {"model": model.state_dict(), "optimiser": learner.state_dict(), "step": step + 1}
            torch.save(kept, state.with_suffix(".new"))
            os.replace(state.with_suffix(".new"), state)
            save()


def _learn(model: torch.nn.Module, learner: torch.optim.Optimizer, loss: torch.Tensor, pace: float) -> float:
    """Take one step and return its loss."""
    for group in learner.param_groups:
        group["lr"] = pace
    learner.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    learner.step()
    return float(loss.detach())

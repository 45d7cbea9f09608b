"""Whoever takes a device works on it: a list of all of them, and those that no page runs on a pretended device."""

from collections.abc import Callable
from typing import Any

import pytest
from device_rules import CALLED_BY, called_by, check_share, pretended, taking_a_device
from pretend_cuda import CUDA

from benchmarks import attention, training_grid, transformer
from factbook import block_published, junk, whitened
from factcore import transformer as tf

TRAINING: dict[str, Any] = {"steps": 5, "batch": 16, "lr": 1e-2}
TINY = {"n_facts": 16, "d": 16, "seed": 0, "device": "cuda"}


def in_passing(call: Callable[..., Any], **shorter: Any) -> Callable[..., Any]:
    """The same with fewer steps, whatever the study asks for."""
    return lambda *args, **options: call(*args, **options | shorter)


# Public functions that take a device and that no page runs in its smoke profile, each at a size that takes seconds.
STUDIES: dict[str, Callable[[], Any]] = {
    "factbook.block_published.measure": lambda: block_published.measure("paper-codes", **TINY | {"d": 8}, **TRAINING),
    "factbook.junk.solved": lambda: junk.solved("sphere", 8, 16, 16, 0, "cuda"),
    "factbook.junk.keeps": lambda: junk.keeps("sphere", 8, "roomy", 16, 16, 0, device="cuda"),
    "factbook.whitened.memory": lambda: whitened.memory(
        "spiked 4", "whitened", "bilinear gates, full", 24, 8, 0, "cuda"
    ),
    "factbook.whitened.use": lambda: whitened.use(
        "spiked 4", "whitened", "bilinear gates, full", 24, 8, 0, device="cuda", **TRAINING
    ),
    "benchmarks.attention.both": lambda: attention.both(**TINY),
    "benchmarks.training_grid.cost": lambda: training_grid.cost("adam", **TINY),
    "benchmarks.training_grid.reached": lambda: training_grid.reached("adam", **TINY, width=8),
    "benchmarks.transformer.speeds": lambda: transformer.speeds(16, 16, 8, 2, 1, "cuda"),
}


def test_whoever_takes_a_device_is_tried_on_one():
    assert {*STUDIES}.union(*map(called_by, CALLED_BY)) == {*taking_a_device()}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_works_on_the_device(name, monkeypatch):
    monkeypatch.setattr(tf, "train_recall", in_passing(tf.train_recall, steps=3, batch=8))
    monkeypatch.setattr(training_grid, "CHOSEN", training_grid.CHOSEN | {"steps": 50})
    with pretended() as device:
        found = STUDIES[name]()
        check_share(device)
        assert device_of(found) == CUDA


def device_of(found: Any) -> Any:
    """Where a row says that it was computed, or where a network or a model is."""
    if isinstance(found, dict):
        return found["device"]
    return next(found[0].parameters() if isinstance(found, tuple) else found.parameters()).device

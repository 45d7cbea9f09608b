"""A training run kept in one file: whole after every write, and taken up only by the run that wrote it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from factcore.facts import replacing


def keep(path: Path, run: dict, step: int, history: list, model: nn.Module, optimiser, generator) -> None:
    """Write the state of a run at ``step``; ``run`` says which run it is."""
    kept = {"run": run, "step": step, "history": history, "model": model.state_dict()}
    with replacing(path) as partial:  # a killed run leaves the last whole checkpoint
        torch.save(kept | {"optimiser": optimiser.state_dict(), "generator": generator.get_state()}, partial)


def restore(path: Path, run: dict, model: nn.Module, optimiser, generator) -> tuple[int, list]:
    """Load the state into model, optimiser and generator; the step and the history. ValueError for another run's."""
    kept = torch.load(path, weights_only=True)
    if kept["run"] != run:
        raise ValueError(f"{path} is of another run, {kept['run']}, not {run}: name another checkpoint or remove it")
    model.load_state_dict(kept["model"])
    optimiser.load_state_dict(kept["optimiser"])
    generator.set_state(kept["generator"])
    return kept["step"], kept["history"]

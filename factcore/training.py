"""MLPs trained to store facts: the bar that constructions are measured against."""

from __future__ import annotations

import inspect

from factcore.batched import train_many
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.search import doubles_width


@doubles_width()
def trained(facts: FactSet, width: int, seed: int, **options) -> GatedMLP:
    """All three matrices by full-batch Adam, cosine decay to zero, stopped at 100% recall.

    Logits are ⟨g(k_i), v_j⟩. For the training keys are scaled to a mean norm of ``key_norm`` (√d by default) and the
    scale is folded into the weights; values are scaled to ``value_norm``, which is the scale of the logits and does
    not change what decodes. loss: 'cross-entropy', or 'squared-hinge', mean_i Σ_{j ≠ f(i)} max(0, 1 − gap_ij)² / 2.
    gate: one with a gradient; 'identity' makes a bilinear network. Weights begin Gaussian, of spread 1/√d and 1/√h
    times ``spread``. lr rises over ``warmup`` steps. At most ``steps`` steps; the network may then fall short of
    100%. ``width=None`` doubles h until it does not. The defaults are the best of benchmarks/training_grid.py.
    """
    return train_many(facts, [width], [seed], **options)[0]


# `construct`, help() and the API page read the names and defaults of the options here.
_first, _many = (list(inspect.signature(f).parameters.values()) for f in (trained, train_many))
trained.__signature__ = inspect.Signature(_first[:3] + _many[3:], return_annotation="GatedMLP")  # type: ignore[attr-defined]

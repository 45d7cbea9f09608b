"""MLPs trained to store facts: the bar that constructions are measured against."""

from __future__ import annotations

from factcore.batched import train_many
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.search import first_width_that_stores


def trained(
    facts: FactSet,
    width: int | None,
    seed: int,
    *,
    steps: int = 4000,
    lr: float = 0.2,
    gate: str = "identity",
    loss: str = "cross-entropy",
    key_norm: float | None = None,
    value_norm: float = 8.0,
    spread: float = 1.0,
    warmup: int = 0,
    progress: bool = True,
) -> GatedMLP:
    """All three matrices by full-batch Adam, cosine decay to zero, stopped at 100% recall.

    Logits are ⟨g(k_i), v_j⟩. For the training keys are scaled to a mean norm of ``key_norm`` (√d by default) and the
    scale is folded into the weights; values are scaled to ``value_norm``, which is the scale of the logits and does
    not change what decodes. loss: 'cross-entropy', or 'squared-hinge', mean_i Σ_{j ≠ f(i)} max(0, 1 − gap_ij)² / 2.
    gate: one with a gradient; 'identity' makes a bilinear network. Weights begin Gaussian, of spread 1/√d and 1/√h
    times ``spread``. lr rises over ``warmup`` steps. At most ``steps`` steps; the network may then fall short of
    100%. ``width=None`` doubles h until it does not. The defaults are the best of benchmarks/training_grid.py.
    """

    def fit(width: int) -> GatedMLP:
        return train_many(
            facts,
            [width],
            [seed],
            steps=steps,
            lr=lr,
            gate=gate,
            loss=loss,
            key_norm=key_norm,
            value_norm=value_norm,
            spread=spread,
            warmup=warmup,
            progress=progress,
        )[0]

    return first_width_that_stores(fit, facts) if width is None else fit(width)

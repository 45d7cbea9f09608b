"""Margins of memories: against features, facts, uneven embeddings, noise and width, and the forms of their bounds.

The raw Hebbian memory is g(x) = Σ_i v_f(i) K(k_i, x) with K(y, x) = (1/h) Σ_l ⟨a_l, y⟩⟨a_l, x⟩⟨b_l, y⟩⟨b_l, x⟩, so that
K(k, k) is about 1 for unit keys: margins have that unit, in which the bounds of arXiv 2607.10034 are stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter
from scipy.optimize import least_squares
from torch import Tensor
from torch.nn.functional import normalize

import factcore as fc
from factbook import figures
from factbook.attended import attended
from factcore.methods import METHODS
from factcore.mlp import GatedMLP
from factcore.scoring import output_margins
from factcore.support import stream
from factcore.transformer import adaptive_recall

Form = Callable[..., np.ndarray]  # (rows, its constants) → smallest margins
QUANTILES = tuple(range(0, 101, 5))  # of the margins of all keys, in percent
STRONGEST = {"keys": 5.0, "values": 10.0, "both": 3.35}  # spikes, as published
LADDER: dict[str, tuple[str, dict[str, Any]]] = {
    "ntk": ("ntk", {}),
    "hebbian": ("hebbian", {}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "paper-codes": ("encoder-decoder", {"codes": "projected"}),
    "encoder-decoder": ("encoder-decoder", {}),
    "block-convex": ("block-convex", {}),
    "trained": ("trained", {"steps": 2000}),
}
SPIKED = {"neither": (0, 0), "keys": (1, 0), "values": (0, 1), "both": (1, 1)}  # what a spike is put on


def spiked_facts(
    n_facts: int, d: int, strength: float, on: str, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> fc.FactSet:
    """`spherical_facts` whose keys or values, or both, are stretched along one direction u: normalise(x + β⟨x, u⟩u).

    As in the code of arXiv 2607.10034; the spike of `value_geometry` is another, by far stronger for the same β: it
    adds β z u with z a standard normal, where ⟨x, u⟩ is about 1/√d. Keys and values have the same u.
    """
    facts = fc.spherical_facts(n_facts, d, seed=seed, dtype=torch.float64)
    direction = normalize(torch.randn(d, generator=stream(seed, "evaluation"), dtype=torch.float64), dim=0)
    keys, values = (
        normalize(rows + strength * hit * (rows @ direction)[:, None] * direction, dim=1)
        for rows, hit in zip((facts.keys, facts.values), SPIKED[on])
    )
    return fc.FactSet(keys.to(dtype), values.to(dtype), facts.targets)


def raw_memory(facts: fc.FactSet, features: int, seed: int) -> GatedMLP:
    """The raw Hebbian memory of ``features`` random features, as above: whatever it loses, it is returned."""
    mlp = fc.construct(facts, "hebbian", variant="raw", width=features, seed=seed, strict=False)
    mlp.down.mul_(len(facts) / features)
    return mlp


def smallest_margin(
    n_facts: int, d: int, features: int, on: str, strength: float, noise: float, seed: int, device: str = "cpu"
) -> dict[str, Any]:
    """The smallest margin of a raw memory asked with queries ``noise`` away from the keys, in random directions."""
    facts = spiked_facts(n_facts, d, strength, on, seed=seed).to(device)
    mlp = raw_memory(facts, features, seed)
    aside = torch.randn(facts.keys.shape, generator=stream(seed, "noise"), dtype=torch.float64).to(device)
    asked = fc.FactSet(facts.keys + noise * normalize(aside, dim=1), facts.values, facts.targets)
    margin = fc.margins(mlp, asked)
    steep = kernel_steepness(mlp, torch.cat([facts.keys, asked.keys]))
    row: dict[str, Any] = {"smallest": float(margin.min()), "recall": float((margin > 0).double().mean())}
    return row | {"steepness": steep, "device": mlp.down.device}


def kernel_steepness(mlp: GatedMLP, points: Tensor) -> float:
    """The bound's Λ: how fast K(k, ·) can change at the ``points``, whose first half are the keys."""
    first, second, h = mlp.gate_weight, mlp.up, mlp.width
    assert second is not None
    one, other = points @ first.T, points @ second.T
    longest = (one * other)[: len(points) // 2].norm(dim=1).max() / h**0.5
    norms = [torch.linalg.matrix_norm(factor, ord=2) for factor in (first, second)]
    return float(longest * (other.abs().amax(1) * norms[0] + one.abs().amax(1) * norms[1]).max() / h**0.5)


def clean_form(rows: pd.DataFrame, signal: float, inside: float, crosstalk: float) -> np.ndarray:
    """C_s − C_x √(n L / (h d)) with L = ln(2 C n²): isotropic keys and values."""
    crowd = rows.n_facts * np.log(np.maximum(2 * inside * rows.n_facts**2, 1.0)) / (rows.features * rows.d)
    return signal - crosstalk * np.sqrt(crowd.to_numpy())


def stated_bound(n_facts: int, d: int, features: int, failure: float = 0.5) -> float:
    """The bound for isotropic keys and values with all its constants, as the code of arXiv 2607.10034 has it."""
    pairs, rows = np.log(4 * n_facts**2 / failure), np.log(4 * n_facts / failure)
    crosstalk = 2 * np.sqrt(6 * n_facts * pairs / d**3) + 8 * np.sqrt(n_facts * pairs / (features * d))
    rest = np.sqrt(2 * pairs / d) + np.sqrt(18 * rows / features) + 8 * rows / features + 4 * pairs / d**2
    return float(1 - crosstalk - rest)


def noisy_form(rows: pd.DataFrame, signal: float, slope: float) -> np.ndarray:
    """C_s − C_ε Λ ε with Λ of `kernel_steepness`: at one n, h and d the bound's other terms are constants."""
    return signal - slope * (rows.steepness * rows.noise).to_numpy()


def spike_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per place of the spike the mean smallest margin without it and at its strongest, and where it turns negative."""
    means = averaged(rows, ["on", "strength"])
    lost = means[means.smallest <= 0].groupby("on").strength.min()
    ends = means.groupby("on").smallest.agg(["first", "last"])
    return ends.assign(strongest=means.groupby("on").strength.max(), negative_from=lost)


def averaged(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The means over the draws."""
    return rows.groupby(by, as_index=False).mean(numeric_only=True)


def fitted(rows: pd.DataFrame, form: Form, start: list[float]) -> tuple[list[float], float]:
    """Constants ≥ 0 of ``form`` by least squares on the means over the draws, and R² there."""
    means = averaged(rows, ["n_facts", "features", "noise"])
    found = least_squares(lambda constants: means.smallest - form(means, *constants), start, bounds=(1e-6, np.inf)).x
    left = means.smallest - form(means, *found)
    return list(found), float(1 - left.var(ddof=0) / means.smallest.var(ddof=0))


def trained_margins(
    width: int, n_facts: int, d: int, seed: int, device: str = "cpu", attention_steps: int = 1500
) -> dict[str, Any]:
    """Of a trained MLP, quantiles of the margins per key, of outputs of norm 1; its recall alone and behind attention.

    Attention is trained before, with the identity in the MLP's place.
    """
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    mlp = fc.construct(facts, "trained", width=width, seed=seed, strict=False, steps=2000)
    margin = output_margins(normalize(mlp(facts.keys), dim=1), facts.targets, facts.values).double()
    levels = margin.quantile(torch.tensor(QUANTILES, dtype=torch.float64, device=margin.device) / 100)
    model = attended("trained", n_facts, d, seed, device, steps=attention_steps)
    row: dict[str, Any] = {"n_params": mlp.n_params, "recall": float((margin > 0).double().mean())}
    row |= {"in_transformer": adaptive_recall(model, mlp, facts.targets), "device": mlp.down.device}
    return row | {f"q{q}": round(level, 6) for q, level in zip(QUANTILES, levels.tolist())}


def cost(method: str, strength: float, n_facts: int, d: int, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Fewest parameters per fact that store facts with a spike of that strength on keys and values (float32)."""
    facts = spiked_facts(n_facts, d, strength, "both", seed=seed, dtype=torch.float32).to(device)
    name, options = LADDER[method]
    if METHODS[name].finds_width:  # the encoder-decoder finds its own shortest code
        mlp = fc.construct(facts, name, seed=seed, **options)
        return {"width": mlp.width, "per_fact": mlp.n_params / n_facts, "device": mlp.down.device}
    found = fc.smallest_width(facts, name, seed=seed, tries=1, resolution=0.04, **options)
    worked = found.trials[-1]["device"]
    return {"width": found.width, "per_fact": found.n_params / n_facts, "device": worked}


def sweeps(facts: int, features: int, spiked: int, noisy: int, points: int) -> list[dict[str, int | float | str]]:
    """The settings of `smallest_margin` in four sweeps: features and facts from 1/8 to 2 of the usual, spike, noise."""

    def job(study: str, n: int, m: int, on: str = "neither", strength: float = 0.0, noise: float = 0.0) -> dict:
        return {"study": study, "n_facts": n, "features": m, "on": on, "strength": strength, "noise": noise}

    around = np.geomspace(1 / 8, 2, points)
    made = [job("features", facts, round(features * x)) for x in around]
    made += [job("facts", round(facts * x), features) for x in around]
    for on, most in STRONGEST.items():
        made += [job("spike", spiked, features, on, round(float(b), 3)) for b in np.linspace(0, most, points)]
    return made + [job("noise", noisy, features, noise=round(float(e), 4)) for e in np.geomspace(0.01, 2, points + 3)]


def plot_form(axes: Axes, rows: pd.DataFrame, x: str, form: Form, constants: list[float], label: str) -> None:
    """Smallest margins against ``x``: every draw, their means, and the fitted form as a line."""
    figures.plot_spread(axes, rows, x, "smallest", "hebbian", label="measured", linestyle="none")
    means = averaged(rows, [x])
    axes.plot(means[x], form(means, *constants), color="black", linewidth=1.2, label=label)
    axes.axhline(0, color="grey", linestyle=":")
    axes.set_xscale("log", base=10 if x == "noise" else 2)
    if x != "noise":
        axes.xaxis.set_major_formatter(ScalarFormatter())


def plot_recall(axes: Axes, rows: pd.DataFrame) -> None:
    """Recall against width, of the MLP alone and behind trained attention."""
    for column, name, look in (
        ("recall", "the MLP alone", "trained"),
        ("in_transformer", "in a transformer", "hebbian"),
    ):
        figures.plot_spread(axes, rows.assign(percent=100 * rows[column]), "width", "percent", look, label=name)
    widths = sorted(rows.width.unique())
    axes.set(xlabel="hidden units", ylabel="recall [%]", xscale="log")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend()


def plot_violins(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Margins per key at each width, all draws together; shapes from their `QUANTILES`, ticks at the median."""
    widths = sorted(rows.width.unique())
    even = np.linspace(0, 100, 400)
    columns = [f"q{q}" for q in QUANTILES]
    shapes = [
        np.concatenate([np.interp(even, QUANTILES, levels) for levels in rows[rows.width == w][columns].to_numpy()])
        for w in widths
    ]
    drawn = axes.violinplot(shapes, positions=range(len(widths)), widths=0.85, showmedians=True, showextrema=True)
    for body in drawn.pop("bodies"):  # type: ignore[attr-defined]
        body.set_color(colour)
    for lines in drawn.values():
        lines.set_color(colour)
    axes.axhline(0, color="grey", linestyle=":")
    axes.set_xticks(range(len(widths)), [str(w) for w in widths])
    axes.set_xlabel("hidden units")

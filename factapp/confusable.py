"""The pairs of values that are hardest to tell apart: what `factcore inspect` names."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from torch import Tensor

from factcore.geometry import Decodability, decodability


class Confusable(NamedTuple):
    """Value i can be told from value j with normalised margin ``margin`` at best, given all the others."""

    i: int
    j: int
    margin: float
    names: tuple[str, str] | None = None


def most_confusable(
    values: Tensor, k: int = 10, *, result: Decodability | None = None, names: Sequence[str] | None = None
) -> list[Confusable]:
    """The k pairs that set rho: the values of smallest rho_i, each with the value most in its way.

    Value i's separator is held back by about d others; its partner j is the one of largest weight in the convex
    combination whose norm is rho_i (its twin if the row is duplicated, its worst offender if it lies inside the hull).
    Sorted by margin, no pair twice. ``result`` saves solving again; ``names`` (v strings) are attached. ValueError for
    k < 1 and for a ``result`` or ``names`` of another length.
    """
    result = decodability(values) if result is None else result
    sizes = len(values), len(values) if names is None else len(names), len(result.lower)
    if k < 1 or len(set(sizes)) > 1:
        raise ValueError(f"k must be ≥ 1, values, names and result of one length, got {k} and {sizes}")
    twin = {a: b for group in result.duplicates for a, b in zip(group, group[1:] + group[:1], strict=True)}
    x = values.detach().double().cpu().numpy()
    pairs: dict[frozenset[int], Confusable] = {}  # met from one or both of their sides: 2k values give at least k
    for i in result.lower.argsort(stable=True)[: 2 * k].tolist():
        j = twin[i] if i in twin else _partner(x, i, result.separators[i].cpu().numpy())
        label = None if names is None else (names[i], names[j])
        pairs.setdefault(frozenset((i, j)), Confusable(i, j, float(result.lower[i]), label))
    return list(pairs.values())[:k]


def _partner(x: np.ndarray, i: int, separator: np.ndarray) -> int:
    """The value of largest weight in the nearest point to 0 of the differences that bind at the separator."""
    z = x[i] - x
    with np.errstate(invalid="ignore"):
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    score = z @ separator
    score[i] = np.inf
    binding = np.argsort(score, kind="stable")[: min(4 * x.shape[1], len(x) - 1)]
    if score[binding[0]] <= 0:
        return int(binding[0])
    system = np.vstack([z[binding].T, np.ones(len(binding))])
    return int(binding[nnls(system, np.eye(len(system))[-1])[0].argmax()])

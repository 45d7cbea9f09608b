"""Two-token look-ups: (a, b) → label in a plain ReLU network on two-hot keys, memorised by ridge systems alone.

A code of one number per fact, its label's place on a line, read out by a parabola: label v has the logit v·code − v²/2,
which is largest for the label nearest to the code. The last hidden unit is the constant that carries −v²/2.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor

from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_integer, row_blocks, stream

START = 0.15  # spread of the weights that the systems begin from, in spreads of the labels' places
WITHIN = 0.8  # of half the distance of two labels: a code that near is read right in float32 too
SOLVE = 0.05  # relative residual at which a ridge system counts as solved
MOST_STEPS = 600  # of conjugate gradients in one of them
DAMPING = (1.0, 1e-6, 1e8)  # where it begins, the least, and where a system no longer helps
ENOUGH = 1.5  # units for one fact per token in use: what random pairs need, and a little more
GROWTH = 1.25  # of a width that was not enough
FEW = 24  # units; fewer begin above zero, as a fact whose units are all shut would never move


class PairTables(NamedTuple):
    """logits = relu(first[a] + second[b]) @ readout: (tokens, h), (tokens, h) and (h, labels), float64."""

    first: Tensor
    second: Tensor
    readout: Tensor
    systems: int  # linear systems that were solved
    n_solved: int  # numbers that came out of them
    stored: bool  # whether every code is so near its label's place that it is read right


def pairs(facts: FactSet, width: int | None, seed: int, *, systems: int = 60, split: int | None = None) -> GatedMLP:
    """W_down relu(W_gate x), ungated, for keys that are pairs of tokens: (t_a + t_b + e) · width parameters.

    Keys (n, t_a + t_b) have a one for a token of each of two positions; the columns up to ``split`` (default: half) are
    the first position's. Values are affinely independent, as one-hot labels are. Every entry of W_gate is drawn,
    then free: a linear solve of `refined_tables` is a ridge system, at most ``systems`` until all are read right. The
    network stores about 3/4 · width facts per token (an unlucky seed less); width=None begins above that and adds a
    quarter until all are stored. Thousands of labels need float64. Answers the challenge of "Hand coding weights for
    efficient sequence memorisation" (2026).

    ValueError, naming the row, for a key that is no pair, and for affinely dependent values.
    """
    check_integer("systems", systems)
    tokens, sizes = pairs_of(facts.keys, split)
    in_use, most = sum(len(side.unique()) for side in tokens.T), len(facts) + 8
    units = width or min(most, math.ceil(ENOUGH * len(facts) / in_use) + 1)
    while True:
        tables = refined_tables(tokens, facts.targets.cpu(), sizes, facts.n_values, units, seed=seed, systems=systems)
        if width or tables.stored or units == most:
            return network_of(facts, tables)
        units = min(most, math.ceil(GROWTH * units))


def network_of(facts: FactSet, tables: PairTables) -> GatedMLP:
    """The tables as one network from keys to values, in the facts' dtype and on their device."""
    values, logits = facts.values.double().cpu(), tables.readout.T
    values, logits = values - values.mean(0), logits - logits.mean(0)  # what all values share decides nothing
    down = torch.linalg.pinv(values) @ logits  # (e, h)
    if not torch.allclose(values @ down, logits, rtol=1e-6, atol=1e-6 * float(logits.abs().max())):
        raise ValueError(f"the {facts.n_values} values must be affinely independent for the method 'pairs'")
    gate_weight = (torch.cat([tables.first, tables.second]).T / float(facts.keys.max())).to(facts.keys)
    return GatedMLP(gate_weight, None, down.to(facts.keys), gate="relu", n_solved=tables.n_solved)


def pairs_of(keys: Tensor, split: int | None = None) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (n, 2) and vocabulary sizes of two-hot keys (n, t_a + t_b), whose ones may all be one other number."""
    split = keys.shape[1] // 2 if split is None else split
    check_integer("split", split, keys.shape[1] - 1)
    halves = (keys / keys.max()).cpu().split([split, keys.shape[1] - split], dim=1)
    for half in halves:
        wrong = ((half != 0) & (half != 1)).any(1) | (half.sum(1) != 1)
        if wrong.any():
            what = f"keys[{int(wrong.int().argmax())}] is no pair of tokens: the method 'pairs' takes two-hot keys"
            raise ValueError(f"{what}, with one 1 among the first {split} entries, one among the others, and zeros")
    return torch.stack([half.argmax(1) for half in halves], 1), (split, keys.shape[1] - split)


def refined_tables(
    tokens: Tensor, labels: Tensor, sizes: tuple[int, int], n_labels: int, width: int, *, seed: int, systems: int
) -> PairTables:
    """The network for tokens (n, 2) below ``sizes`` and labels (n,) below ``n_labels``, of ``width`` hidden units.

    From small random tables. With the gates as they stand the code Σ_j sign_j relu(E₁[a, j] + E₂[b, j]) is linear in
    both tables; the step to the labels' places is a ridge regression (Levenberg's damping: less after a step that
    shortens the distance, four times more after one that does not), n sparse equations.
    """
    place, units = label_places(n_labels), width - 1
    near = WITHIN * float(place[1] - place[0]) / 2 if n_labels > 1 else 1.0
    at = (tokens + torch.tensor([0, sizes[0]])).T.numpy()
    sign, goal = np.where(np.arange(units) % 2, -1.0, 1.0), place[labels].numpy()
    drawn = torch.randn(sum(sizes), units, generator=stream(seed, "weights"), dtype=torch.float64)
    tables = START * (drawn + max(0.0, 1 - units / FEW)).numpy()
    (damping, least, most), used = DAMPING, 0
    missed, on = _missed(tables, at, sign, goal)
    while used < systems and units and np.abs(missed).max() >= near and damping < most:
        by_a, by_b = (_features(on, side, sign, len(tables)) for side in at)
        while used < systems and damping < most:
            weights = _ridge(by_a, by_b, missed.astype(np.float32), np.float32(damping))
            used += 1
            moved = tables + (by_a.T @ weights + by_b.T @ weights).reshape(tables.shape)
            left, open_now = _missed(moved, at, sign, goal)
            if left @ left < missed @ missed:
                tables, missed, on, damping = moved, left, open_now, max(damping / 3, least)
                break
            damping *= 4
    first, second = torch.from_numpy(tables).split(list(sizes))
    read = with_parabola(first, second, torch.from_numpy(sign), place)
    return PairTables(*read, used, units * sum(sizes), bool(np.abs(missed).max() < near))


def label_places(n_labels: int) -> Tensor:
    """Where labels lie on the line: evenly, around 0, with a spread of 1."""
    place = torch.linspace(-1, 1, n_labels, dtype=torch.float64) if n_labels > 1 else torch.zeros(1).double()
    return place / place.square().mean().sqrt().clamp(min=1e-9)


def with_parabola(first: Tensor, second: Tensor, sign: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The tables with the constant unit, a half from each token, and the readout of the code Σ_j sign_j h_j."""
    first, second = (torch.cat([t, t.new_full((len(t), 1), 0.5)], 1) for t in (first, second))
    return first, second, torch.cat([sign[:, None] * place, -place.square()[None] / 2])


def _missed(tables: np.ndarray, at: np.ndarray, sign: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """goal − code (n,), and which units are open (n, units), of facts with the rows ``at`` (2, n) of the tables."""
    code, on = np.empty(len(goal)), np.empty((len(goal), len(sign)), dtype=bool)
    for rows in row_blocks(len(goal), len(sign), torch.device("cpu"), entries=2**22):
        hidden = tables[at[0, rows]] + tables[at[1, rows]]
        on[rows] = hidden > 0
        code[rows] = np.maximum(hidden, 0) @ sign
    return goal - code, on


def _features(on: np.ndarray, tokens: np.ndarray, sign: np.ndarray, n_tokens: int) -> csr_matrix:
    """What each fact's code takes from each entry of the tables: (n, tokens · units), the sign of open units."""
    units, count = on.shape[1], on.sum(axis=1)
    column = np.flatnonzero(on) % units
    columns = (column + np.repeat(tokens * units, count)).astype(np.int32)
    signs, start = sign[column].astype(np.float32), np.append(0, count.cumsum())
    return csr_matrix((signs, columns, start), shape=(len(on), n_tokens * units))


def _ridge(by_a: csr_matrix, by_b: csr_matrix, right_side: np.ndarray, damping: np.float32) -> np.ndarray:
    """The weights w (n,) of (A Aᵀ + B Bᵀ + damping) w = right_side, by conjugate gradients."""
    turned, shape = (by_a.T, by_b.T), (len(right_side),) * 2
    apply = lambda w: by_a @ (turned[0] @ w) + by_b @ (turned[1] @ w) + damping * w  # noqa: E731
    gram = LinearOperator(shape, apply, dtype=right_side.dtype)
    return cg(gram, right_side, rtol=SOLVE, maxiter=MOST_STEPS)[0]  # type: ignore[no-any-return]

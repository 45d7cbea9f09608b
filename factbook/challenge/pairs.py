"""Two-token look-ups: (a, b) → label in a plain ReLU network on two-hot keys, memorised by linear systems alone.

A code of one number per fact, its label's place on a line, read out by a parabola: label v has the logit v·code − v²/2,
which is largest for the label nearest to the code. The last hidden unit is the constant that carries −v²/2.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from factbook.challenge.system import solve_code
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.support import check_integer, row_blocks, stream

BEND = 2.0  # of the labels' places in one system: logits of far labels are large, so their rounding errors are
LEAST_WIDTH = 8  # two groups of units with both signs, and the constant
START = 0.15  # spread of the weights that several systems begin from, in spreads of the labels' places
WITHIN = 0.8  # of half the distance of two labels: a code that near is read right in float32 too
SOLVE = 0.05  # relative residual at which one ridge system of many counts as solved
MOST_STEPS = 600  # of conjugate gradients in one of them
DAMPING = (1.0, 1e-6, 1e8)  # where it begins, the least, and where a system no longer helps


class PairTables(NamedTuple):
    """logits = relu(first[a] + second[b]) @ readout: (tokens, h), (tokens, h) and (h, labels), float64."""

    first: Tensor
    second: Tensor
    readout: Tensor
    systems: int  # linear systems that were solved
    n_solved: int  # numbers that came out of them


def pairs(
    facts: FactSet, width: int, seed: int, *, systems: int = 1, second: int | None = None, split: int | None = None
) -> GatedMLP:
    """W_down relu(W_gate x) on keys with a one for a token of each of two positions; values linearly independent.

    Columns of the keys up to ``split`` (default: half) are the first position's. With systems=1 one linear system is
    solved, exactly: `solve_code`, with gates drawn from ``seed`` and ``second`` units in its second group. It stores up
    to about ``width`` facts per token of the position with more tokens. A larger number is the most systems that may be
    solved, one after the other: `refine_code`, which stores about half as many facts again. (t_a + t_b + e) · width
    parameters, ungated. An unlucky draw may lose facts near the limit: try another seed.
    ValueError for keys that are no pairs and for linearly dependent values.
    """
    tokens, sizes = pairs_of(facts.keys, split)
    tables = pair_tables(
        tokens, facts.targets.cpu(), sizes, facts.n_values, width, seed=seed, systems=systems, second=second
    )
    values = facts.values.double().cpu()
    down = torch.linalg.pinv(values) @ tables.readout.T  # (e, h)
    if not torch.allclose(values @ down, tables.readout.T, rtol=1e-6, atol=1e-6 * float(tables.readout.abs().max())):
        raise ValueError(f"the {facts.n_values} values must be linearly independent for the method 'pairs'")
    gate_weight = torch.cat([tables.first, tables.second]).T
    return GatedMLP(gate_weight, None, down, gate="relu", n_solved=tables.n_solved).to(facts.keys)


def pairs_network(
    pairs: Tensor, labels: Tensor, d: int, *, seed: int = 0, systems: int = 1, second: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The challenge's E₁, E₂ (2d, d) and U (d, d), float64, for pairs (n, 2) of 2d tokens each and labels below d."""
    return pair_tables(pairs, labels, (2 * d, 2 * d), d, d, seed=seed, systems=systems, second=second)[:3]


def pair_tables(
    pairs: Tensor,
    labels: Tensor,
    sizes: tuple[int, int],
    n_labels: int,
    width: int,
    *,
    seed: int = 0,
    systems: int = 1,
    second: int | None = None,
) -> PairTables:
    """The network for pairs (n, 2) of ``sizes`` tokens and labels (n,) in [0, n_labels), of ``width`` hidden units."""
    check_integer("systems", systems)
    if width < LEAST_WIDTH:
        raise ValueError(f"the method 'pairs' needs a width of at least {LEAST_WIDTH}, got {width}")
    second = max(3, int(0.625 * width**0.5)) if second is None else second
    check_integer("second", second, width - 5)
    place = label_places(n_labels, BEND if systems == 1 else 0.0)
    generator, units = stream(seed, "weights"), width - 1
    if systems == 1:
        first, other, sign, constant = solve_code(pairs, place[labels], sizes, units, generator, second)
        used, solved = 1, (units - second) * sizes[1] + second * sizes[0]
    else:
        near = WITHIN * float(place[1] - place[0]) / 2 if n_labels > 1 else 1.0
        first, other, sign, used = refine_code(pairs, place[labels], near, sizes, units, generator, systems)
        solved, constant = units * sum(sizes), 0.0
    halves = [torch.full((size, 1), 0.5, dtype=torch.float64) for size in sizes]
    readout = torch.cat([sign[:, None] * place, (-place.square() / 2 - constant * place)[None]])
    return PairTables(torch.cat([first, halves[0]], 1), torch.cat([other, halves[1]], 1), readout, used, solved)


def label_places(n_labels: int, bend: float) -> Tensor:
    """Where labels lie on the line, t + bend·t|t| for t even in [−1, 1], scaled to a spread of 1."""
    t = torch.linspace(-1, 1, n_labels, dtype=torch.float64) if n_labels > 1 else torch.zeros(1, dtype=torch.float64)
    place = t + bend * t * t.abs()
    return place / place.square().mean().sqrt().clamp(min=1e-9)


def refine_code(
    pairs: Tensor,
    target: Tensor,
    near: float,
    sizes: tuple[int, int],
    units: int,
    generator: torch.Generator,
    systems: int,
) -> tuple[Tensor, Tensor, Tensor, int]:
    """E₁, E₂, signs and the number of systems solved, at most ``systems``, until every code is ``near`` its target.

    From small random tables. With the gates as they stand the code Σ_j sign_j relu(E₁[a, j] + E₂[b, j]) is linear in
    both tables; the step to the targets is a ridge regression (Levenberg's damping: less after a step that shortens the
    distance, four times more after one that does not), n sparse equations, conjugate gradients in float32.
    """
    a, b = (pairs[:, side].numpy() + side * sizes[0] for side in (0, 1))
    sign = np.where(np.arange(units) % 2, -1.0, 1.0)
    tables = START * torch.randn(sum(sizes), units, generator=generator, dtype=torch.float64).numpy()
    goal, (damping, least, most) = target.numpy(), DAMPING
    missed, on = _missed(tables, a, b, sign, goal)
    used = 0
    while used < systems and np.abs(missed).max() >= near and damping < most:
        by_a, by_b = (_features(on, tokens, sign, len(tables)) for tokens in (a, b))
        while used < systems and damping < most:
            weights = _ridge(by_a, by_b, missed.astype(np.float32), np.float32(damping))
            used += 1
            moved = tables + (by_a.T @ weights + by_b.T @ weights).reshape(tables.shape)
            left, open_now = _missed(moved, a, b, sign, goal)
            if left @ left < missed @ missed:
                tables, missed, on, damping = moved, left, open_now, max(damping / 3, least)
                break
            damping *= 4
    first, other = torch.from_numpy(tables).split(list(sizes))
    return first, other, torch.from_numpy(sign), used


def _missed(tables: np.ndarray, a: np.ndarray, b: np.ndarray, sign: np.ndarray, goal: np.ndarray) -> tuple:
    """target − code (n,), and which units are open (n, units)."""
    code, on = np.empty(len(a)), np.empty((len(a), len(sign)), dtype=bool)
    for rows in row_blocks(len(a), len(sign), torch.device("cpu"), entries=2**22):
        hidden = tables[a[rows]] + tables[b[rows]]
        on[rows] = hidden > 0
        code[rows] = np.maximum(hidden, 0) @ sign
    return goal - code, on


def _features(on: np.ndarray, tokens: np.ndarray, sign: np.ndarray, n_tokens: int) -> csr_matrix:
    """What each fact's code takes from each entry of the tables: (n, tokens · units), the sign of open units."""
    n, units = on.shape
    column = np.flatnonzero(on) % units
    count = on.sum(axis=1)
    columns = (column + np.repeat(tokens * units, count)).astype(np.int32)
    start = np.concatenate([[0], count.cumsum()])
    return csr_matrix((sign[column].astype(np.float32), columns, start), shape=(n, n_tokens * units))


def _ridge(by_a: csr_matrix, by_b: csr_matrix, right_side: np.ndarray, damping: np.float32) -> np.ndarray:
    """The weights w (n,) of (A Aᵀ + B Bᵀ + damping) w = right_side, by conjugate gradients."""
    turned = by_a.T, by_b.T
    solution, left, direction = np.zeros_like(right_side), right_side.copy(), right_side.copy()
    size = left @ left
    stop = SOLVE**2 * size
    for _ in range(MOST_STEPS):
        image = by_a @ (turned[0] @ direction) + by_b @ (turned[1] @ direction) + damping * direction
        pace = size / (direction @ image)
        solution += pace * direction
        left -= pace * image
        size, before = left @ left, size
        if size <= stop:
            break
        direction = left + (size / before) * direction
    return solution


def count_right(tables: Iterable[Tensor], pairs: Tensor, labels: Tensor) -> int:
    """Facts whose own logit is above every other with E₁, E₂ and U, in their dtype; a tie is a loss."""
    (first, second, readout), right = tables, 0
    for rows in row_blocks(len(labels), sum(readout.shape), pairs.device):
        logits = torch.relu(first[pairs[rows, 0]] + second[pairs[rows, 1]]) @ readout
        own = logits.gather(1, labels[rows, None])
        right += int((own > logits.scatter(1, labels[rows, None], -torch.inf).amax(1, keepdim=True)).sum())
    return right


def pairs_of(keys: Tensor, split: int | None = None) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (n, 2) and vocabulary sizes of two-hot keys (n, t_a + t_b); ValueError naming the row that is no pair."""
    split = keys.shape[1] // 2 if split is None else split
    check_integer("split", split, keys.shape[1] - 1)
    halves = keys.cpu().split([split, keys.shape[1] - split], dim=1)
    for half in halves:
        wrong = ((half != 0) & (half != 1)).any(1) | (half.sum(1) != 1)
        if wrong.any():
            raise ValueError(
                f"keys[{int(wrong.int().argmax())}] is no pair of tokens: the method 'pairs' takes keys with one 1 "
                f"among the first {split} entries, one among the others, and zeros"
            )
    return torch.stack([half.argmax(1) for half in halves], 1), (split, keys.shape[1] - split)


def pair_facts(n_facts: int, d: int, *, seed: int = 42) -> FactSet:
    """The memorisation challenge: the first n of the (2d)² shuffled pairs as two-hot keys (n, 4d), d one-hot values.

    Labels are i mod d, sorted. ValueError for more facts than pairs.
    """
    pairs, labels = drawn_pairs(n_facts, d, seed=seed)
    keys = torch.zeros(n_facts, 4 * d).scatter_(1, pairs + torch.tensor([0, 2 * d]), 1.0)
    return FactSet(keys, torch.eye(d), labels)


def drawn_pairs(n_facts: int, d: int, *, seed: int = 42) -> tuple[Tensor, Tensor]:
    """The pairs (n, 2) and labels (n,) of `pair_facts`."""
    check_integer("d", d)
    check_integer("n_facts", n_facts, 4 * d * d)
    every = torch.cartesian_prod(torch.arange(2 * d), torch.arange(2 * d))
    chosen = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))[:n_facts]]
    labels = torch.arange(n_facts) % d
    order = labels.argsort(stable=True)
    return chosen[order], labels[order]

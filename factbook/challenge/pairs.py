"""The challenge's networks: its tables by one linear system or by several, and the count of facts they keep."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from factbook.challenge.system import solve_code
from factcore.constructions.pairs import PairTables, label_places, refined_tables, with_parabola
from factcore.facts import FactSet
from factcore.support import check_integer, row_blocks, stream

BEND = 2.0  # of the labels' places in one system: logits of far labels are large, so their rounding errors are
LEAST_WIDTH = 8  # two groups of units with both signs, and the constant


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
    """The network for pairs (n, 2) of ``sizes`` tokens and labels (n,) in [0, n_labels), of ``width`` hidden units.

    With systems=1 one linear system is solved, exactly: `solve_code`, with gates drawn from ``seed`` and ``second``
    units in its second group. It stores up to about ``width`` facts per token of the position with more tokens. A
    larger number is the most systems that `factcore.constructions.pairs.refined_tables` may solve, one after the other.
    """
    check_integer("systems", systems)
    if systems > 1:
        return refined_tables(pairs, labels, sizes, n_labels, width, seed=seed, systems=systems)
    if width < LEAST_WIDTH:
        raise ValueError(f"one linear system needs a width of at least {LEAST_WIDTH}, got {width}")
    second = max(3, int(0.625 * width**0.5)) if second is None else second
    check_integer("second", second, width - 5)
    units, place = width - 1, bent_places(n_labels)
    first, other, sign, constant = solve_code(pairs, place[labels], sizes, units, stream(seed, "weights"), second)
    first, other, readout = with_parabola(first, other, sign, place)
    readout[-1] -= constant * place  # the codes lie that far above the places
    return PairTables(first, other, readout, 1, (units - second) * sizes[1] + second * sizes[0], True)


def bent_places(n_labels: int) -> Tensor:
    """Where labels lie on the line, t + `BEND` · t|t| for t even in [−1, 1], scaled to a spread of 1."""
    even = label_places(n_labels)
    t = even / even.abs().max().clamp(min=1e-9)
    place = t + BEND * t * t.abs()
    return place / place.square().mean().sqrt().clamp(min=1e-9)


def count_right(tables: Iterable[Tensor], pairs: Tensor, labels: Tensor) -> int:
    """Facts whose own logit is above every other with E₁, E₂ and U, in their dtype; a tie is a loss."""
    (first, second, readout), right = tables, 0
    for rows in row_blocks(len(labels), sum(readout.shape), pairs.device):
        logits = torch.relu(first[pairs[rows, 0]] + second[pairs[rows, 1]]) @ readout
        own = logits.gather(1, labels[rows, None])
        right += int((own > logits.scatter(1, labels[rows, None], -torch.inf).amax(1, keepdim=True)).sum())
    return right


def named_pairs(entries: Mapping[tuple[str, str], str]) -> FactSet:
    """Facts (first, second) → label with two-hot keys, firsts before seconds, and one-hot values, all with names."""
    firsts, seconds = (list(dict.fromkeys(pair[place] for pair in entries)) for place in (0, 1))
    labels, keys = sorted(set(entries.values())), torch.zeros(len(entries), len(firsts) + len(seconds))
    for row, (first, second) in enumerate(entries):
        keys[row, [firsts.index(first), len(firsts) + seconds.index(second)]] = 1
    targets = torch.tensor([labels.index(label) for label in entries.values()])
    return FactSet(keys, torch.eye(len(labels)), targets, tuple(map(" ".join, entries)), tuple(labels))

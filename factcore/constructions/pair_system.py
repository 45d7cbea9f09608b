"""A scalar code for two-token keys from one linear system: gates by one token, free numbers by the other."""

from __future__ import annotations

import torch
from torch import Tensor

FILL = 0.97  # share of the second group's unknowns that is used: the last equations make the weights large
ROUND_OFF = 1e-9  # singular values below are zero: the patterns have entries 0, 1 and -1
LIFT = 1.01  # of the largest unknown, so that a unit open by its pattern is open whatever the unknown
MOST_CODES = 12  # units up to which every on/off pattern of the second group is dealt before one comes twice


def solve_code(
    pairs: Tensor, target: Tensor, sizes: tuple[int, int], units: int, generator: torch.Generator, second: int
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Tables E₁ (tokens, units), E₂, signs (units,) and c with Σ_j sign_j relu(E₁[a, j] + E₂[b, j]) = target + c.

    ``second`` of the units are gated by b (E₂ is 0 or far below 0, E₁ unknown), the others by a, and the last term of
    both is a free number per token. A is the matrix of the first group's signed patterns and a column of ones, B that
    of the second's. On the pairs the code is linear in the unknowns, Σ_j A[a, j] y[b, j] + Σ_j B[b, j] x[a, j], and on
    all pairs these functions have dimension t_b r_A + t_a r_B − r_A r_B, r the ranks of A and B: the spaces
    R^b ⊗ span A and R^a ⊗ span B meet in span A ⊗ span B.

    Each b takes the well-conditioned directions of its own facts (SVD); what is left, above all of tokens with more
    facts than unknowns, is one dense system for x. All in float64. pairs (n, 2) int64, target (n,). ValueError where
    the tokens have more facts than the lemma has room for.
    """
    ranks = torch.tensor([units - second + 1, second + 1])
    overload = [
        int((torch.bincount(pairs[:, side], minlength=sizes[side]) - ranks[0]).clamp(min=0).sum()) for side in (0, 1)
    ]
    if overload[0] < overload[1]:  # the tokens that are spread best carry the first group's unknowns
        flipped = solve_turned(pairs.flip(1), target, sizes[::-1], units, generator, second)
        return flipped[1], flipped[0], *flipped[2:]
    return solve_turned(pairs, target, sizes, units, generator, second)


def solve_turned(
    pairs: Tensor, target: Tensor, sizes: tuple[int, int], units: int, generator: torch.Generator, second: int
) -> tuple[Tensor, Tensor, Tensor, float]:
    """`solve_code` with the first group gated by the first token."""
    load = torch.bincount(pairs[:, 1], minlength=sizes[1])
    on_a, sign = gates(sizes[0], units - second, generator)
    on_b = dealt_gates(load, second, generator)
    features_a = torch.cat([on_a * sign, torch.ones(sizes[0], 1)], 1).double()
    features_b = torch.cat([on_b, torch.ones(sizes[1], 1)], 1).double()
    x, y = solve_unknowns(pairs, target, features_a, features_b)
    # First group: lift + y is open; each token's own term and the lift's imbalance are spread over units of one sign.
    lift_y, lift_x = (LIFT * float(t[:, :-1].abs().max()) + 1e-3 for t in (y, x))
    rest = x[:, -1] - lift_y * (on_a * sign).sum(1)
    raised = on_a * (sign * rest[:, None] > 0)
    first = torch.where(on_a > 0, raised * (rest.abs() / raised.sum(1).clamp(min=1))[:, None], -4 * lift_y)
    # Second group: all signs +, so a constant makes every token's own term one that raises.
    rest = y[:, -1] - lift_x * on_b.sum(1)
    constant = float(-rest.min())
    share = (rest + constant) / on_b.sum(1)
    shut = torch.where(on_b > 0, share[:, None], -4 * lift_x)
    table_a, table_b = torch.cat([first, lift_x + x[:, :-1]], 1), torch.cat([lift_y + y[:, :-1], shut], 1)
    return table_a, table_b, torch.cat([sign, torch.ones(second)]).double(), constant


def gates(tokens: int, units: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """On/off patterns (tokens, units), about half on, and the units' signs, + and − in turn.

    A token has as many + on as −, or one more, every other token: so lifting all units shifts the code by next to
    nothing, and yet the ones are no combination of the signed patterns.
    """
    sign = 1.0 - 2.0 * (torch.arange(units) % 2)
    on = torch.zeros(tokens, units)
    minus = units // 2
    count = (torch.rand(tokens, max(1, minus - 1), generator=generator) < 0.5).sum(1).clamp(1, max(1, minus - 1))
    for start, more in ((0, torch.arange(tokens) % 2), (1, torch.zeros(tokens, dtype=torch.int64))):
        among = len(range(start, units, 2))
        rank = torch.rand(tokens, among, generator=generator).argsort(1).argsort(1)
        on[:, start::2] = (rank < (count + more)[:, None]).float()
    return on, sign


def dealt_gates(load: Tensor, units: int, generator: torch.Generator) -> Tensor:
    """A pattern (tokens, units) with a unit on for every token, none twice in a row of tokens by falling ``load``."""
    most = 2**units - 1
    if units <= MOST_CODES:
        codes = 1 + torch.randperm(most, generator=generator).repeat(-(-len(load) // most))[: len(load)]
    else:
        codes = torch.randint(1, most + 1, (len(load),), generator=generator)
    on = torch.empty(len(load), units)
    on[load.argsort(descending=True)] = (codes[:, None] >> torch.arange(units) & 1).float()
    return on


def solve_unknowns(pairs: Tensor, target: Tensor, features_a: Tensor, features_b: Tensor) -> tuple[Tensor, Tensor]:
    """x (a's tokens, r_B) and y (b's tokens, r_A) with ⟨A[a], y[b]⟩ + ⟨B[b], x[a]⟩ = target for every pair (a, b).

    The smallest x, in the least squares sense, that leaves each b a well-conditioned system for its y.
    """
    (tokens_a, rank), (tokens_b, other) = features_a.shape, features_b.shape
    order = pairs[:, 1].argsort(stable=True)
    parts = order.split(torch.bincount(pairs[:, 1], minlength=tokens_b).tolist())
    bases, values = [], []
    for rows in parts:
        left, value, right = torch.linalg.svd(features_a[pairs[rows, 0]], full_matrices=True)
        values.append(torch.cat([value, value.new_zeros(len(rows) - len(value))]))
        bases.append((left, right))
    spectrum, room = torch.cat(values).sort().values, (tokens_a - rank) * other
    missing = int((spectrum < ROUND_OFF).sum())
    if missing > room:
        raise ValueError(
            f"{len(pairs)} facts leave {missing} equations to the second group, which has room for {room}: "
            "allow more width, or more than one system"
        )
    kept = max(missing, int(FILL * room))
    cut = float(spectrum[kept]) if kept < len(spectrum) else torch.inf
    cut = max(cut, ROUND_OFF)
    rows_left, right_side = [], []
    for token, (rows, (left, _), value) in enumerate(zip(parts, bases, values)):
        weak = left[:, value < cut]  # (facts of b, equations left)
        spread = target.new_zeros(weak.shape[1], tokens_a)
        spread[:, pairs[rows, 0]] = weak.T
        rows_left.append((spread[:, :, None] * features_b[token]).flatten(1))
        right_side.append(weak.T @ target[rows])
    x = smallest_solution(torch.cat(rows_left), torch.cat(right_side)).view(tokens_a, other)
    y = target.new_zeros(tokens_b, rank)
    for token, (rows, (left, right), value) in enumerate(zip(parts, bases, values)):
        strong = int((value >= cut).sum())
        rest = target[rows] - x[pairs[rows, 0]] @ features_b[token]
        y[token] = (left[:, :strong].T @ rest / value[:strong]) @ right[:strong]
    return x, y


def smallest_solution(matrix: Tensor, right_side: Tensor) -> Tensor:
    """The shortest x with matrix @ x = right_side, by the normal equations and a step of refinement."""
    if not len(matrix):
        return matrix.new_zeros(matrix.shape[1])
    gram = matrix @ matrix.T
    gram.diagonal().add_(1e-13 * gram.diagonal().max())
    factor, x = torch.linalg.cholesky(gram), matrix.new_zeros(matrix.shape[1])
    for _ in range(3):
        x += matrix.T @ torch.cholesky_solve((right_side - matrix @ x)[:, None], factor)[:, 0]
    return x

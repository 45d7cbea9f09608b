"""A scalar code for two-token keys from one linear system: gates by one token, free numbers by the other."""

import torch
from torch import Tensor

FILL = 0.97  # share of the second group's unknowns that is used: the last equations make the weights large
ROUND_OFF = 1e-9  # singular values below are zero: the patterns have entries 0, 1 and -1
LIFT = 1.01  # of the largest unknown, so that a unit open by its pattern is open whatever the unknown
BOTH_SIGNS = 8  # units from which the second group has both signs, too


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
    load, few = torch.bincount(pairs[:, 1], minlength=sizes[1]), second < BOTH_SIGNS
    on_a, sign_a = gates(sizes[0], units - second, generator, uneven=few)
    on_b, sign_b = dealt_gates(load, second, generator) if few else gates(sizes[1], second, generator)
    features_a, features_b = (on_a * sign_a).double(), (on_b * sign_b).double()
    if few:
        features_a, features_b = (torch.cat([f, f.new_ones(len(f), 1)], 1) for f in (features_a, features_b))
    x, y = solve_unknowns(pairs, target, features_a, features_b)
    own_a, own_b = (t[:, size:].sum(1) for t, size in ((x, second), (y, units - second)))
    x, y = x[:, :second], y[:, : units - second]
    lift_x, lift_y = (LIFT * (-t).clamp(min=1e-3).amax(1, keepdim=True) for t in (x, y))  # what keeps units open
    constant = 0.0
    if few:
        lift_x, lift_y = lift_x.amax(0).expand_as(lift_x), lift_y.amax(0).expand_as(lift_y)
        rest_a, rest_b = own_a - lift_y[0] * (on_a @ sign_a), own_b - lift_x[0] * on_b.sum(1)
        constant = -float(rest_b.min())  # all signs +: only a constant makes every rest one that raises
    else:
        rest_a, rest_b = -lift_x[:, 0], -lift_y[:, 0]  # every pattern has one + more than −
    open_a, open_b = lift_x + x, lift_y + y
    table_a = torch.cat([raised(on_a, sign_a, rest_a, -2 * float(open_b.max())), open_a], 1)
    table_b = torch.cat([open_b, raised(on_b, sign_b, rest_b + constant, -2 * float(open_a.max()))], 1)
    return table_a, table_b, torch.cat([sign_a, sign_b]).double(), constant


def raised(on: Tensor, sign: Tensor, rest: Tensor, shut: float) -> Tensor:
    """Gate entries: ``shut`` where off, and on the units on that have the sign of ``rest`` (tokens,), a share of it."""
    takes = on * (sign * rest[:, None] > 0)
    share = rest.abs() / takes.sum(1).clamp(min=1)
    return torch.where(on > 0, takes * share[:, None], shut).double()


def gates(tokens: int, units: int, generator: torch.Generator, *, uneven: bool = False) -> tuple[Tensor, Tensor]:
    """On/off patterns (tokens, units), about half on, and the units' signs, + and − in turn.

    Every token has one more + than − on: what lifts all units of a token alike shifts its codes alike. With ``uneven``
    every other token has as many of both, so that the ones are no combination of the signed patterns.
    """
    sign, minus = 1.0 - 2.0 * (torch.arange(units) % 2), units // 2
    most = max(1, minus - 1)
    count = (torch.rand(tokens, most, generator=generator) < 0.5).sum(1).clamp(1, most)
    more = torch.arange(tokens) % 2 if uneven else torch.ones(tokens, dtype=torch.int64)
    on = torch.zeros(tokens, units)
    for start, number in ((0, count + more), (1, count)):
        rank = torch.rand(tokens, (units - start + 1) // 2, generator=generator).argsort(1).argsort(1)
        on[:, start::2] = (rank < number[:, None]).float()
    return on, sign


def dealt_gates(load: Tensor, units: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Patterns (tokens, units) with a unit on for every token, and signs, all +.

    Every pattern is dealt before one comes twice, in the order of falling ``load``: overloaded tokens share few.
    """
    most = 2**units - 1
    codes = 1 + torch.randperm(most, generator=generator).repeat(-(-len(load) // most))[: len(load)]
    on = torch.empty(len(load), units)
    on[load.argsort(descending=True)] = (codes[:, None] >> torch.arange(units) & 1).float()
    return on, torch.ones(units)


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
    spectrum, room = torch.cat(values).sort().values, max(0, tokens_a - rank) * other
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

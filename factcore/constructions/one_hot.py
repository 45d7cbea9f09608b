"""The naive memory: hidden units that fire for one key alone, d + e + 1 parameters each."""

import torch
from torch import Tensor

from factcore.constructions.decoder import choose_codes
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GatedMLP
from factcore.support import row_blocks, stream

CANDIDATE_DIRECTIONS = 16  # random directions tried for a slab around a key; the widest slab wins
LEAST_GAP = 1e-4  # of the largest score: below that a threshold drowns in the rounding of float32


def one_hot(facts: FactSet, width: int | None, seed: int) -> GatedMLP:
    """g(x) = Σ_i u_f(i) 1[x is near k_i]: per key step units, closed form; u, the separator, certified convex.

    A key that is the first of all in its own direction a_i = k_i − mean, as every key on a sphere is, takes one unit
    1[⟨a_i, x⟩ > t_i]. Another takes two, the slab 1[⟨g_i, x⟩ > s_i] − 1[⟨g_i, x⟩ > t_i] that holds no other key, g_i
    the best of a few drawn directions. Every threshold halves a gap between two keys. n₁ keys of the first kind and n₂
    of the second take h = n₁ + 2n₂ units, (d + e + 1) h parameters; equal keys count as one. ``width`` is an upper
    bound for h, which the keys alone decide: ValueError when it is smaller.
    """
    keys, rows = distinct_keys(facts)
    weight, threshold, sign, key = _groups(keys, stream(seed, "weights"))
    if width is not None and width < len(weight):
        raise ValueError(f"width {width} is too small: the {len(keys)} distinct keys need {len(weight)} units")
    outputs = choose_codes(facts, "separators", facts.e, seed).outputs[facts.targets[rows]]  # (n', e)
    down = (sign[:, None] * outputs[key]).T
    return GatedMLP(weight, None, down, gate="step", gate_bias=-threshold).to(facts.keys.dtype)


def _groups(keys: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per unit its direction (h, d), threshold, sign ±1 and key: it adds sign · (output of key) above the threshold."""
    if len(keys) == 1:  # its unit is open everywhere
        one = keys.new_ones(1)
        return torch.zeros_like(keys), -one, one, one.long() - 1
    own = torch.nn.functional.normalize(keys - keys.mean(dim=0), dim=1)
    top = (own * keys).sum(dim=1)
    others = []  # the largest ⟨a_i, k_j⟩ with j ≠ i
    for rows in row_blocks(len(keys), len(keys), keys.device):
        at = torch.arange(rows.start, rows.stop, device=keys.device)[:, None]
        others.append((own[rows] @ keys.T).scatter_(1, at, -torch.inf).amax(dim=1))
    runner_up = torch.cat(others)
    first = top - runner_up > LEAST_GAP * keys.norm(dim=1).amax()
    alone, rest = first.nonzero().flatten(), (~first).nonzero().flatten()
    direction, lower, upper = _slabs(keys, rest, generator)
    return (
        torch.cat([own[alone], direction, direction]),
        torch.cat([(top + runner_up)[alone] / 2, lower, upper]),
        torch.cat([keys.new_ones(len(alone) + len(rest)), -keys.new_ones(len(rest))]),
        torch.cat([alone, rest, rest]),
    )


def _slabs(keys: Tensor, rest: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """For every key in ``rest`` a direction (r, d) and the ends (r,), (r,) of a slab that holds no other key."""
    directions = torch.randn(keys.shape[1], CANDIDATE_DIRECTIONS, generator=generator, dtype=torch.float64).to(keys)
    directions /= directions.norm(dim=0)
    scores, order = (keys @ directions).sort(dim=0)
    margin = 2 * keys.norm(dim=1).amax()  # beyond the outermost keys
    edge = torch.cat([scores[:1] - margin, (scores[1:] + scores[:-1]) / 2, scores[-1:] + margin])
    place = order.argsort(dim=0)[rest]  # (r, candidates): where a key stands along a direction
    lower, upper, middle = edge.gather(0, place), edge.gather(0, place + 1), scores.gather(0, place)
    best = torch.minimum(upper - middle, middle - lower).argmax(dim=1, keepdim=True)
    return directions.T[best[:, 0]], lower.gather(1, best)[:, 0], upper.gather(1, best)[:, 0]

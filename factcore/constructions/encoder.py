"""Encoders: one gated hidden layer with enc(k_i) = c_i, solved for (paper section 4, encoder).

All return the hidden layer alone, with the code coordinate that each unit adds to; the decoder makes that a down
projection.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from factcore.mlp import GATES, GatedMLP
from factcore.support import check_choice

CANDIDATE_DIRECTIONS = 16  # random directions tried for the buckets; the one with the widest gaps at the cuts wins
SLACK, CALM = 2, 0.95  # keys by which a cut may leave its equal share; more while buckets stay below CALM · rank
FILLS = (1.0, 1.0, 0.95, 0.9, 0.8, 0.65, 0.5)  # bucket fills tried in turn, each with a fresh random cut
MANY = 256  # buckets from which on one cut without a choice would fall between keys that no gate tells apart
RANDOM_GATE_SCALE = 4.0  # spread of ⟨g, x⟩ in standard deviations: a saturated gate conditions the solve better


class Encoder(NamedTuple):
    """enc(x)_c = Σ over the units j with ``coordinate[j] == c`` of σ(⟨gate_weight_j, x⟩ + gate_bias_j) ⟨up_j, x⟩."""

    gate_weight: Tensor  # (h, d)
    gate_bias: Tensor | None  # (h,)
    up: Tensor  # (h, d)
    coordinate: Tensor  # (h,) int64
    gate: str
    n_solved: int

    def followed_by(self, projection: Tensor) -> GatedMLP:
        """D enc(x), with D the ``projection`` (e, m)."""
        down = projection[:, self.coordinate]
        solved = self.n_solved + projection.numel()  # D counts, though a random one would follow from the seed
        return GatedMLP(self.gate_weight, self.up, down, gate=self.gate, gate_bias=self.gate_bias, n_solved=solved)


class Buckets(NamedTuple):
    """Keys sorted along ``direction`` and cut: bucket b holds ``order[starts[b]:starts[b + 1]]``."""

    direction: Tensor  # (d,)
    order: Tensor  # (n,) int64
    starts: list[int]  # n_buckets + 1 positions
    below: Tensor  # (n_buckets − 1,) ⟨direction, k⟩ of the last key before each cut
    above: Tensor  # (n_buckets − 1,) and of the first key after it


def key_rank(keys: Tensor) -> int:
    """Dimensions that the keys span: as many fit into one linear system. Below d for embeddings that were centred."""
    n, d = keys.shape
    return max(1, int(torch.linalg.matrix_rank(keys.double(), rtol=1e-7))) if n > d else d


def n_buckets(n_keys: int, rank: int, fill: float = 1.0) -> int:
    """⌈n / (fill · rank)⌉: buckets of at most fill·rank keys, one linear system each; rank = d for generic keys."""
    if not 0 < fill <= 1:
        raise ValueError(f"fill must lie in (0, 1], got {fill}")
    return math.ceil(n_keys / max(1, int(fill * rank)))


def fills(n_keys: int, rank: int, width: int | None = None) -> tuple[float, ...]:
    """`FILLS`; from `MANY` buckets on no full ones, where cuts gain a choice and no ``width`` is given."""
    many = width is None and n_buckets(n_keys, rank) > MANY
    return FILLS[2:] if many and rank - int(CALM * rank) >= 2 * SLACK else FILLS


def cut_into_buckets(keys: Tensor, generator: torch.Generator, *, fill: float = 1.0) -> Buckets:
    """Random buckets of at most fill·rank keys (from `MANY` on a few more), cut where neighbours lie farthest apart.

    A gate must tell the keys beside a cut apart along the random direction: of `CANDIDATE_DIRECTIONS` the one with the
    largest smallest gap is kept. Nearly square buckets are equally full: a key or two fewer condition far better.
    """
    (n, d), rank = keys.shape, key_rank(keys)
    equal = -(-n // (count := n_buckets(n, rank, fill)))
    least = min(rank, equal + 2 * SLACK) if count > MANY else 1
    size = max(least, min(int(fill * rank), max(equal + 2 * SLACK, int(CALM * rank))))
    slack = (size - equal) // min(2, count - 1 or 1)  # a cut may move by that: no bucket overflows
    directions = torch.randn(d, CANDIDATE_DIRECTIONS, generator=generator, dtype=torch.float64).to(keys)
    directions /= directions.norm(dim=0)
    sorted_scores, orders = (keys @ directions).sort(dim=0)
    middle = torch.arange(1, count, device=keys.device)[:, None] * n // count
    places = middle + torch.arange(-slack, slack + 1, device=keys.device)  # (cuts, places that a cut may take)
    gaps, chosen = (sorted_scores[places] - sorted_scores[places - 1]).max(dim=1)  # (cuts, candidates)
    best = int(gaps.amin(dim=0).argmax()) if count > 1 else 0
    cuts, scores = places.gather(1, chosen[:, best, None])[:, 0], sorted_scores[:, best]
    return Buckets(directions[:, best], orders[:, best], [0, *cuts.tolist(), n], scores[cuts - 1], scores[cuts])


def encode_with_buckets(
    keys: Tensor, codes: Tensor, generator: torch.Generator, *, gate: str = "step", fill: float = 1.0
) -> Encoder:
    """The bucket gadget: h = m·⌈n/d⌉ units (twice that with ``gate="relu"``), O(nd² + ndm) work.

    Bucket b solves S_b k_i = c_i for its own keys. Step gates 1[⟨g, x⟩ > t_b] open one after another, so unit b carries
    a_b = S_b − S_{b−1} and the open units add up to S_b. With ``gate="relu"`` a step becomes a ramp over the gap at the
    cut, the difference of two ReLUs. keys (n, d) distinct and codes (n, m), both float64.
    """
    d, m = keys.shape[1], codes.shape[1]
    buckets = cut_into_buckets(keys, generator, fill=fill)
    solutions = _solve_buckets(keys, codes, buckets)  # (B, m, d)
    steps = torch.cat([solutions[:1], solutions.diff(dim=0)])
    n_solved, count = steps.numel() + len(buckets.below), len(steps)
    weight, offset = buckets.direction.expand(count - 1, d), -(buckets.below + buckets.above) / 2
    if gate == "relu":
        width = buckets.above - buckets.below
        weight = (weight / width[:, None]).repeat(2, 1)
        offset = torch.cat([-buckets.below / width, -buckets.above / width])
        steps = torch.cat([steps, -steps[1:]])
    elif gate != "step":
        raise ValueError(f"the bucket encoder has gates 'step' and 'relu', got {gate!r}")
    weight = torch.cat([keys.new_zeros(1, d), weight])  # the first bucket's gate is always open
    bias = torch.cat([keys.new_ones(1), offset])
    weight, bias = (per_bucket.repeat_interleave(m, dim=0) for per_bucket in (weight, bias))
    coordinate = torch.arange(m, device=keys.device).repeat(len(steps))
    return Encoder(weight, bias, steps.reshape(-1, d), coordinate, gate, n_solved)


def encode_with_random_gates(
    keys: Tensor, codes: Tensor, generator: torch.Generator, *, gate: str = "silu", fill: float = 1.0
) -> Encoder:
    """Random gates: with G drawn at random, enc(k_i) = c_i is linear in A; the smallest A is taken, float64.

    p = ⌈n / (fill·d)⌉ gates of m units each, h = m·p; more while the n equations are dependent (a ReLU or step is shut
    for half of the keys). One n × pd system: O(n³), n up to 10⁴. keys (n, d) distinct and codes (n, m), both float64.
    """
    (n, d), m = keys.shape, codes.shape[1]
    check_choice("gate", gate, GATES)
    least = n_buckets(n, key_rank(keys), fill)
    most = 2 * least + 8
    scale = RANDOM_GATE_SCALE / keys.norm(dim=1).mean()
    gates = scale * torch.randn(most, d, generator=generator, dtype=torch.float64).to(keys)
    for count in range(least, most + 1):
        opened = GATES[gate](keys @ gates[:count].T)  # (n, p)
        features = (opened[:, :, None] * keys[:, None, :]).reshape(n, count * d)
        up = smallest_solution(features, codes)  # (pd, m)
        residual = (features @ up - codes).abs().amax() / codes.abs().amax()
        if residual < 1e-6:
            break
    else:
        what = f"{most} random {gate!r} gates leave the {n} equations dependent (residual {float(residual):.1e})"
        raise ValueError(f"{what}: use another gate ('silu') or encoder='buckets'")
    up = up.reshape(count, d, m).transpose(1, 2).reshape(count * m, d)
    coordinate = torch.arange(m, device=keys.device).repeat(count)
    return Encoder(gates[:count].repeat_interleave(m, dim=0), None, up, coordinate, gate, up.numel())


def smallest_solution(rows: Tensor, targets: Tensor) -> Tensor:
    """The X of least norm with rows @ X = targets, for (…, s, d) rows, s ≤ d, full rank or zero. QR, refined once."""
    q, r = torch.linalg.qr(rows.mT)  # (…, d, s), (…, s, s)
    r = r + torch.diag_embed((rows == 0).all(dim=-1).to(rows.dtype))
    solution = q @ torch.linalg.solve_triangular(r.mT, targets, upper=False)
    return solution + q @ torch.linalg.solve_triangular(r.mT, targets - rows @ solution, upper=False)  # type: ignore[no-any-return]


def _solve_buckets(keys: Tensor, codes: Tensor, buckets: Buckets) -> Tensor:
    """S_b (B, m, d): the smallest matrix with S_b k_i = c_i for every key of bucket b."""
    sizes = torch.tensor(buckets.starts, device=keys.device).diff()
    slot = torch.arange(int(sizes.max()), device=keys.device)
    index = (torch.tensor(buckets.starts[:-1], device=keys.device)[:, None] + slot).clamp_max(len(keys) - 1)
    member = (slot < sizes[:, None])[..., None]  # (B, s, 1)
    parts = zip(buckets.order[index].split(16), member.split(16))
    return torch.cat([smallest_solution(keys[r] * keep, codes[r] * keep).mT for r, keep in parts])

"""Is a memory usable by attention: how noisy the keys are that reach it, and how much noise it takes.

Angles are in degrees, between a vector and the key it stands for; keys are taken to the other vector along the sphere.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from factcore.facts import FactSet
from factcore.scoring import decode
from factcore.support import check_integer, stream
from factcore.transformer import FactTransformer, asked, recall_batch

BATCH = 512  # sequences drawn at once


class Arrivals(NamedTuple):
    """What reaches the MLP of many sequences: inputs (s, d), the keys asked for (s,), and whether each got through."""

    inputs: Tensor
    keys: Tensor
    through: Tensor


@torch.no_grad()
def arrivals(model: FactTransformer, *, samples: int = 4096, seed: int = 0) -> Arrivals:
    """MLP inputs of fresh sequences; one *gets through* when, of all keys, the one asked for is nearest by angle.

    What does not get through attention, no memory that decodes to the nearest key can answer.
    """
    generator = stream(seed, "evaluation")
    parts = []
    check_integer("samples", samples)
    for at in range(0, samples, BATCH):  # the same on every device: a batch of another size draws other sequences
        size = min(BATCH, samples - at)
        tokens = recall_batch(model.n_facts, size, generator, model.head.device, **model.task)
        inputs, keys = model.mlp_input(tokens), asked(tokens, model.n_facts)
        nearest = (inputs @ model.embedding[: model.n_facts].T).argmax(dim=1)
        parts.append((inputs, keys, nearest == keys))
    return Arrivals(*(torch.cat(part) for part in zip(*parts)))


@torch.no_grad()
def attention_noise(model: FactTransformer, *, samples: int = 2048, seed: int = 0) -> Tensor:
    """Angles (samples,) between the MLP's input and the key that the sequence asks for."""
    arrived = arrivals(model, samples=samples, seed=seed)
    # by the chord: acos of a cosine near 1 would round small angles
    chord = (normalize(arrived.inputs, dim=1) - normalize(model.embedding[arrived.keys], dim=1)).norm(dim=1)
    return 2 * torch.rad2deg((chord / 2).clamp(max=1).asin())


@torch.no_grad()
def kept(mlp: nn.Module, facts: FactSet, arrived: Arrivals) -> float:
    """Share of the sequences that got through attention whose value ``mlp`` then decodes; NaN where none did."""
    right = decode(mlp, arrived.inputs, facts.values) == facts.targets[arrived.keys]
    return float(right[arrived.through].double().mean())


def tilt(keys: Tensor, degrees: float | Tensor, generator: torch.Generator) -> Tensor:
    """Each key (n, d) turned by ``degrees`` (a number or (n,)) towards a random direction; its norm stays."""
    return turn(keys, random_directions(keys, generator), degrees)


def random_directions(keys: Tensor, generator: torch.Generator) -> Tensor:
    """One direction per key (n, d): unit vectors, uniform among those orthogonal to the key."""
    return normalize(_aside(torch.randn(keys.shape, generator=generator, dtype=torch.float64).to(keys), keys), dim=1)


def turn(keys: Tensor, directions: Tensor, degrees: float | Tensor) -> Tensor:
    """Each key (n, d) turned by ``degrees`` (a number or (n,)) towards a unit vector (n, d) orthogonal to it."""
    size = keys.norm(dim=1, keepdim=True)
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=keys.dtype, device=keys.device)).reshape(-1, 1)
    return size * (angle.cos() * (keys / size) + angle.sin() * directions)


def _aside(vectors: Tensor, keys: Tensor) -> Tensor:
    """The part of each vector (n, d) that is orthogonal to the key in its row."""
    along = keys / keys.norm(dim=1, keepdim=True)
    return vectors - (vectors * along).sum(dim=1, keepdim=True) * along


def worst_directions(mlp: nn.Module, facts: FactSet, *, rivals: int = 8) -> Tensor:
    """Per key the direction (n, d) in which, to first order, it is lost soonest: unit vectors orthogonal to the keys.

    Of the ``rivals`` values that come closest at the key, the one that takes over first as the gap falls along its
    gradient. Kinks of the gates, and what bends further out, are not seen.
    """
    keys, right = facts.keys, facts.targets[:, None]
    outputs, pull, *_ = torch.func.vjp(mlp, keys)  # u → Jᵀu at every key
    scores = (outputs @ facts.values.T).detach()
    gaps = (scores.gather(1, right) - scores).scatter(1, right, torch.inf)  # (n, v)
    closest = gaps.topk(min(rivals, facts.n_values - 1), dim=1, largest=False).indices
    soonest, worst = keys.new_full((len(keys),), torch.inf), torch.zeros_like(keys)
    for rival in closest.T:
        slope = _aside(pull(facts.values[rival] - facts.values[facts.targets])[0].detach(), keys)
        needed = gaps.gather(1, rival[:, None])[:, 0] / slope.norm(dim=1)
        worst = torch.where((needed < soonest)[:, None], normalize(slope, dim=1), worst)
        soonest = needed.minimum(soonest)
    return worst


@torch.no_grad()
def noise_floor(
    mlp: nn.Module, facts: FactSet, directions: Tensor, *, target_recall: float = 0.99, rounds: int = 12
) -> float:
    """Largest noise at which recall is still ``target_recall``: the L2 error of the query over the norm of its key.

    Queries are the keys turned towards each of their ``directions`` (draws, n, d), so they keep the keys' norms, as
    after the norm before an MLP; a turn by θ is a noise of 2 sin(θ / 2). Bisection in [0, √2], a right angle, to
    √2/2^rounds; 0 where recall falls short without noise. ValueError for directions of another shape.
    """
    if directions.ndim != 3 or directions.shape[1:] != facts.keys.shape:
        raise ValueError(f"directions must be (draws, {len(facts)}, {facts.d}), got {tuple(directions.shape)}")

    def survives(noise: float) -> bool:
        degrees = math.degrees(2 * math.asin(noise / 2))
        right = [decode(mlp, turn(facts.keys, aside, degrees), facts.values) == facts.targets for aside in directions]
        return float(torch.stack(right).double().mean()) >= target_recall

    low, high = 0.0, 2**0.5
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if survives(middle) else (low, middle)
    return low


def noisy_copies(facts: FactSet, degrees: float, copies: int, *, seed: int = 0) -> FactSet:
    """The facts and ``copies`` tilted copies of each, with the same values: stored together, they make room for noise.

    Any construction that stores the result also stores ``facts``. ValueError for copies < 1 and degrees outside
    (0, 90).
    """
    check_integer("copies", copies)
    if not 0 < degrees < 90:
        raise ValueError(f"degrees must lie in (0, 90), got {degrees!r}")
    generator = stream(seed, "noise")
    keys = [facts.keys, *(tilt(facts.keys, degrees, generator) for _ in range(copies))]
    return FactSet(torch.cat(keys), facts.values, facts.targets.repeat(copies + 1))


@torch.no_grad()
def noise_tolerance(mlp: nn.Module, facts: FactSet, *, directions: int = 16, rounds: int = 10, seed: int = 0) -> Tensor:
    """Per key the largest angle (n,) up to which it still decodes, in the worst of ``directions`` random directions.

    Bisection along each direction, to 90/2^rounds degrees, for all keys at once; 0 where the key itself is lost. An
    upper estimate: other directions, or a loss that heals further out, may be worse (see
    `transformer.certified_tolerance`).
    """
    worst = torch.full((len(facts),), 90.0).to(facts.keys)
    held = decode(mlp, facts.keys, facts.values) == facts.targets
    for direction in range(directions):
        low, high = torch.zeros_like(worst), worst.clone()
        for halving in range(rounds):
            middle = high if halving == 0 else (low + high) / 2
            generator = stream(seed + direction, "noise")  # the same at every angle
            right = decode(mlp, tilt(facts.keys, middle, generator), facts.values) == facts.targets
            low, high = torch.where(right, middle, low), torch.where(right, high, middle)
        worst = low
    return worst.where(held, 0.0)

"""Encoders: exact at the keys, cut where the gaps are widest, smallest solutions."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from factcore.constructions.encoder import _widest_cuts as widest_cuts
from factcore.constructions.encoder import (
    cut_into_buckets,
    encode_by_gradient,
    encode_with_buckets,
    encode_with_random_gates,
    n_buckets,
    smallest_solution,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n, d, m, seed=0):
    g = generator(seed)
    keys = torch.randn(n, d, generator=g, dtype=torch.float64)
    return keys, torch.randn(n, m, generator=g, dtype=torch.float64)


def encode(encoder, keys):
    """The encoder by its defining sum, written with numpy and apart from the module."""
    arguments = keys.numpy() @ encoder.gate_weight.numpy().T
    if encoder.gate_bias is not None:
        arguments = arguments + encoder.gate_bias.numpy()
    gates = {
        "step": lambda z: 1.0 * (z > 0),
        "relu": lambda z: np.maximum(z, 0),
        "silu": lambda z: z / (1 + np.exp(-z)),
        "identity": lambda z: z,
    }[encoder.gate](arguments)
    hidden = gates * (keys.numpy() @ encoder.up.numpy().T)
    out = np.zeros((len(keys), int(encoder.coordinate.max()) + 1))
    for unit, coordinate in enumerate(encoder.coordinate.tolist()):
        out[:, coordinate] += hidden[:, unit]
    return torch.from_numpy(out)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 60), d=st.integers(2, 12), m=st.integers(1, 5), seed=st.integers(0, 50))
def test_step_buckets_hit_every_code(n, d, m, seed):
    keys, codes = problem(n, d, m, seed)
    encoder = encode_with_buckets(keys, codes, generator(seed))
    assert len(encoder.up) == m * -(-n // d), "h = m * ceil(n / d)"
    torch.testing.assert_close(encode(encoder, keys), codes, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fill", [1.0, 0.7])
def test_relu_buckets_hit_every_code(fill):
    keys, codes = problem(100, 16, 3)
    encoder = encode_with_buckets(keys, codes, generator(), gate="relu", fill=fill)
    assert len(encoder.up) == 3 * (2 * n_buckets(100, 16, fill) - 1)
    torch.testing.assert_close(encode(encoder, keys), codes, rtol=0, atol=1e-7)


@pytest.mark.parametrize("gate", ["silu", "relu", "step", "identity"])
def test_random_gates_hit_every_code(gate):
    keys, codes = problem(100, 16, 3)
    encoder = encode_with_random_gates(keys, codes, generator(), gate=gate)
    torch.testing.assert_close(encode(encoder, keys), codes, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fill, units, error", [(0.5, 4, 1e-6), (1.0, 2, 0.3)])
def test_gradient_steps_meet_the_codes_the_closer_the_more_room_they_have(fill, units, error):
    keys, codes = problem(48, 12, 2)
    keys /= keys.norm(dim=1, keepdim=True)
    encoder = encode_by_gradient(keys, codes, generator(), fill=fill)
    assert len(encoder.up) == 2 * units and encoder.n_solved == 2 * 2 * units * 12
    met = encode(encoder, keys)
    assert float((met - codes).norm() / codes.norm()) < error


def test_random_gates_give_up_with_a_reason():
    keys, codes = problem(64, 2, 1)  # quadratic forms of R^2 have 3 dimensions, 64 codes cannot fit
    with pytest.raises(ValueError, match="random 'identity' gates do not separate the 64 keys"):
        encode_with_random_gates(keys, codes, generator(), gate="identity")


def test_unknown_gates():
    keys, codes = problem(8, 2, 1)
    with pytest.raises(ValueError, match="bucket encoder has gates 'step' and 'relu', got 'tanh'"):
        encode_with_buckets(keys, codes, generator(), gate="tanh")
    with pytest.raises(ValueError, match="gate must be one of"):
        encode_with_random_gates(keys, codes, generator(), gate="tanh")


def test_buckets_partition_the_keys_along_a_line():
    keys, _ = problem(103, 8, 1)
    buckets = cut_into_buckets(keys, generator())
    assert sorted(buckets.order.tolist()) == list(range(103))
    assert len(buckets.starts) == 1 + n_buckets(103, 8)
    assert np.diff(buckets.starts).max() <= 8 and np.diff(buckets.starts).min() >= 1
    scores = (keys @ buckets.direction)[buckets.order]
    assert (scores.diff() >= 0).all() and (buckets.above > buckets.below).all()


@settings(deadline=None, max_examples=60)
@given(gaps=st.lists(st.integers(0, 9), min_size=1, max_size=9), size=st.integers(1, 6))
def test_cuts_are_the_widest_by_brute_force(gaps, size):
    n = len(gaps) + 1
    count = -(-n // size)
    cuts = widest_cuts(torch.tensor(gaps, dtype=torch.float64), size, count)
    legal = [
        choice for choice in itertools.combinations(range(1, n), count - 1) if np.diff([0, *choice, n]).max() <= size
    ]
    widest = max(min((gaps[c - 1] for c in choice), default=0) for choice in legal)
    assert len(cuts) <= count - 1 and np.diff([0, *cuts, n]).max() <= size
    assert min((gaps[c - 1] for c in cuts), default=0) == widest or len(cuts) < count - 1


@pytest.mark.parametrize("s, d", [(1, 1), (3, 3), (4, 9)])
def test_smallest_solution_against_the_pseudoinverse(s, d):
    draw = lambda *shape: torch.randn(*shape, generator=generator(s), dtype=torch.float64)  # noqa: E731
    rows, targets = draw(5, s, d), draw(5, s, 2)
    rows[0, -1], targets[0, -1] = 0, 0  # padding asks for nothing
    expected = torch.linalg.pinv(rows) @ targets
    torch.testing.assert_close(smallest_solution(rows, targets), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("fill", [0, 1.5])
def test_fill_must_be_a_share(fill):
    with pytest.raises(ValueError, match="fill must lie in"):
        n_buckets(10, 4, fill)

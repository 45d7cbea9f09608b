"""Encoders: exact at the keys, cut where the gaps are widest, smallest solutions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from factcore.constructions.encoder import (
    cut_into_buckets,
    encode_with_buckets,
    encode_with_random_gates,
    fills,
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


def test_random_gates_give_up_with_a_reason():
    keys, codes = problem(64, 2, 1)  # quadratic forms of R^2 have 3 dimensions, 64 codes cannot fit
    with pytest.raises(ValueError, match="random 'identity' gates leave the 64 equations dependent"):
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
    assert max(abs(start - 103 * b / 13) for b, start in enumerate(buckets.starts)) <= 1, "about equally full"
    scores = (keys @ buckets.direction)[buckets.order]
    assert (scores.diff() >= 0).all() and (buckets.above > buckets.below).all()


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


def test_hundreds_of_cuts_each_have_a_choice_and_no_bucket_overflows():
    """The smallest of n gaps shrinks like 1/n²: cut without a choice, float32 gates would open for the wrong keys."""
    n, d = 40_000, 128
    keys = torch.nn.functional.normalize(torch.randn(n, d, generator=generator()), dim=1)
    (first, *_) = fills(n, d)
    assert first < 1 and fills(n // 2, d)[0] == 1 and fills(300 * 8, 8)[0] == 1
    buckets = cut_into_buckets(keys, generator(), fill=first)
    sizes = torch.tensor(buckets.starts).diff()
    assert len(sizes) == n_buckets(n, d, first) and int(sizes.max()) <= d and int(sizes.min()) < int(sizes.max())
    sorted_scores = (keys @ buckets.direction).sort().values
    equal = torch.arange(1, len(sizes)) * n // len(sizes)  # the cuts that leave no choice
    chosen = (buckets.above - buckets.below).amin()
    assert chosen > 10 * (sorted_scores[equal] - sorted_scores[equal - 1]).amin() and chosen > 2 * 2**-24

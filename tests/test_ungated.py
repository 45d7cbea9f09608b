"""The encoder-decoder as a plain ReLU MLP: exact at the keys, fewer parameters, clear refusals."""

import numpy as np
import pytest
import torch
from factcore.ungated import append_one, plain_relu_mlp, ungate
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore.constructions.encoder import encode_with_buckets


def problem(n, d, m, seed=0):
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(n, d, generator=generator, dtype=torch.float64)
    codes = torch.randn(n, m, generator=generator, dtype=torch.float64)
    projection = torch.randn(d, m, generator=generator, dtype=torch.float64)
    return keys, codes, projection, generator


def by_numpy(mlp, x):
    """W₂ relu(W₁ x + b), apart from the module."""
    before = x.numpy() @ mlp.gate_weight.numpy().T + mlp.gate_bias.numpy()
    return np.maximum(before, 0) @ mlp.down.numpy().T


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 60), d=st.integers(2, 12), m=st.integers(1, 5), seed=st.integers(0, 50))
def test_every_code_is_met(n, d, m, seed):
    keys, codes, projection, generator = problem(n, d, m, seed)
    mlp = plain_relu_mlp(keys, codes, projection, generator, fill=1.0)
    assert mlp.width == (m + 1) * -(-n // (d + 1)) and mlp.up is None and mlp.gate == "relu"
    assert mlp.n_params == (2 * d + 1) * mlp.width
    wanted = codes @ projection.T
    np.testing.assert_allclose(by_numpy(mlp, keys), wanted.numpy(), atol=1e-4 * float(wanted.abs().max()))


def test_away_from_the_cuts_it_is_the_gated_network():
    """relu(s z + a) − relu(s z) is 1[z > 0] a wherever s z outweighs a: at the keys, and near them."""
    keys, codes, projection, generator = problem(60, 10, 3)
    affine = append_one(keys)
    hidden = encode_with_buckets(affine, codes, generator, fill=0.8)
    plain = ungate(hidden, affine, projection)
    gated = fc.GatedMLP(
        hidden.gate_weight, hidden.up, projection[:, hidden.coordinate], gate="step", gate_bias=hidden.gate_bias
    )
    torch.testing.assert_close(plain(keys), gated(affine), atol=1e-8, rtol=1e-8)
    nudged = keys + 1e-6 * torch.randn(keys.shape, generator=generator, dtype=torch.float64)
    there = torch.cat([nudged, affine[:, -1:]], dim=1)
    torch.testing.assert_close(plain(nudged), gated(there), atol=1e-7, rtol=1e-7)
    middle = (keys[:30] + keys[30:]) / 2  # elsewhere a key may fall between the two kinks
    assert (plain(middle) - gated(torch.cat([middle, affine[:30, -1:]], dim=1))).abs().max() > 1e-3


def test_the_constant_coordinate():
    keys = torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)
    assert append_one(keys)[:, 2].tolist() == [3.0, 3.0]
    assert append_one(torch.zeros(1, 2)).tolist() == [[0, 0, 1]]


@settings(deadline=None, max_examples=8)
@given(n=st.integers(1, 40), d=st.integers(3, 12), seed=st.integers(0, 20))
def test_everything_is_stored_whatever_the_sizes(n, d, seed):
    facts = fc.spherical_facts(n, d, seed=seed, dtype=torch.float64)
    mlp = fc.construct(facts, form="relu", seed=seed)
    scores = by_numpy(mlp, facts.keys) @ facts.values.numpy().T
    np.testing.assert_array_equal(scores.argmax(axis=1), facts.targets.numpy())


def test_a_zero_key_has_an_output_of_its_own():
    facts = fc.spherical_facts(20, 6, dtype=torch.float64)
    keys = facts.keys.clone()
    keys[4] = 0
    facts = fc.FactSet(keys, facts.values, facts.targets)
    assert fc.recall(fc.construct(facts, form="relu"), facts) == 1.0
    with pytest.raises(ValueError, match="facts are lost"):
        fc.construct(facts)  # gates alone map 0 to 0


def test_fewer_parameters_than_gated_and_exact_in_float32():
    facts = fc.spherical_facts(512, 64, seed=1)
    plain, gated = fc.construct(facts, form="relu", code_dim=20), fc.construct(facts, code_dim=20)
    assert fc.recall(plain, facts) == 1.0 and plain.gate_weight.dtype == torch.float32
    assert plain.n_params < 0.85 * gated.n_params


def test_widths():
    facts = fc.spherical_facts(100, 16, dtype=torch.float64)
    units = 6  # ceil(100 / 17)
    assert fc.construct(facts, form="relu", width=50, strict=False).width == units * (7 + 1)
    assert fc.construct(facts, form="relu", width=500).width == units * (16 + 1), "a code has at most d numbers"
    with pytest.raises(ValueError, match="need 6 hidden units per code coordinate, so at least 12"):
        fc.construct(facts, form="relu", width=11)
    found = fc.smallest_width(facts, form="relu")
    assert found.recall == 1.0 and found.width % units == 0
    assert found.width < fc.smallest_width(facts).width + 2 * units


def test_lipschitz_counts_the_kinks_out():
    facts = fc.spherical_facts(40, 8, dtype=torch.float64)
    mlp = fc.construct(facts, form="relu")
    steepest = 0.0
    for key in facts.keys:
        opened = (mlp.gate_weight @ key + mlp.gate_bias > 0).double()
        steepest = max(steepest, float(torch.linalg.matrix_norm((mlp.down * opened) @ mlp.gate_weight, 2)))
    assert fc.lipschitz(mlp, facts) == pytest.approx(steepest)


def test_the_module_without_gates(tmp_path):
    mlp = fc.construct(fc.spherical_facts(30, 8), form="relu")
    assert set(mlp.state_dict()) == {"gate_weight", "gate_bias", "down"}
    assert "ungated" in repr(mlp) and mlp(torch.zeros(2, 3, 8)).shape == (2, 3, 8)
    with pytest.raises(ValueError, match="takes inputs of size 8, got 3"):
        mlp(torch.zeros(1, 3))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"form": "flat"}, "form must be one of .*'gated', 'relu'.* got 'flat'"),
        ({"form": "relu", "encoder": "random-gates"}, "form='relu' rewrites the step-gated buckets"),
        ({"form": "relu", "gate": "relu"}, "form='relu' rewrites the step-gated buckets"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(10, 4), **options)

"""Recall, margins and Lipschitz constants against their definitions."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 30), v=st.integers(1, 20), d=st.integers(2, 6), seed=st.integers(0, 30))
def test_margins_by_their_definition(n, v, d, seed):
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    matrix = torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    outputs = (facts.keys @ matrix.T).numpy()
    values = facts.values.numpy()
    plain, normalised = np.full(n, np.inf), np.full(n, np.inf)
    for i, target in enumerate(facts.targets.tolist()):
        for j in range(v):
            if j != target:
                difference = values[target] - values[j]
                score = outputs[i] @ difference
                plain[i] = min(plain[i], score)
                normalised[i] = min(normalised[i], score / np.linalg.norm(outputs[i]) / np.linalg.norm(difference))
    mlp = lambda x: x @ matrix.T  # noqa: E731
    np.testing.assert_allclose(fc.margins(mlp, facts), plain, atol=1e-10)
    np.testing.assert_allclose(fc.margins(mlp, facts, normalised=True), normalised, atol=1e-6)
    assert fc.recall(mlp, facts) == (plain > 0).mean()


def test_blocks_do_not_matter(monkeypatch):
    facts = fc.spherical_facts(37, 8)
    mlp = fc.construct(facts)
    whole = fc.margins(mlp, facts)
    monkeypatch.setattr("factcore.support.blocks.block_size", lambda *_, **__: 3)
    torch.testing.assert_close(fc.margins(mlp, facts), whole)


def test_a_tie_is_wrong():
    values = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    facts = fc.FactSet(torch.eye(2), values, torch.tensor([0, 2]))
    assert fc.recall(lambda x: x, facts) == 0.5


def test_nan_outputs_are_wrong():
    facts = fc.spherical_facts(4, 3)
    assert fc.recall(lambda x: x * float("nan"), facts) == 0.0


def test_decode_gives_the_targets_when_all_is_stored():
    facts = fc.spherical_facts(40, 8)
    assert torch.equal(fc.decode(fc.construct(facts), facts.keys, facts.values), facts.targets)


def test_lipschitz_of_a_linear_map_is_its_norm():
    facts = fc.spherical_facts(5, 4, dtype=torch.float64)
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert fc.lipschitz(lambda x: x @ matrix.T, facts) == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)))


def test_lipschitz_of_step_gates_by_finite_differences():
    facts = fc.spherical_facts(12, 4, dtype=torch.float64)
    mlp = fc.construct(facts)
    steepest, step = 0.0, 1e-7
    for key in facts.keys:
        columns = [(mlp(key + step * e) - mlp(key - step * e)) / (2 * step) for e in torch.eye(4, dtype=torch.float64)]
        steepest = max(steepest, float(torch.linalg.matrix_norm(torch.stack(columns, dim=1), 2)))
    assert fc.lipschitz(mlp, facts) == pytest.approx(steepest, rel=1e-5)


def exact_margin(output, target, values):
    """min over j of ⟨g, v_t − v_j⟩ / (‖g‖ ‖v_t − v_j‖) with differences in fractions, rounded once."""
    g, found = [Fraction(x) for x in output], math.inf
    g = [float(x / max(map(abs, g))) for x in g]
    for j, value in enumerate(values):
        if j == target:
            continue
        z = [Fraction(a) - Fraction(b) for a, b in zip(values[target], value)]
        largest = max(map(abs, z))
        if largest == 0:
            found = min(found, 0.0)  # two equal values
            continue
        z = [float(part / largest) for part in z]
        found = min(found, sum(a * b for a, b in zip(g, z)) / math.hypot(*g) / math.hypot(*z))
    return found


@settings(deadline=None, max_examples=80)
@given(
    v=st.integers(2, 8),
    d=st.integers(2, 5),
    seed=st.integers(0, 10**6),
    size=st.floats(-37, 37),
    of_outputs=st.floats(-37, 37),
    offset=st.sampled_from([0.0, 1.0, 1e3, 1e5, 1e7]),
    spread=st.sampled_from([1.0, 1e-3]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_normalised_margins_at_any_scale_and_offset_by_fractions(v, d, seed, size, of_outputs, offset, spread, dtype):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    scale = 10.0 ** (size - max(0.0, math.log10(offset + 10)) * (size > 0))
    values = (scale * (offset + spread * draw(v, d))).to(dtype)
    outputs = (10.0**of_outputs * draw(v, d)).to(dtype)
    facts = fc.FactSet(torch.eye(v, dtype=dtype), values, torch.arange(v))
    found = fc.margins(lambda x: x @ outputs, facts, normalised=True)
    expected = [exact_margin(outputs[i].tolist(), i, values.tolist()) for i in range(v)]
    assert (found.abs() <= 1).all()
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=1e-6)


def test_values_an_eighth_apart_at_a_thousand():
    """|a|² + |b|² − 2ab in float32 has lost these differences, and once gave margins of 1.5e37."""
    values = 1000 + 0.125 * torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    facts = fc.FactSet(torch.eye(4), values, torch.arange(4))
    outputs = 8 * (values - 1000)
    found = fc.margins(lambda x: x @ outputs, facts, normalised=True)
    torch.testing.assert_close(found, torch.full((4,), 0.5**0.5))

"""The naive memory: every unit group fires for its key alone, whatever the keys."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 60), d=st.integers(1, 8), seed=st.integers(0, 30), spread=st.sampled_from([0.0, 1.0, 3.0]))
def test_keys_of_any_norm_are_stored(n, d, seed, spread):
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(n, d, generator=generator, dtype=torch.float64)
    keys *= torch.exp(spread * torch.randn(n, 1, generator=generator, dtype=torch.float64))
    d_values = max(d, 2)  # on a line only two values have a separator
    angles = torch.arange(max(n, 3), dtype=torch.float64) / max(n, 3) * 2 * torch.pi
    values = torch.zeros(len(angles), d_values, dtype=torch.float64)
    values[:, 0], values[:, 1] = angles.cos(), angles.sin()
    keys = torch.nn.functional.pad(keys, (0, d_values - d))
    facts = fc.FactSet(keys, values, torch.randperm(n, generator=generator))
    mlp = fc.construct(facts, "one-hot", seed=seed)
    assert fc.recall(mlp, facts) == 1.0 and n <= mlp.width <= 2 * n
    assert mlp.n_params == (2 * d_values + 1) * mlp.width == mlp.n_solved


def test_the_output_at_a_key_is_its_separator_and_zero_far_away():
    facts = fc.spherical_facts(50, 16, dtype=torch.float64)
    mlp = fc.construct(facts, "one-hot")
    separators = fc.decodability(facts.values, tol=1e-3).separators[facts.targets]
    outputs = mlp(facts.keys)
    torch.testing.assert_close(outputs.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert ((outputs * separators).sum(dim=1) > 0.9).all(), "any two directions with a clear margin are near"
    centre = facts.keys.mean(dim=0)
    assert mlp.width == 50 and float(mlp(centre).norm()) == 0, "no unit is open among all keys"
    open_units = (facts.keys @ mlp.gate_weight.T + mlp.gate_bias > 0).sum(dim=1)
    assert (open_units == 1).all()


def test_a_key_inside_the_hull_takes_a_slab():
    square = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [0.1, 0.2]], dtype=torch.float64)
    values = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [0, 1], [-1, -1], [-1, 1], [1, -1]]).double(), dim=1)
    facts = fc.FactSet(square, values, torch.arange(5))
    mlp = fc.construct(facts, "one-hot")
    assert mlp.width == 6 and fc.recall(mlp, facts) == 1.0
    torch.testing.assert_close(mlp.down[:, 4], -mlp.down[:, 5], msg="a slab opens and closes")


def test_parameters_at_1024_facts_and_no_search_over_widths():
    facts = fc.spherical_facts(1024, 64)
    found = fc.smallest_width(facts, "one-hot")
    assert (found.width, found.n_params, found.recall, len(found.trials)) == (1024, 129 * 1024, 1.0, 1)


def test_repeated_keys_count_once_and_equal_seeds_agree():
    facts = fc.spherical_facts(40, 8, n_values=10)
    twice = fc.FactSet(facts.keys.repeat(2, 1), facts.values, facts.targets.repeat(2))
    mlp = fc.construct(twice, "one-hot", seed=3)
    assert mlp.width == 40 and fc.recall(mlp, twice) == 1.0
    again = fc.construct(twice, "one-hot", seed=3)
    assert all(torch.equal(a, b) for a, b in zip(mlp.parameters(), again.parameters()))


def test_refusals():
    facts = fc.spherical_facts(20, 8)
    assert fc.construct(facts, "one-hot", width=25).width == 20
    with pytest.raises(ValueError, match="width 19 is too small: the 20 distinct keys need 20 units"):
        fc.construct(facts, "one-hot", width=19)
    keys = facts.keys.clone()
    keys[7], at = keys[3], keys[3].abs().argmin()
    keys[7, at] = torch.nextafter(keys[3, at], torch.tensor(1.0))  # less than an inner product resolves
    with pytest.raises(ValueError, match=r"of 20 facts are lost at .*, the first in row [37]: .* nearly coincide"):
        fc.construct(fc.FactSet(keys, facts.values, facts.targets), "one-hot")
    values = facts.values.clone()
    values[5] = values.mean(dim=0)
    with pytest.raises(ValueError, match=r"the first is values\[5\]"):
        fc.construct(fc.FactSet(facts.keys, values, facts.targets), "one-hot")


def test_a_shift_of_all_keys_costs_no_units():
    facts = fc.spherical_facts(50, 16, dtype=torch.float64)
    shifted = fc.FactSet(facts.keys + 2, facts.values, facts.targets)
    assert fc.construct(shifted, "one-hot").width == 50
    assert fc.recall(fc.construct(shifted, "one-hot"), shifted) == 1.0

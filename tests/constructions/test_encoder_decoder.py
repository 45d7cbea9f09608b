"""`encoder-decoder`: everything stored, at the promised width; clear refusals otherwise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc


def brute_force_recall(mlp, facts):
    """Recall by its definition, one key at a time, in numpy."""
    right = 0
    outputs, values = mlp(facts.keys).numpy(), facts.values.numpy()
    for output, target in zip(outputs, facts.targets.tolist()):
        scores = values @ output
        right += bool((np.delete(scores, target) < scores[target]).all())
    return right / len(facts)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 60), d=st.integers(3, 12), v=st.integers(1, 40), seed=st.integers(0, 20))
def test_everything_is_stored_whatever_the_sizes(n, d, v, seed):
    facts = fc.spherical_facts(n, d, n_values=v, seed=seed, dtype=torch.float64)
    assert brute_force_recall(fc.construct(facts, seed=seed), facts) == 1.0


@pytest.mark.parametrize("codes", ["separators", "projected"])
@pytest.mark.parametrize(
    "layer", [{}, {"gate": "relu"}, {"encoder": "random-gates"}, {"encoder": "random-gates", "gate": "relu"}]
)
def test_every_variant_stores_everything(codes, layer):
    facts = fc.spherical_facts(200, 32, seed=1)
    mlp = fc.construct(facts, codes=codes, **layer)
    assert fc.recall(mlp, facts) == brute_force_recall(mlp, facts) == 1.0
    assert all(w.dtype == torch.float32 and not w.requires_grad for w in mlp.parameters())


def test_the_promised_size_at_1024_facts():
    facts = fc.spherical_facts(1024, 64)
    mlp = fc.construct(facts)
    assert fc.recall(mlp, facts) == 1.0
    assert 3 * 64 * mlp.width <= 66_000 and mlp.width % 16 == 0
    assert mlp.n_params == sum(w.numel() for w in mlp.parameters()) == (3 * 64 + 1) * mlp.width
    assert mlp.n_solved < mlp.n_params / 2


def test_many_keys_to_one_value_and_repeated_facts():
    facts = fc.spherical_facts(120, 16, n_values=5)
    again = fc.FactSet(
        torch.cat([facts.keys, facts.keys[:30]]), facts.values, torch.cat([facts.targets, facts.targets[:30]])
    )
    assert fc.recall(fc.construct(again), again) == 1.0


def test_values_that_no_key_uses_may_lie_inside_the_hull():
    facts = fc.spherical_facts(20, 8, dtype=torch.float64)
    inside = torch.cat([facts.values, facts.values.mean(dim=0, keepdim=True)])
    assert fc.recall(fc.construct(fc.FactSet(facts.keys, inside, facts.targets)), facts) == 1.0


def test_the_same_seed_gives_the_same_network():
    facts = fc.spherical_facts(100, 16)
    one, two, other = (fc.construct(facts, seed=s) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert not torch.equal(one.gate_weight, other.gate_weight)


def test_rank_deficient_keys_get_smaller_buckets():
    facts = fc.spherical_facts(90, 16, dtype=torch.float64)
    flat = torch.cat([facts.keys[:, :13], torch.zeros(90, 3, dtype=torch.float64)], dim=1)
    flat = fc.FactSet(flat, facts.values, facts.targets)
    mlp = fc.construct(flat)
    assert fc.recall(mlp, flat) == 1.0 and mlp.width % 7 == 0, "ceil(90 / 13) = 7 buckets"


def test_a_short_code_is_refused_or_built_on_request():
    facts = fc.spherical_facts(300, 32)
    with pytest.raises(ValueError, match=r"\d+ of 300 facts are lost at width 30, the first in row \d+; allow more"):
        fc.construct(facts, code_dim=3)
    assert 0 < fc.recall(fc.construct(facts, code_dim=3, strict=False), facts) < 1


def test_values_inside_the_hull_are_named():
    facts = fc.spherical_facts(20, 8, dtype=torch.float64)
    values = facts.values.clone()
    values[7] = torch.cat([values[:7], values[8:]]).mean(dim=0)
    with pytest.raises(ValueError, match=r"the first is values\[7\]: it lies in .* the convex hull"):
        fc.construct(fc.FactSet(facts.keys, values, facts.targets))


def test_keys_that_cannot_be_told_apart_are_named():
    facts = fc.spherical_facts(40, 8)
    keys = facts.keys.clone()
    keys[1:6] = 2 ** torch.arange(1, 6)[:, None] * keys[0]  # parallel: any linear map makes their codes parallel
    with pytest.raises(ValueError, match=r"of 40 facts are lost .* keys\[[0-5]\] and keys\[[0-5]\] nearly coincide"):
        fc.construct(fc.FactSet(keys, facts.values, facts.targets))


def test_width_is_an_upper_bound():
    facts = fc.spherical_facts(100, 16)
    assert fc.construct(facts, width=150).width == 7 * 16
    assert fc.construct(facts, width=100).width == 7 * (100 // 7)
    with pytest.raises(ValueError, match="width 6 is too small: 100 keys in d = 16 need 7 hidden units"):
        fc.construct(facts, width=6)
    with pytest.raises(ValueError, match="width 50 is too small: .* so at least 70"):
        fc.construct(facts, width=50, code_dim=10)


@pytest.mark.parametrize(
    "call, message",
    [
        ({"codes": "best"}, "codes must be one of"),
        ({"encoder": "trees"}, "encoder must be one of .*'buckets', 'random-gates'.* got 'trees'"),
        ({"gate": "tanh"}, "bucket encoder has gates"),
        ({"fill": 2.0}, "fill must lie in"),
        ({"encoder": "random-gates", "fill": 1.5}, "fill must lie in"),
        ({"code_dim": 9}, "code_dim must be an integer from 1 to 8, got 9"),
        ({"code_dim": 0}, "code_dim must be an integer"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(20, 8), **call)


def test_a_width_of_full_buckets_is_wide_enough_where_buckets_are_many():
    facts = fc.spherical_facts(15_800, 61, n_values=4)
    full = 2 * -(-15_800 // 61)
    assert fc.construct(facts, width=full, code_dim=2, strict=False).width == full
    assert fc.construct(facts, code_dim=2, strict=False).width > full  # left to itself it makes room

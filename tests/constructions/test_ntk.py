"""The averaged update of Nichani et al., fact by fact."""

import pytest
import torch

import factcore as fc


@pytest.mark.parametrize("gate, opening", [("identity", lambda z: z), ("relu", lambda z: z.clamp(min=0))])
def test_ntk_is_the_averaged_update(gate, opening):
    facts = fc.spherical_facts(30, 64, dtype=torch.float64)
    mlp = fc.construct(facts, "ntk", width=500, strict=False, gate=gate)
    by_hand = torch.zeros(500, 64, dtype=torch.float64)
    for key, target in zip(facts.keys, facts.targets):
        opened = mlp.gate_weight @ key
        by_hand += torch.outer(opened * (mlp.down.T @ facts.values[target]), key) / 500
    torch.testing.assert_close(mlp.up, by_hand)
    outputs = (opening(facts.keys @ mlp.gate_weight.T) * (facts.keys @ by_hand.T)) @ mlp.down.T
    torch.testing.assert_close(mlp(facts.keys), outputs)
    assert fc.recall(fc.construct(facts, "ntk", gate=gate), facts) == 1.0


def test_another_gate_is_named():
    with pytest.raises(ValueError, match="gate must be one of"):
        fc.construct(fc.spherical_facts(8, 8), "ntk", width=8, gate="silu")


def test_ntk_at_1024_facts_within_700_000_parameters():
    facts = fc.spherical_facts(1024, 64)
    found = fc.smallest_width(facts, "ntk", resolution=0.1)
    assert found.n_params <= 700_000 and found.recall == 1.0


def test_directions_have_norm_1_and_gates_meet_a_standard_normal():
    facts = fc.spherical_facts(200, 32, dtype=torch.float64)
    long = fc.FactSet(7 * facts.keys, facts.values, facts.targets)
    mlp = fc.construct(long, "ntk", width=400, strict=False)
    torch.testing.assert_close(mlp.down.norm(dim=0), torch.ones(400, dtype=torch.float64))
    spread = (long.keys @ mlp.gate_weight.T).square().mean()
    assert abs(float(spread) - 1) < 0.05  # 80,000 products of 32 · 400 draws

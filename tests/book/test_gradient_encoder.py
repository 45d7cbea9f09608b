"""The encoder by gradient steps: closer to its codes the more room it has, in half the units of the closed forms."""

import pytest
import torch

import factcore as fc
from factbook.gradient_encoder import encode_by_gradient, gradient_encoder_decoder


@pytest.mark.parametrize("fill, units, error", [(0.5, 4, 1e-6), (1.0, 2, 0.3)])
def test_gradient_steps_meet_the_codes_the_closer_the_more_room_they_have(fill, units, error):
    draw = torch.Generator().manual_seed(0)
    keys, codes = (torch.randn(48, width, generator=draw, dtype=torch.float64) for width in (12, 2))
    keys /= keys.norm(dim=1, keepdim=True)
    encoder = encode_by_gradient(keys, codes, draw, fill=fill)
    assert len(encoder.up) == 2 * units and encoder.n_solved == 2 * 2 * units * 12
    hidden = (keys @ encoder.gate_weight.T) * (keys @ encoder.up.T)
    met = torch.stack([hidden[:, encoder.coordinate == c].sum(dim=1) for c in range(2)], dim=1)
    assert float((met - codes).norm() / codes.norm()) < error


def test_it_needs_half_the_units():
    facts = fc.spherical_facts(60, 16, seed=1)
    closed = fc.construct(facts, code_dim=6)
    mlp = gradient_encoder_decoder(facts, 6)
    assert mlp.gate == "identity" and 2 * mlp.width == closed.width == 6 * 4
    assert fc.recall(mlp, facts) > 0.9

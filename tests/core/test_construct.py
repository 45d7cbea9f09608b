"""construct and the network it returns: plain torch, refusals by name."""

import pytest
import torch

import factcore as fc


def test_facts_must_be_a_fact_set():
    with pytest.raises(ValueError, match="facts must be a FactSet, got Tensor"):
        fc.construct(torch.zeros(2, 2))


def test_the_module_is_plain_torch(tmp_path):
    facts = fc.spherical_facts(50, 16)
    mlp = fc.construct(facts)
    batch = facts.keys.reshape(5, 10, 16)
    torch.testing.assert_close(mlp(batch).reshape(50, 16), mlp(facts.keys))
    torch.save(mlp.state_dict(), tmp_path / "mlp.pt")
    assert set(torch.load(tmp_path / "mlp.pt", weights_only=True)) == {"gate_weight", "gate_bias", "up", "down"}
    with pytest.raises(ValueError, match="takes inputs of size 16, got 3"):
        mlp(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="gate must be one of"):
        fc.GatedMLP(mlp.gate_weight, mlp.up, mlp.down, gate="swish")


@pytest.mark.parametrize(
    "call, message",
    [
        ({"method": "magic"}, "method must be one of .*'encoder-decoder'.*got 'magic'"),
        ({"width": 0}, "width must be a positive integer"),
        ({"width": True}, "width must be a positive integer"),
        ({"width": 2.5}, "width must be a positive integer"),
        ({"seed": -1}, "seed must be an integer from 0"),
        ({"seed": 10**20}, "seed must be an integer from 0"),
        ({"widht": 3}, "has no option 'widht'; it has"),
        ({"method": "ntk", "degree": 2}, "has no option 'degree'"),
        ({"form": "relu"}, "has no option 'form'"),
        ({"progress": False}, "has no option 'progress'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(20, 8), **call)


def test_short_dtypes_do_not_make_distant_keys_twins():
    """In bfloat16 a short code may be lost to rounding; that is told, and no two keys are said to coincide."""
    facts = fc.spherical_facts(40, 16).to(dtype=torch.bfloat16)
    with pytest.raises(
        ValueError, match="facts are lost at width .*; allow more width, or convert the facts from torch.bf"
    ):
        fc.construct(facts)

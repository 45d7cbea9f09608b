"""What is proved of an MLP, against directions that are tried, closed forms and the rounding of its own dtype."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook.noise import tilt
from factcore import transformer as tf


def small(n=24, d=16, seed=0, dtype=torch.float64, **options):
    return fc.spherical_facts(n, d, seed=seed, dtype=dtype, **options)


@pytest.mark.parametrize(
    "method, options",
    [
        ("encoder-decoder", {}),
        ("encoder-decoder", {"gate": "relu", "fill": 0.5}),
        ("encoder-decoder", {"encoder": "random-gates", "fill": 0.5}),
        ("block-convex", {"width": 8}),
    ],
)
def test_what_is_certified_holds_in_every_direction_that_is_tried(method, options):
    facts = small(32, 8)
    mlp = fc.construct(facts, method, **options)
    proved = tf.certified_tolerance(mlp, facts)
    # the ends of a ReLU's ramp stand at keys: nothing can be proved for those
    assert (proved >= 0).all() and (proved > 0).double().mean() > (0.3 if options.get("gate") == "relu" else 0.99)
    for seed in range(200):
        x = tilt(facts.keys, proved * 0.999, torch.Generator().manual_seed(seed + 7))
        assert (fc.decode(mlp, x, facts.values) == facts.targets).all()


def linear(gains, gate="step"):
    """x → gains ⊙ x as a network whose gates are open everywhere."""
    d, gains = len(gains), torch.tensor(gains, dtype=torch.float64)
    shut = torch.zeros(d, d, dtype=torch.float64)
    return fc.GatedMLP(shut, torch.eye(d).double(), gains.diag(), gate=gate, gate_bias=torch.ones(d).double())


@settings(deadline=None, max_examples=60)
@given(decades=st.floats(0, 20), degrees=st.floats(0.1, 59), gate=st.sampled_from(["step", "relu", "identity", "silu"]))
def test_a_faint_output_counts_as_much_as_a_strong_one(decades, degrees, gate):
    """Values told apart by the second output alone: sign(x₂) decides, however small its gain beside the first's."""
    key = torch.tensor([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]], dtype=torch.float64)
    facts = fc.FactSet(key, torch.tensor([[0.0, 1.0], [0.0, -1.0]]).double(), torch.tensor([0]))
    proved = float(tf.certified_tolerance(linear([1.0, 10.0**-decades], gate), facts))
    assert 0 < proved <= degrees * (1 + 1e-9)


def test_gains_of_1_and_1e_13():
    key = torch.tensor([[0.995, 0.0995]], dtype=torch.float64)
    facts = fc.FactSet(key, torch.tensor([[0.0, 1.0], [0.0, -1.0]]).double(), torch.tensor([0]))
    mlp = linear([1.0, 1e-13])
    across = torch.tensor([[0.995, -1e-9]], dtype=torch.float64)  # 5.7° away
    assert int(fc.decode(mlp, across, facts.values)) == 1
    assert 3 < float(tf.certified_tolerance(mlp, facts)) < 5.72


@settings(deadline=None, max_examples=30)
@given(gap=st.floats(1, 40), seed=st.integers(0, 99))
def test_in_the_plane_the_identity_takes_no_more_than_half_the_angle_to_the_next_key(gap, seed):
    turn = 360 * torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    angles = torch.deg2rad(turn + torch.tensor([0.0, gap], dtype=torch.float64))
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    proved = tf.certified_tolerance(linear([1.0, 1.0]), fc.FactSet(keys, keys, torch.arange(2)))
    # the ball of radius r about the key touches the border at r = sin(gap / 2), whose chord is taken for an angle
    chord = 2 * math.degrees(math.asin(math.sin(math.radians(gap / 2)) / 2))
    torch.testing.assert_close(proved, torch.full((2,), chord, dtype=torch.float64), rtol=1e-9, atol=0)
    assert chord <= gap / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_key_that_its_own_dtype_loses_is_certified_nothing(dtype):
    """Exactly, both keys decode; in the dtype of the network the two scores of the second are one number."""
    eps = torch.finfo(dtype).eps
    keys = torch.tensor([[1.0, 0.5], [1.0, eps / 8]], dtype=dtype)
    facts = fc.FactSet(keys, torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=dtype), torch.tensor([0, 0]))
    mlp = linear([1.0, 1.0]).to(dtype)
    assert fc.margins(mlp, facts)[1] == 0 < float(keys[1, 1])
    proved = tf.certified_tolerance(mlp, facts)
    assert proved[0] > 1 and proved[1] == 0
    # the same facts in float64, as `certified_recall` hands them on: the network's dtype decides
    assert tf.certified_tolerance(mlp, facts.to(dtype=torch.float64))[1] == 0
    assert tf.certified_tolerance(mlp.double(), facts.to(dtype=torch.float64))[1] > 0


def test_lost_keys_are_certified_nothing():
    facts = small()
    mlp = fc.construct(facts)
    wrong = fc.FactSet(facts.keys, facts.values, facts.targets.roll(1))
    assert (tf.certified_tolerance(mlp, facts) > 0).all() and (tf.certified_tolerance(mlp, wrong) == 0).all()


def test_keys_and_values_of_different_dimension():
    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(20, width, generator=generator, dtype=torch.float64) for width in (8, 5))
    facts = fc.FactSet(keys, values, torch.arange(20))
    mlp = fc.construct(facts, encoder="random-gates", fill=0.5)
    proved = tf.certified_tolerance(mlp, facts)
    assert (proved > 0).all()
    for seed in range(100):
        x = tilt(keys, proved * 0.999, torch.Generator().manual_seed(seed))
        assert (fc.decode(mlp, x, values) == facts.targets).all()


def test_networks_it_has_no_bound_for_are_refused():
    facts = small()
    plain = fc.construct(facts, "one-hot")
    for network in (plain, torch.nn.Identity()):
        with pytest.raises(ValueError, match="certificate needs a GatedMLP with an up projection"):
            tf.certified_tolerance(network, facts)

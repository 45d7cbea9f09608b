"""Noise at the keys: how much attention leaves, how much a memory takes, and how steep it is there."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook import noise as us
from factbook.steepness import lipschitz_at_keys
from factcore import transformer as tf
from factcore.support.streams import stream


def small(n=24, d=16, seed=0, dtype=torch.float32):
    return fc.spherical_facts(n, d, seed=seed, dtype=dtype)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: us.noisy_copies(f, 100.0, 2), "degrees"),
        (lambda f: us.noise_floor(torch.nn.Identity(), f, f.keys), r"\(draws, 24, 16\), got \(24, 16\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(small())


@settings(deadline=None, max_examples=20)
@given(degrees=st.floats(0, 90), seed=st.integers(0, 20))
def test_tilt_keeps_the_norm_and_turns_by_the_angle(degrees, seed):
    keys = 3 * small(dtype=torch.float64).keys
    turned = us.tilt(keys, degrees, torch.Generator().manual_seed(seed + 7))  # small() draws from 0
    torch.testing.assert_close(turned.norm(dim=1), keys.norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity(turned, keys)
    torch.testing.assert_close(cosine, torch.full_like(cosine, math.cos(math.radians(degrees))), atol=1e-9, rtol=0)


def test_the_tolerance_of_the_identity_in_the_plane_is_half_the_angle_between_neighbours():
    angles = torch.tensor([0.0, 40.0, 100.0, 180.0, 270.0], dtype=torch.float64).deg2rad()
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    facts = fc.FactSet(keys, keys, torch.arange(5))
    found = us.noise_tolerance(torch.nn.Identity(), facts, directions=12, rounds=16)  # both sides are among 12
    expected = torch.tensor([20.0, 20.0, 30.0, 40.0, 45.0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_the_noise_floor_of_the_identity_in_the_plane_by_its_angles():
    angles = torch.tensor([0.0, 40.0, 100.0, 180.0, 265.0], dtype=torch.float64).deg2rad()
    keys = torch.stack([angles.cos(), angles.sin()], dim=1)
    facts, identity = fc.FactSet(keys, keys, torch.arange(5)), torch.nn.Identity()
    chord = lambda degrees: 2 * math.sin(math.radians(degrees) / 2)  # noqa: E731
    worst = us.worst_directions(identity, facts)  # towards the nearer neighbour
    left = torch.stack([-angles.sin(), angles.cos()], dim=1)
    torch.testing.assert_close((worst * left).sum(dim=1), torch.tensor([1.0, -1, -1, -1, -1], dtype=torch.float64))
    floor = lambda directions, share: us.noise_floor(identity, facts, directions, target_recall=share)  # noqa: E731
    assert floor(worst[None], 1.0) == pytest.approx(chord(20), abs=1e-3)
    assert floor(worst[None], 0.6) == pytest.approx(chord(30), abs=1e-3)  # two of five are lost beyond 20 degrees
    both = torch.stack([left, -left])
    assert floor(both, 0.8) == pytest.approx(chord(30), abs=1e-3)
    scaled = fc.FactSet(5 * keys, keys, torch.arange(5))
    assert us.noise_floor(identity, scaled, both, target_recall=1.0) == pytest.approx(chord(20), abs=1e-3)
    assert us.noise_floor(identity, fc.FactSet(keys, keys, torch.arange(5).roll(1)), both) == 0


@pytest.mark.parametrize("method", ["hebbian", "encoder-decoder"])
def test_no_random_direction_loses_a_key_sooner_to_first_order(method):
    facts = small(20, 6, dtype=torch.float64)
    mlp = fc.construct(facts, method, **({} if method == "hebbian" else {"encoder": "random-gates", "fill": 0.5}))
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))(facts.keys)  # (n, d, d)
    pulls = (facts.values[facts.targets][:, None] - facts.values) @ jacobian  # (n, v, d): gradient of every gap
    gaps = (mlp(facts.keys)[:, None] * (facts.values[facts.targets][:, None] - facts.values)).sum(dim=2)
    gaps = gaps.scatter(1, facts.targets[:, None], torch.inf)

    def needed(direction):
        falling = -(pulls * direction[:, None]).sum(dim=2)
        return torch.where(falling > 0, gaps / falling, torch.inf).amin(dim=1)

    worst = us.worst_directions(mlp, facts, rivals=19)
    torch.testing.assert_close(worst.norm(dim=1), torch.ones(20, dtype=torch.float64))
    assert (worst * facts.keys).sum(dim=1).abs().max() < 1e-9
    generator = torch.Generator().manual_seed(7)
    for _ in range(200):
        assert (needed(worst) <= needed(us.random_directions(facts.keys, generator)) * (1 + 1e-9)).all()


@pytest.mark.parametrize("gate", ["identity", "silu"])
def test_lipschitz_at_the_keys_is_the_largest_singular_value(gate):
    facts = small(12, 6, dtype=torch.float64)
    mlp = fc.construct(facts, "block-convex", width=6, gate=gate)
    jacobian = torch.func.vmap(torch.func.jacrev(mlp))(facts.keys)
    exact = torch.linalg.matrix_norm(jacobian, ord=2)
    torch.testing.assert_close(lipschitz_at_keys(mlp, facts.keys, iterations=400), exact, rtol=1e-4, atol=0)


def test_facts_stored_with_noisy_copies_are_stored_around_the_keys():
    facts = small(32, 16)
    more = us.noisy_copies(facts, 10.0, 4)
    assert len(more) == 160 and (more.targets.view(5, 32) == facts.targets).all()
    mlp = fc.construct(more, "block-convex", width=24)
    assert fc.recall(mlp, more) == fc.recall(mlp, facts) == 1.0


def test_arrivals_are_what_the_transformer_reads():
    facts = small(64, 16)
    model = tf.FactTransformer(facts, seed=2)
    tf.train_recall(model, facts.targets, steps=30, batch=64)
    mlp = fc.construct(facts, "block-convex", width=16, seed=0)
    arrived = us.arrivals(model, samples=2048, seed=5)
    tf.insert(model, mlp)
    right = (mlp(arrived.inputs) @ facts.values.T).argmax(dim=1) == facts.targets[arrived.keys]
    unit = torch.nn.functional.normalize(arrived.inputs, dim=1)
    distances = torch.cdist(unit.double(), facts.keys.double())
    assert 0 < int(arrived.through.sum()) < 2048
    assert (arrived.through == (distances.argmin(dim=1) == arrived.keys)).all()
    through = [bool(r) for r, t in zip(right, arrived.through) if t]
    assert us.kept(mlp, facts, arrived) == pytest.approx(sum(through) / len(through))
    tokens = tf.recall_batch(64, 512, stream(5, "evaluation"))
    own = model(tokens).argmax(dim=1) == facts.targets[tf.asked(tokens, 64)]
    assert (own == right[:512]).all()

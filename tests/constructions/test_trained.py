"""Trained networks: batched and alone agree, steps are those of torch's Adam on the loss by autograd."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore.constructions import trained as training
from factcore.constructions.trained import train_many, trained
from factcore.mlp import GATES
from factcore.support.streams import stream


def weights(mlp):
    return torch.cat([mlp.gate_weight.flatten(), mlp.up.flatten(), mlp.down.flatten()])


def reference(facts, width, seed, steps, *, lr, gate="identity", value_norm=8.0):
    """The same training by autograd on the whole loss and torch's own Adam: the network before each step, and after."""
    generator = stream(seed, "weights")
    d, e = facts.d, facts.e
    parameters = [
        (torch.randn(shape, generator=generator, dtype=torch.float64) / size**0.5).requires_grad_()
        for shape, size in [((width, d), d), ((width, d), d), ((e, width), width)]
    ]
    gates, up, down = parameters
    scale = d**0.5 / facts.keys.norm(dim=1).mean()
    keys, values = facts.keys * scale, facts.values * value_norm / facts.values.norm(dim=1).mean()
    optimizer = torch.optim.Adam(parameters, lr=lr)
    networks = []
    for step in range(steps + 1):
        networks.append(fc.GatedMLP(gates * scale, up * scale, down, gate=gate))
        optimizer.param_groups[0]["lr"] = lr * math.cos(math.pi * step / steps / 2) ** 2
        logits = (GATES[gate](keys @ gates.T) * (keys @ up.T)) @ down.T @ values.T
        total = torch.nn.functional.cross_entropy(logits, facts.targets)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return networks


@pytest.mark.parametrize("gate", ["identity", "silu", "relu"])
@pytest.mark.parametrize("d, e", [(6, 6), (6, 3), (3, 6)])
def test_every_step_is_one_of_adam_on_the_loss(gate, d, e, monkeypatch):
    monkeypatch.setattr(training, "LOGITS", 100)  # many blocks, the last ones smaller
    keys = fc.spherical_facts(23, d, n_values=17, dtype=torch.float64)
    values = fc.spherical_facts(17, e, seed=1, dtype=torch.float64).values
    facts = fc.FactSet(keys.keys, values, keys.targets)
    options = {"lr": 0.03, "gate": gate, "value_norm": 3.0}
    mlp = trained(facts, 3, 5, steps=20, **options)
    assert mlp.down.shape == (e, 3) and mlp.n_params == 3 * (2 * d + e)
    torch.testing.assert_close(weights(mlp), weights(reference(facts, 3, 5, 20, **options)[20]), rtol=1e-6, atol=1e-8)


@settings(deadline=None, max_examples=15)
@given(
    n=st.integers(1, 20),
    d=st.integers(2, 6),
    widths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    gate=st.sampled_from(["identity", "silu", "relu"]),
    room=st.sampled_from([7, 60, 1000]),
)
def test_batched_and_alone_agree(n, d, widths, gate, room):
    """Widths and seeds mixed, in blocks of any size: each network is the one that training alone gives."""
    facts, seeds = fc.spherical_facts(n, d, n_values=3, dtype=torch.float64), [7 + k for k in range(len(widths))]
    options = {"steps": 40, "lr": 0.02, "gate": gate}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOGITS", room)
        patch.setattr(training, "ACTIVATIONS", room * 20)
        together = train_many(facts, widths, seeds, **options)
    for mlp, width, seed in zip(together, widths, seeds):
        alone = fc.construct(facts, "trained", width=width, seed=seed, strict=False, **options)
        assert mlp.width == width and mlp.gate == gate and mlp.n_params == 3 * d * width == mlp.n_solved
        torch.testing.assert_close(weights(mlp), weights(alone), rtol=1e-4, atol=1e-6)
        assert fc.recall(mlp, facts) == fc.recall(alone, facts)


def test_a_network_that_stores_everything_stops_and_leaves_the_others_running():
    facts = fc.spherical_facts(64, 16, dtype=torch.float64)
    options = {"lr": 0.02}  # at ten times that, rounding errors grow to the size of the weights in 100 steps
    late, early = train_many(facts, [1, 20], [3, 4], steps=120, **options)
    looks = range(0, 120, training.CHECK_EVERY)
    networks = reference(facts, 20, 4, 120, **options)
    stop = next(step for step in looks if fc.recall(networks[step], facts) == 1.0)
    assert 0 < stop < 100
    torch.testing.assert_close(weights(early), weights(networks[stop]), rtol=1e-6, atol=1e-8)
    assert fc.recall(late, facts) < 1
    torch.testing.assert_close(
        weights(late), weights(reference(facts, 1, 3, 120, **options)[120]), rtol=1e-5, atol=1e-7
    )


def test_a_network_that_diverges_does_not_count_as_one_that_stores():
    facts = fc.spherical_facts(20, 8)
    mlp = trained(facts, 2, 0, steps=60, lr=1e30)
    assert weights(mlp).isnan().any() and fc.recall(mlp, facts) == 0
    with pytest.raises(ValueError, match="20 of 20 facts are lost at width 2, the first in row 0"):
        fc.construct(facts, "trained", width=2, steps=60, lr=1e30)


def test_the_same_seed_gives_the_same_network():
    facts = fc.spherical_facts(30, 8)
    first, again, other = (weights(trained(facts, 3, seed, steps=30)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.dtype == torch.float32


def test_scales_of_keys_and_values_do_not_matter():
    facts = fc.spherical_facts(30, 8, dtype=torch.float64)
    scaled = fc.FactSet(facts.keys * 7, facts.values * 0.01, facts.targets)
    mlp, other = (trained(f, 3, 0, steps=30) for f in (facts, scaled))
    torch.testing.assert_close(mlp(facts.keys), other(scaled.keys))


@pytest.mark.parametrize(
    "widths, seeds, message",
    [
        ([1, 2], [0], "one width and seed per network, got 2 and 1"),
        ([], [], "one width and seed per network"),
        ([1, 0], [0, 0], r"widths\[1\] must be a positive integer, got 0"),
    ],
)
def test_bad_lists_are_named(widths, seeds, message):
    with pytest.raises(ValueError, match=message):
        train_many(fc.spherical_facts(8, 4), widths, seeds)


def test_training_stores_and_stops_early():
    facts = fc.spherical_facts(64, 16)
    mlp = fc.construct(facts, "trained", width=24)
    assert len(mlp.lost) == 0 and mlp.n_params == 3 * 16 * 24 == mlp.n_solved
    hopeless = fc.construct(facts, "trained", width=1, steps=50, strict=False)
    assert len(hopeless.lost) > 0
    assert fc.recall(fc.construct(facts, "trained"), facts) == 1.0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gate": "step"}, "gate must have a gradient, one of .*got 'step'"),
        ({"steps": 0}, "steps, lr and value_norm must be positive"),
        ({"lr": 0.0}, "steps, lr and value_norm must be positive"),
        ({"value_norm": 0.0}, "value_norm must be positive"),
        ({"learning_rate": 1.0}, "method 'trained' has no option 'learning_rate'; it has .*'lr'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(8, 4), "trained", width=2, **options)

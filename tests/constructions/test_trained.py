"""Trained networks: batched and alone agree, steps are those of torch's Adam, the search ends where it must."""

import math
from collections import Counter

import pytest
import torch
from factcore.batched_search import smallest_trained_widths
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore import batched_search, training
from factcore.constructions.trained import train_many, trained
from factcore.mlp import GATES
from factcore.support.streams import stream

QUIET = {}
DEFAULTS = {
    "lr": 0.2, "gate": "identity", "loss": "cross-entropy", "key_norm": None, "value_norm": 8.0, "spread": 1.0,
    "warmup": 0,
}  # fmt: skip


def weights(mlp):
    return torch.cat([mlp.gate_weight.flatten(), mlp.up.flatten(), mlp.down.flatten()])


def reference(facts, width, seed, steps, *, lr, gate, loss, key_norm, value_norm, spread, warmup):
    """The same training by autograd on the whole loss and torch's own Adam: the network before each step, and after."""
    generator = stream(seed, "weights")
    d = facts.d
    parameters = [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * spread / size**0.5).requires_grad_()
        for shape, size in [((width, d), d), ((width, d), d), ((d, width), width)]
    ]
    gates, up, down = parameters
    scale = (key_norm or d**0.5) / facts.keys.norm(dim=1).mean()
    keys, values = facts.keys * scale, facts.values * value_norm / facts.values.norm(dim=1).mean()
    optimizer = torch.optim.Adam(parameters, lr=lr)
    networks = []
    for step in range(steps + 1):
        networks.append(fc.GatedMLP(gates * scale, up * scale, down, gate=gate))
        ramp = min(1.0, (step + 1) / (warmup + 1))
        optimizer.param_groups[0]["lr"] = lr * ramp * math.cos(math.pi * step / steps / 2) ** 2
        logits = (GATES[gate](keys @ gates.T) * (keys @ up.T)) @ down.T @ values.T
        if loss == "cross-entropy":
            total = torch.nn.functional.cross_entropy(logits, facts.targets)
        else:
            gaps = 1 - logits.gather(1, facts.targets[:, None]) + logits
            wrong = torch.ones_like(gaps).scatter_(1, facts.targets[:, None], 0)
            total = (gaps.clamp(min=0).square() * wrong).sum() / 2 / len(facts)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return networks


@pytest.mark.parametrize("gate", ["identity", "silu", "relu", "hermite2"])
@pytest.mark.parametrize("loss", training.LOSSES)
def test_every_step_is_one_of_adam_on_the_loss(gate, loss, monkeypatch):
    monkeypatch.setitem(training.LOGITS, "cpu", 100)  # many blocks, the last ones smaller
    facts = fc.spherical_facts(23, 6, n_values=17, dtype=torch.float64)
    options = dict(lr=0.03, gate=gate, loss=loss, key_norm=2.0, value_norm=3.0, spread=0.7, warmup=4)
    mlp = trained(facts, 3, 5, steps=20, **options, **QUIET)
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
    """Fact sets, widths and seeds mixed, in blocks of any size: each network is the one that training alone gives."""
    sets = [fc.spherical_facts(n, d, n_values=3, seed=k, dtype=torch.float64) for k in range(2)]
    facts, seeds = [sets[k % 2] for k in range(len(widths))], [7 + k for k in range(len(widths))]
    options = {"steps": 40, "lr": 0.02, "gate": gate} | QUIET
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(training.LOGITS, "cpu", room)
        patch.setitem(training.ACTIVATIONS, "cpu", room * 20)
        together = train_many(facts, widths, seeds, **options)
    for mlp, f, width, seed in zip(together, facts, widths, seeds):
        alone = fc.construct(f, "trained", width=width, seed=seed, **options)
        assert mlp.width == width and mlp.gate == gate and mlp.n_params == 3 * d * width == mlp.n_solved
        torch.testing.assert_close(weights(mlp), weights(alone), rtol=1e-4, atol=1e-6)
        assert fc.recall(mlp, f) == fc.recall(alone, f)


def test_a_network_that_stores_everything_stops_and_leaves_the_others_running():
    facts = fc.spherical_facts(64, 16, dtype=torch.float64)
    options = DEFAULTS | {"lr": 0.02}  # at ten times that, rounding errors grow to the size of the weights in 100 steps
    late, early = train_many(facts, [1, 20], [3, 4], steps=120, **options, **QUIET)
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
    mlp = trained(facts, 2, 0, steps=60, lr=1e30, **QUIET)
    assert weights(mlp).isnan().any() and fc.recall(mlp, facts) == 0


def test_the_same_seed_gives_the_same_network():
    facts = fc.spherical_facts(30, 8)
    first, again, other = (weights(trained(facts, 3, seed, steps=30, **QUIET)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.dtype == torch.float32


def test_scales_of_keys_and_values_do_not_matter():
    facts = fc.spherical_facts(30, 8, dtype=torch.float64)
    scaled = fc.FactSet(facts.keys * 7, facts.values * 0.01, facts.targets)
    mlp, other = (trained(f, 3, 0, steps=30, **QUIET) for f in (facts, scaled))
    torch.testing.assert_close(mlp(facts.keys), other(scaled.keys))


@pytest.mark.parametrize("recalls_from", [1, 2, 5, 19, 20, 21, 60, 150])
@pytest.mark.parametrize("start", [None, 20])
@pytest.mark.parametrize("resolution", [0.0, 0.1])
def test_the_search_ends_at_the_smallest_width(recalls_from, start, resolution, monkeypatch):
    """With networks that store everything from a known width on, by the last of three seeds just there."""
    facts = fc.spherical_facts(40, 16)
    facts_of: dict[int, fc.FactSet] = {}

    def pretend(sets, widths, seeds, **options):
        mlps = [fc.GatedMLP(torch.zeros(w, 16), torch.zeros(w, 16), torch.zeros(16, w), gate="silu") for w in widths]
        stores = [w > recalls_from or (w == recalls_from and seed == 12) for w, seed in zip(widths, seeds)]
        facts_of.update({id(mlp): good for mlp, good in zip(mlps, stores)})
        alive.extend(mlps)
        return mlps

    alive: list = []
    monkeypatch.setattr(batched_search, "train_many", pretend)
    monkeypatch.setattr(batched_search, "recall", lambda mlp, facts: float(facts_of[id(mlp)]))
    found = smallest_trained_widths([facts], seed=10, start=start, resolution=resolution)[0]
    assert recalls_from <= found.width <= recalls_from + max(1, resolution * recalls_from) * (resolution > 0)
    failed = Counter(trial["width"] for trial in found.trials if not trial["recall"])
    below = max((width for width in failed if failed[width] == 3), default=0)
    assert found.width - below <= max(1, resolution * below) and max(failed.values(), default=0) <= 3
    runs = Counter((trial["width"], trial["seed"]) for trial in found.trials)
    assert max(runs.values()) == 1 and found.n_params == 3 * 16 * found.width


def test_searching_several_fact_sets_finds_what_searching_each_does():
    sets = [fc.spherical_facts(48, 16, seed=k, dtype=torch.float64) for k in range(2)]
    options = {"steps": 200, "tries": 2} | QUIET
    together = smallest_trained_widths(sets, seed=[0, 5], **options)
    for facts, seed, found in zip(sets, (0, 5), together):
        alone = fc.smallest_width(facts, "trained", seed=seed, **options)
        assert found[:3] == alone[:3] and found.recall == 1.0
        assert [trial["width"] for trial in found.trials] == [trial["width"] for trial in alone.trials]
        best = next(trial for trial in found.trials if trial["width"] == found.width and trial["recall"] == 1.0)
        again = fc.construct(facts, "trained", width=found.width, seed=best["seed"], steps=200, **QUIET)
        assert fc.recall(again, facts) == 1.0


def test_the_search_gives_up_with_a_reason():
    facts = fc.FactSet(torch.eye(3), torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 0, 0]]), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="no width up to 24 reaches"):  # the value 0 lies between the two others
        fc.smallest_width(facts, "trained", steps=5, **QUIET)


def test_bad_lists_are_named():
    facts = fc.spherical_facts(8, 4)
    other = fc.spherical_facts(9, 4)
    cases = [
        (([facts], [1, 2], [0, 0]), "one fact set, width and seed per network, got 1, 2 and 2"),
        ((facts, [], []), "one fact set, width and seed per network"),
        ((facts, [1, 0], [0, 0]), r"widths\[1\] must be a positive integer, got 0"),
        (([facts, other], [1, 1], [0, 0]), r"facts\[1\] has .* \(9, 9, 4, .*facts\[0\] has \(8, 8, 4"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            train_many(*arguments, **QUIET)
    with pytest.raises(ValueError, match="seed must be one integer or one per fact set, got 2 for 1 sets"):
        smallest_trained_widths([facts], seed=[0, 1])
    with pytest.raises(ValueError, match="method 'trained' has no option 'learning_rate'; it has .*'lr'"):
        smallest_trained_widths([facts], learning_rate=1.0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gate": "step"}, "gate must have a gradient, one of .*got 'step'"),
        ({"loss": "mse"}, "loss must be one of"),
        ({"steps": 0}, "steps and lr must be positive"),
        ({"lr": 0.0}, "steps and lr must be positive"),
        ({"value_norm": 0.0}, "value_norm must be positive"),
        ({"key_norm": -1.0}, "key_norm must be positive"),
        ({"spread": float("inf")}, "spread must be positive"),
        ({"warmup": 4000}, r"warmup must lie in \[0, steps\)"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(8, 4), "trained", width=2, **options)

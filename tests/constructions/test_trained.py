"""Trained networks: Adam's steps are those of torch's Adam on the loss by autograd; L-BFGS goes first."""

import math

import pytest
import torch
from by_hand import outputs

import factcore as fc
from factcore.constructions import trained as training
from factcore.constructions.problem import scaled_problem
from factcore.constructions.trained import trained


def weights(mlp):
    return torch.cat([weight.flatten() for weight in mlp.parameters()])


def reference(problem, w, steps, lr, loud):
    """The same training by autograd on the whole loss and torch's own Adam."""
    parameters = [w.gates.clone(), w.up.clone(), w.down * (w.down.shape[0] / w.down.shape[1]) ** 0.5]
    parameters = [part.requires_grad_() for part in parameters]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * math.cos(math.pi * step / steps / 2) ** 2
        logits = outputs(problem, *parameters) @ (loud * problem.values).T
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, problem.targets).backward()
        optimizer.step()
    return torch.cat([part.detach().flatten() for part in parameters])


@pytest.mark.parametrize("gate, form", [("identity", "gated"), ("silu", "gated"), ("relu", "gated"), ("gelu", "plain")])
@pytest.mark.parametrize("d, e", [(6, 6), (6, 3), (3, 6)])
def test_every_step_is_one_of_adam_on_the_loss(gate, form, d, e):
    keys = fc.spherical_facts(23, d, n_values=17, dtype=torch.float64)
    values = fc.spherical_facts(17, e, seed=1, dtype=torch.float64).values
    problem = scaled_problem(fc.FactSet(keys.keys, values, keys.targets), gate, form)
    w = problem.random_weights(3, 5)
    loud = training.LOUD if gate == "identity" else 1.0
    found = training._adam(problem, w, 20, 0.03).flat()
    torch.testing.assert_close(found, reference(problem, w, 20, 0.03, loud), rtol=1e-6, atol=1e-8)


def test_l_bfgs_goes_first_and_adam_only_where_it_stalls(monkeypatch):
    facts = fc.spherical_facts(64, 16)
    monkeypatch.setattr(training, "_adam", lambda *rest: pytest.fail("L-BFGS had stored everything"))
    assert len(fc.construct(facts, "trained", width=8).lost) == 0
    called = []
    monkeypatch.setattr(training, "_adam", lambda problem, w, *rest: called.append(rest) or w)
    fc.construct(facts, "trained", width=2, strict=False)
    assert called == [(4000, None)]
    stalled = fc.construct(facts, "trained", width=2, descent="l-bfgs", strict=False)
    assert len(called) == 1 and 0 < fc.recall(stalled, facts) < 1
    fc.construct(facts, "trained", width=8, descent="adam", strict=False)
    assert len(called) == 2


def test_l_bfgs_ends_where_the_slope_is_small_or_everything_is_stored():
    facts = fc.spherical_facts(40, 8, dtype=torch.float64)
    problem = scaled_problem(facts, "identity")
    w, stored = training.descended(problem, problem.random_weights(12, 0))
    scores = outputs(problem, *w) @ problem.values.T
    own = scores.gather(1, problem.targets[:, None])
    rivals = scores.scatter(1, problem.targets[:, None], -torch.inf).amax(dim=1, keepdim=True)
    assert stored and float((own - rivals).min()) >= training.CLEAR


def test_a_network_that_diverges_does_not_count_as_one_that_stores():
    facts = fc.spherical_facts(20, 8)
    mlp = trained(facts, 2, 0, steps=60, lr=1e30, descent="adam")
    assert fc.recall(mlp, facts) < 1
    with pytest.raises(ValueError, match="of 20 facts are lost at width 2, the first in row"):
        fc.construct(facts, "trained", width=2, steps=60, lr=1e30, descent="adam")


def test_the_same_seed_gives_the_same_network():
    facts = fc.spherical_facts(30, 8)
    first, again, other = (weights(trained(facts, 3, seed, steps=30)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.dtype == torch.float32


def test_scales_of_keys_and_values_by_powers_of_two_do_not_matter():
    facts = fc.spherical_facts(30, 8, dtype=torch.float64)
    scaled = fc.FactSet(facts.keys * 8, facts.values * 2.0**-7, facts.targets)
    mlp, other = (trained(f, 3, 0, steps=30) for f in (facts, scaled))
    torch.testing.assert_close(mlp(facts.keys), other(scaled.keys))


@pytest.mark.parametrize("options", [{}, {"form": "plain"}, {"gate": "silu"}, {"descent": "adam", "width": 24}])
def test_training_stores_and_stops_early(options):
    facts = fc.spherical_facts(64, 16)
    mlp = fc.construct(facts, "trained", **{"width": 12, **options})
    assert len(mlp.lost) == 0 and mlp.n_params == mlp.n_solved
    hopeless = fc.construct(facts, "trained", **{**options, "width": 1, "steps": 50}, strict=False)
    assert len(hopeless.lost) > 0


def test_without_a_width_it_is_doubled():
    facts = fc.spherical_facts(64, 16)
    assert fc.recall(fc.construct(facts, "trained"), facts) == 1.0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gate": "step"}, "gate must have a slope, one of .*got 'step'"),
        ({"gate": "identity", "form": "plain"}, "form='plain', gate must have a slope"),
        ({"form": "deep"}, "form must be one of"),
        ({"descent": "newton"}, "descent must be one of"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"lr": float("inf")}, "lr must be positive"),
        ({"learning_rate": 1.0}, "method 'trained' has no option 'learning_rate'; it has .*'lr'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(8, 4), "trained", width=2, **options)

"""`max-margin`: the one minimiser that scipy finds, whatever the order and the scale of the facts."""

import numpy as np
import pytest
import scipy.optimize
import torch

import factcore as fc
from factcore.constructions.convex import MOST_ITERATIONS


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def double_facts(n, d, seed=0, **options):
    return fc.spherical_facts(n, d, seed=seed, dtype=torch.float64, **options)


@pytest.mark.parametrize("gate", ["silu", "identity", "relu", "step"])
def test_a_is_the_one_minimiser_that_scipy_finds(gate):
    """Φ written in the network's own scale: margins in units of the mean value norm about the mean, ‖A‖ in 1/key."""
    facts = double_facts(12, 3, n_values=6)
    mlp = fc.construct(facts, "max-margin", width=5, gate=gate, ridge=0.1, tol=1e-9, strict=False)
    keys, values = facts.keys, facts.values - facts.values.mean(dim=0)
    values = values / values.norm(dim=1).mean()
    scale = 3**0.5 / keys.norm(dim=1).mean()
    opened = {"silu": torch.nn.functional.silu, "identity": lambda z: z, "relu": torch.relu, "step": lambda z: z.gt(0)}
    opened = opened[gate](keys @ mlp.gate_weight.T)

    def both(x):
        up = torch.tensor(x.reshape(5, 3), requires_grad=True)
        logits = ((opened * (keys @ up.T)) @ mlp.down.T) @ values.T
        slack = (1 - logits.gather(1, facts.targets[:, None]) + logits).clamp_min(0)
        loss = 0.5 * (slack.square().sum() - len(facts)) + 0.05 * up.square().sum() / scale**2  # own terms are 1
        return float(loss.detach()), torch.autograd.grad(loss, up)[0].numpy().ravel()

    found = scipy.optimize.minimize(both, normal(15).numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    (solve,) = mlp.solves
    assert found.fun == pytest.approx(solve["objective"], abs=2 * solve["gap"] + 1e-8)
    np.testing.assert_allclose(mlp.up.numpy().ravel(), found.x, atol=2e-3)
    assert mlp.n_solved == mlp.up.numel()


def test_order_of_facts_repeated_keys_and_the_place_of_the_values_do_not_matter():
    facts = double_facts(30, 8, n_values=12)
    exact, queries = {"width": 12, "ridge": 0.1, "tol": 1e-9, "strict": False}, double_facts(5, 8, 9).keys
    build = lambda f: fc.construct(f, "max-margin", **exact)(queries)  # noqa: E731
    plain = build(facts)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    twice = torch.cat([order, order[:4]])
    shuffled = fc.FactSet(facts.keys[twice], facts.values, facts.targets[twice])
    torch.testing.assert_close(build(shuffled), plain, atol=1e-3, rtol=0)
    moved = fc.FactSet(facts.keys, facts.values + 100, facts.targets)
    torch.testing.assert_close(build(moved), plain, atol=1e-3, rtol=0)


def test_scale_of_keys_and_values_does_not_change_what_is_stored():
    facts = double_facts(40, 8)
    scaled = fc.FactSet(64 * facts.keys, facts.values / 256, facts.targets)  # powers of two: rounded alike
    one, other = (fc.construct(f, "max-margin", width=14, strict=False) for f in (facts, scaled))
    torch.testing.assert_close(one(facts.keys), other(scaled.keys), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_max_margin_stores_and_certifies(dtype):
    facts = fc.spherical_facts(64, 16, dtype=dtype)
    mlp = fc.construct(facts, "max-margin", width=24, ridge=3e-2)
    (solve,) = mlp.solves
    assert fc.recall(mlp, facts) == 1.0 and mlp.up.dtype == dtype
    assert solve["gap"] <= 1e-2 * solve["objective"] and solve["iterations"] < MOST_ITERATIONS
    again = fc.construct(facts, "max-margin", width=24, ridge=3e-2)
    assert all(torch.equal(a, b) for a, b in zip(mlp.parameters(), again.parameters()))


def test_width_is_doubled_until_everything_is_stored():
    facts = fc.spherical_facts(40, 10)
    mlp = fc.construct(facts, "max-margin")
    assert fc.recall(mlp, facts) == 1.0 and mlp.width in [4 * 2**k for k in range(1, 8)]
    assert fc.recall(fc.construct(facts, "max-margin", width=mlp.width // 2, strict=False), facts) < 1.0


@pytest.mark.parametrize("n, v", [(1, 1), (2, 2), (1, 3), (20, 2), (5, 5)])
def test_few_facts_or_values(n, v):
    facts = fc.spherical_facts(n, 6, n_values=v)
    assert fc.recall(fc.construct(facts, "max-margin"), facts) == 1.0


@pytest.mark.parametrize(
    "options, named",
    [({"gate": "tanh"}, "gate"), ({"ridge": 0.0}, "ridge"), ({"ridge": float("nan")}, "ridge"), ({"tol": -1.0}, "tol")],
)
def test_options_out_of_range_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        fc.construct(fc.spherical_facts(8, 4), "max-margin", width=4, **options)

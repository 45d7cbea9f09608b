"""Hebbian memories against sums over facts, kernels, dense solves and scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore.constructions import hebbian as module
from factcore.constructions.hebbian import conjugate_gradients, features, refit_factor, ridge_readout


def double_facts(n, d, seed=0, **options):
    return fc.spherical_facts(n, d, seed=seed, dtype=torch.float64, **options)


def queries(count, d):
    return torch.randn(count, d, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def kernel(mlp, x, y):
    """⟨φ(x), φ(y)⟩ summed feature by feature in numpy, from the module's weights."""
    left = np.einsum("id,hd,ie,he->ih", x, mlp.gate_weight.numpy(), x, mlp.up.numpy())
    right = np.einsum("id,hd,ie,he->ih", y, mlp.gate_weight.numpy(), y, mlp.up.numpy())
    return left @ right.T


def test_raw_is_the_sum_over_facts_of_kernel_times_value():
    facts = double_facts(30, 8)
    mlp = fc.construct(facts, "hebbian", width=50, variant="raw", strict=False)
    x = queries(7, 8)
    by_hand = kernel(mlp, x.numpy(), facts.keys.numpy()) @ facts.values[facts.targets].numpy() / 30
    np.testing.assert_allclose(mlp(x).numpy(), by_hand, atol=1e-12)


@pytest.mark.parametrize("width", [12, 200])
def test_whitened_is_the_kernel_memory_of_theorem_3_1(width):
    """g(x) = (1/n) Σ v_i φ(k_i)ᵀ Σ̂⁻¹ φ(x) with Σ̂ the empirical feature covariance, ridge included."""
    facts = double_facts(40, 8)
    mlp = fc.construct(facts, "hebbian", width=width, ridge=1e-3, strict=False)
    phi = lambda x: ((x @ mlp.gate_weight.T) * (x @ mlp.up.T)).numpy()  # noqa: E731
    at_keys, x = phi(facts.keys), queries(7, 8)
    covariance = at_keys.T @ at_keys / 40
    nonzero = min(40, width)
    covariance += 1e-3 * np.trace(covariance) / nonzero * np.eye(width)
    whitened = at_keys @ scipy.linalg.solve(covariance, phi(x).T, assume_a="pos")  # (n, 7) kernel
    np.testing.assert_allclose(mlp(x).numpy(), whitened.T @ facts.values[facts.targets].numpy() / 40, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 30), extra=st.integers(0, 30), seed=st.integers(0, 20))
def test_with_as_many_features_as_facts_the_targets_are_met(n, extra, seed):
    facts = double_facts(n, 10, seed)  # up to 55 bilinear features are independent
    mlp = fc.construct(facts, "hebbian", width=n + 5 + extra, ridge=1e-13, seed=seed, strict=False)
    torch.testing.assert_close(mlp(facts.keys), facts.values[facts.targets], atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 25), h=st.integers(1, 25), seed=st.integers(0, 20), ridge=st.sampled_from([1e-6, 1e-2, 0.5]))
def test_ridge_readout_is_the_minimiser(n, h, seed, ridge):
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(n, h, generator=generator, dtype=torch.float64)
    wanted = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    penalty = ridge * float(phi.square().sum()) / min(n, h)
    stacked = np.vstack([phi.numpy(), np.sqrt(penalty) * np.eye(h)])
    by_lstsq = scipy.linalg.lstsq(stacked, np.vstack([wanted.numpy(), np.zeros((h, 3))]))[0]
    np.testing.assert_allclose(ridge_readout(phi, wanted, ridge).T.numpy(), by_lstsq, atol=1e-6)


def test_refit_factor_is_the_dense_least_squares_solution():
    facts, h, ridge = double_facts(25, 4, n_values=9), 5, 1e-3
    generator = torch.Generator().manual_seed(1)
    partner = torch.randn(h, 4, generator=generator, dtype=torch.float64)
    readout = torch.randn(4, h, generator=generator, dtype=torch.float64)
    other = facts.keys @ partner.T
    # The score of value j at key i is linear in A: entry [(i, j), (u, e)] = (V W)_ju (B k_i)_u k_ie.
    design = torch.einsum("ju,iu,ie->ijue", facts.values @ readout, other, facts.keys).reshape(25 * 9, h * 4).numpy()
    one_hot = np.eye(9)[facts.targets.numpy()].reshape(-1)
    normal = design.T @ design
    normal += ridge * np.trace(normal) / len(normal) * np.eye(len(normal))
    by_hand = np.linalg.solve(normal, design.T @ one_hot).reshape(h, 4)
    found = refit_factor(facts.keys, partner, readout, facts.values, facts.targets, ridge)
    np.testing.assert_allclose(found.numpy(), by_hand, rtol=1e-3, atol=1e-4 * np.abs(by_hand).max())


def test_conjugate_gradients_solve_a_dense_system(monkeypatch):
    monkeypatch.setattr(module, "RESIDUAL", 1e-12)
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(30, 30, generator=generator, dtype=torch.float64)
    matrix, right = root @ root.T + torch.eye(30, dtype=torch.float64), torch.randn(30, 2, generator=generator).double()
    diagonal = matrix.diagonal()[:, None].expand(30, 2)
    found = conjugate_gradients(lambda x: matrix @ x, right, diagonal, steps=500)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right))
    again = conjugate_gradients(lambda x: matrix @ x, right, diagonal, steps=500, start=found)
    torch.testing.assert_close(again, found, rtol=1e-9, atol=1e-9)
    stopped = conjugate_gradients(lambda x: matrix @ x, right, torch.ones_like(right), steps=1)
    assert float((matrix @ stopped - right).norm()) > 1e-2
    zero = conjugate_gradients(lambda x: matrix @ x, 0 * right, torch.ones_like(right))
    assert torch.equal(zero, 0 * right)


def test_widths_are_ordered_and_everything_is_stored():
    facts = fc.spherical_facts(256, 32)
    found = {v: fc.smallest_width(facts, "hebbian", variant=v, resolution=0.1) for v in ("whitened", "data-dependent")}
    assert all(result.recall == 1.0 for result in found.values())
    assert found["data-dependent"].width < found["whitened"].width < 256


def test_raw_stores_few_facts():
    facts = fc.spherical_facts(128, 32)
    raw = fc.construct(facts, "hebbian", variant="raw")
    assert fc.recall(raw, facts) == 1.0
    assert raw.width > 2 * fc.smallest_width(facts, "hebbian", resolution=0.2).width


def test_whitened_at_1024_facts_within_110_000_parameters():
    facts = fc.spherical_facts(1024, 64)
    mlp = fc.construct(facts, "hebbian", width=110_000 // 192)
    assert mlp.n_params == 3 * 64 * mlp.width <= 110_000 and mlp.n_solved == mlp.n_params // 3
    assert fc.recall(mlp, facts) == 1.0 and mlp.gate == "identity"


def test_the_width_doubles_until_everything_is_stored():
    facts = double_facts(60, 16)
    mlp = fc.construct(facts, "hebbian")
    assert fc.recall(mlp, facts) == 1.0 and mlp.width in {4 * 2**k for k in range(8)}
    assert fc.recall(fc.construct(facts, "hebbian", width=mlp.width // 2, strict=False), facts) < 1
    with pytest.raises(ValueError, match="no width up to 96 stores all 100 facts"):
        fc.construct(double_facts(100, 3), "hebbian")  # bilinear maps of R³ have six independent features
    with pytest.raises(ValueError, match="no width up to 96 .* reaches the target recall"):
        fc.smallest_width(double_facts(100, 3), "hebbian", tries=1)


def test_separators_store_values_that_are_hidden_among_longer_ones():
    facts = double_facts(30, 8)
    lengths = torch.linspace(1, 1.8, 30, dtype=torch.float64)[:, None]
    facts = fc.FactSet(facts.keys, facts.values * lengths, facts.targets)
    exact = {"width": 200, "ridge": 1e-12}
    chosen = fc.construct(facts, "hebbian", targets="separators", **exact)
    assert fc.recall(chosen, facts) == 1.0 > fc.recall(fc.construct(facts, "hebbian", strict=False, **exact), facts)


def test_repeated_facts_change_nothing():
    facts = double_facts(20, 8)
    twice = fc.FactSet(facts.keys.repeat(2, 1), facts.values, facts.targets.repeat(2))
    one, two = (fc.construct(f, "hebbian", width=15, variant="data-dependent", strict=False) for f in (facts, twice))
    torch.testing.assert_close(one(facts.keys), two(facts.keys))
    assert two.n_solved == two.n_params == 3 * 8 * 15


def test_features_are_products_of_two_projections():
    torch.testing.assert_close(
        features(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, -1.0]])),
        torch.tensor([[(3 + 2) * -2.0]]),
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"variant": "best"}, "variant must be one of .*'whitened'.*got 'best'"),
        ({"targets": "keys"}, "targets must be one of .*'separators'.*got 'keys'"),
        ({"ridge": -1e-3}, "ridge must lie in"),
        ({"ridge": float("nan")}, "ridge must lie in"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(10, 4), "hebbian", **options)

"""Weight editors on a linear associative memory, against problems solved another way; the hand-made language."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook.editing.editors import (
    alphaedit_update,
    clipped,
    covariance,
    memit_update,
    null_space_projector,
    rome_update,
    wanted_changes,
)

SIZES = {"n": st.integers(1, 12), "h": st.integers(2, 10), "d": st.integers(1, 6), "seed": st.integers(0, 30)}


def wanted_outputs(logits, outputs, targets, *, clip, **options):
    """The outputs that editors aim at: what `wanted_changes` finds, cut by `clipped`."""
    return clipped(wanted_changes(logits, outputs, targets, **options), outputs, clip)


def memory(n, h, d, seed, preserved=40):
    """W (d, h), preserved keys (preserved, h), new keys (n, h) and values (n, d)."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(d, h), draw(preserved, h), draw(n, h), draw(n, d)


@settings(deadline=None, max_examples=40)
@given(h=SIZES["h"], d=SIZES["d"], seed=SIZES["seed"])
def test_rome_solves_the_constrained_least_squares_problem(h, d, seed):
    """min ‖(W' − W) K₀‖² subject to W' k = v, row by row from its KKT system."""
    w, old, new, values = memory(1, h, d, seed)
    updated = rome_update(w, covariance(old), new[0], values[0], ridge=0)
    kkt = np.block([[2 * (old.T @ old).numpy(), new.T.numpy()], [new.numpy(), np.zeros((1, 1))]])
    for row in range(d):
        right = np.append(2 * (old.T @ old @ w[row]).numpy(), values[0, row])
        np.testing.assert_allclose(updated[row].numpy(), np.linalg.solve(kkt, right)[:h], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(updated @ new[0], values[0])
    assert torch.linalg.matrix_rank(updated - w) <= 1


@settings(deadline=None, max_examples=40)
@given(**SIZES, lam=st.sampled_from([0.1, 1.0, 150.0]))
def test_memit_solves_the_stacked_least_squares_problem(n, h, d, seed, lam):
    """min (λ/m) Σ ‖W' k − W k‖² over m old keys + Σ ‖W' k − v‖² over new ones, by numpy's lstsq."""
    w, old, new, values = memory(n, h, d, seed)
    updated = memit_update(w, covariance(old), new, values, weight_of_old=lam)
    share = (lam / len(old)) ** 0.5
    rows = np.vstack([share * old.numpy(), new.numpy()])
    wanted = np.vstack([share * (old @ w.T).numpy(), values.numpy()])
    np.testing.assert_allclose(updated.numpy(), np.linalg.lstsq(rows, wanted, rcond=None)[0].T, rtol=1e-5, atol=1e-6)


def test_memit_with_little_weight_on_the_old_stores_the_new_exactly():
    w, old, new, values = memory(4, 10, 3, seed=1)
    updated = memit_update(w, covariance(old), new, values, weight_of_old=1e-9)
    torch.testing.assert_close(new @ updated.T, values, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(n=SIZES["n"], h=st.integers(4, 12), d=SIZES["d"], seed=SIZES["seed"], data=st.data())
def test_alphaedit_is_ridge_regression_in_the_null_space_and_spares_the_preserved(n, h, d, seed, data):
    kept = data.draw(st.integers(1, h - 1))
    w, old, new, values = memory(n, h, d, seed, preserved=kept)
    updated = alphaedit_update(w, null_space_projector(old, 1e-9), new, values, ridge=0.3)
    torch.testing.assert_close(old @ updated.T, old @ w.T, atol=1e-10, rtol=1e-10)
    basis = scipy.linalg.null_space(old.numpy())  # (h, h − kept): solve for the coordinates in it
    inside, residual = new.numpy() @ basis, (values - new @ w.T).numpy()
    step = np.linalg.solve(inside.T @ inside + 0.3 * np.eye(basis.shape[1]), inside.T @ residual)
    np.testing.assert_allclose((updated - w).numpy(), (basis @ step).T, rtol=1e-7, atol=1e-9)


def test_alphaedit_can_change_nothing_where_the_preserved_keys_fill_the_space():
    w, old, new, values = memory(3, 6, 2, seed=0)
    projector = null_space_projector(old, 1e-9)
    assert float(projector.abs().max()) == 0
    assert torch.equal(alphaedit_update(w, projector, new, values), w)


@pytest.mark.parametrize("tol, rank", [(1e-12, 5), (1e-3, 6), (2.0, 8)])
def test_the_projector_keeps_directions_below_the_tolerance(tol, rank):
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    keys = torch.diag(torch.tensor([1.0, 0.5, 1e-2] + [0] * 5, dtype=torch.float64)) @ basis  # eigenvalues 1, ¼, 1e-4
    projector = null_space_projector(keys, tol)
    torch.testing.assert_close(projector @ projector, projector)
    assert int(torch.linalg.matrix_rank(projector, atol=1e-6)) == rank


@pytest.mark.parametrize("gate, ungated", [("silu", False), ("step", False), ("relu", True)])
def test_hidden_units_are_gate_times_up_one_by_one(gate, ungated):
    draw = lambda *shape: torch.randn(shape, generator=torch.Generator().manual_seed(3))  # noqa: E731
    weight, up, bias, x = draw(7, 4), draw(4, 7).T - 0.3, draw(7), draw(2, 3, 4)
    mlp = fc.GatedMLP(weight, None if ungated else up, draw(4, 7), gate=gate, gate_bias=bias)
    opened = {"silu": lambda z: z / (1 + math.exp(-z)), "step": lambda z: z > 0, "relu": lambda z: max(z, 0)}[gate]
    wanted = [
        [opened(float(g @ row + b)) * (1 if ungated else float(a @ row)) for g, a, b in zip(weight, up, bias)]
        for row in x.flatten(0, 1)
    ]
    torch.testing.assert_close(mlp.hidden(x).flatten(0, 1), torch.tensor(wanted))
    torch.testing.assert_close(mlp(x), mlp.hidden(x) @ mlp.down.T)


W, OLD, NEW, VALUES = memory(3, 6, 2, seed=0)
C, P = covariance(OLD), null_space_projector(OLD[:4], 1e-9)
INDEFINITE = torch.block_diag(W.new_tensor([[1, 2], [2, 1]]), torch.eye(4, dtype=W.dtype))
HEAD, LABELS = torch.eye(2, dtype=torch.float64), torch.tensor([0, 1, 0])


def spoilt(rows, entry=float("nan")):
    rows = rows.clone()
    rows[0] = entry
    return rows


def rome(w=W, c=C, key=NEW[0], value=VALUES[0], **options):
    return rome_update(w, c, key, value, **options)


def memit(w=W, c=C, keys=NEW, values=VALUES, weight_of_old=1.0):
    return memit_update(w, c, keys, values, weight_of_old=weight_of_old)


def alphaedit(w=W, projector=P, keys=NEW, values=VALUES, **options):
    return alphaedit_update(w, projector, keys, values, **options)


def wanted(outputs=VALUES[:, None], targets=LABELS, **options):
    return wanted_outputs(lambda x: x @ HEAD, outputs, targets, **{"steps": 2, "lr": 0.1, "clip": None} | options)


@pytest.mark.parametrize(
    "update, spoil, message",
    [
        (rome, {"c": torch.zeros(6, 6)}, "covariance c of the preserved keys is zero"),
        (memit, {"c": torch.zeros(6, 6)}, "covariance c of the preserved keys is zero"),
        (rome, {"key": torch.zeros(6)}, "zero, the first in row 0"),
        (memit, {"keys": spoilt(NEW, 0.0)}, r"1 key\(s\) are zero, the first in row 0"),
        (alphaedit, {"keys": spoilt(NEW, 0.0)}, r"1 key\(s\) are zero, the first in row 0"),
        *[(update, {"c": -C}, "c is no covariance: its diagonal has negative") for update in (rome, memit)],
        (rome, {"c": INDEFINITE, "key": W.new_tensor([1, -1, 0, 0, 0, 0])}, "is -2, not positive: c is no covariance"),
        (rome, {"c": torch.outer(NEW[1], NEW[1]), "ridge": 0.0}, "c has rank 1, not 6.*needs a ridge above 0"),
        (rome, {"c": spoilt(C)}, "c has NaN"),
        *[(update, {"w": spoilt(W)}, "weight has NaN") for update in (rome, memit, alphaedit)],
        *[(update, {"keys": spoilt(NEW, torch.inf)}, "keys has NaN or infinite") for update in (memit, alphaedit)],
        *[(update, {"values": spoilt(VALUES)}, "values has NaN") for update in (memit, alphaedit)],
        (rome, {"key": spoilt(NEW[0])}, "keys has NaN"),
        (rome, {"value": spoilt(VALUES[0])}, "values has NaN"),
        (memit, {"c": spoilt(C)}, "c has NaN"),
        (alphaedit, {"projector": spoilt(P)}, "projector has NaN"),
        (rome, {"key": NEW}, r"vectors \(h,\) and \(d,\), got shape \(3, 6\)"),
        (rome, {"key": NEW[0, :5]}, r"keys \(n, 6\).*got shape \(1, 5\)"),
        (memit, {"keys": NEW[:2]}, r"values \(n, 2\), got shape \(2, 6\) and shape \(3, 2\)"),
        (memit, {"values": VALUES[:, :1]}, r"got shape \(3, 6\) and shape \(3, 1\)"),
        (rome, {"c": C[:5]}, r"c must have shape \(6, 6\), as keys have 6 entries, got shape \(5, 6\)"),
        (memit, {"c": C[:5, :5]}, r"c must have shape \(6, 6\)"),
        (alphaedit, {"projector": P[:5, :5]}, r"projector must have shape \(6, 6\)"),
        (rome, {"ridge": -1.0}, "ridge must be a finite number from 0, got -1.0"),
        (memit, {"weight_of_old": 0.0}, "weight_of_old must be a finite number above 0"),
        (memit, {"weight_of_old": float("nan")}, "weight_of_old must be a finite number above 0"),
        (alphaedit, {"ridge": 0.0}, "ridge must be a finite number above 0"),
        (wanted, {"outputs": spoilt(VALUES[:, None])}, "outputs has NaN"),
        (wanted, {"outputs": VALUES}, r"do not fit: shape \(3, 2\), shape \(3,\)"),
        (wanted, {"targets": torch.tensor([0])}, "do not fit"),
        (wanted, {"steps": 0}, "steps must be a positive integer, got 0"),
        (wanted, {"lr": float("nan")}, "lr must be a finite number above 0"),
        (wanted, {"clip": 0.0}, "clip must be a finite number above 0"),
        (wanted, {"weight_decay": -0.1}, "weight_decay must be a finite number from 0"),
    ],
)
def test_degenerate_input_is_named(update, spoil, message):
    assert bool(update().isfinite().all())
    with pytest.raises(ValueError, match=message):
        update(**spoil)


@pytest.mark.parametrize("keys, message", [(torch.zeros(4, 3), "is zero"), (spoilt(OLD), "keys has NaN")])
def test_a_null_space_needs_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        null_space_projector(keys, 1e-2)
    with pytest.raises(ValueError, match="tol must be a finite number above 0"):
        null_space_projector(OLD, 0)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_rank_one_change_is_as_exact_at_any_scale_of_the_keys(scale):
    updated = rome_update(W, scale**2 * C, scale * NEW[0], VALUES[0])
    torch.testing.assert_close(updated @ (scale * NEW[0]), VALUES[0])


def test_wanted_outputs_make_the_new_fact_the_best_and_obey_the_clip():
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.functional.normalize(torch.randn(20, 8, generator=generator), dim=1)
    outputs, targets = torch.randn(5, 3, 8, generator=generator), torch.arange(5)
    free = wanted_outputs(lambda x: x @ head.T, outputs, targets, steps=200, lr=0.1, clip=None)
    assert torch.equal((free @ head.T).argmax(dim=1), targets)
    mean = outputs.mean(dim=1)
    short = wanted_outputs(lambda x: x @ head.T, outputs, targets, steps=200, lr=0.1, clip=0.25)
    torch.testing.assert_close((short - mean).norm(dim=1), 0.25 * mean.norm(dim=1))
    torch.testing.assert_close(
        torch.cosine_similarity(short - mean, free - mean), torch.ones(5)
    )  # the cut changes the length alone


def test_wanted_outputs_reach_the_minimum_that_scipy_finds():
    from scipy.optimize import minimize

    generator = torch.Generator().manual_seed(1)
    head = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    outputs = torch.randn(1, 1, 3, generator=generator, dtype=torch.float64)

    def loss(delta):
        scores = head.numpy() @ (outputs[0, 0].numpy() + delta)
        return np.log(np.exp(scores).sum()) - scores[2] + 0.1 * delta @ delta

    found = wanted_outputs(
        lambda x: x @ head.T, outputs, torch.tensor([2]), steps=2000, lr=0.02, clip=None, weight_decay=0.1
    )
    best = minimize(loss, np.zeros(3)).x + outputs[0, 0].numpy()
    np.testing.assert_allclose(found[0].numpy(), best, atol=2e-3)

"""Decodability against an independent solver (least squares), closed forms and direct differences."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from factcore.geometry import decodability, solver
from factcore.geometry.differences import most_violated


def differences(x: np.ndarray, i: int) -> np.ndarray:
    z = x[i] - np.delete(x, i, axis=0)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def reference(x: np.ndarray) -> np.ndarray:
    """rho_i: over w >= 0, |Z' w|^2 + (sum w - 1)^2 is smallest at the nearest point to 0, scaled."""
    out = np.zeros(len(x))
    for i in range(len(x)):
        if np.sum((x == x[i]).all(1)) > 1:
            continue
        z = differences(x, i)
        system = np.vstack([z.T, np.ones(len(z))])
        weight = nnls(system, np.eye(len(system))[-1], maxiter=10_000)[0]
        out[i] = np.linalg.norm(z.T @ weight / weight.sum())
    return out


def sphere(v: int, d: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def polygon(n: int) -> torch.Tensor:
    angle = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return torch.stack([angle.cos(), angle.sin()], 1)


def corners(d: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=d)), dtype=torch.float64)


def cross(d: int) -> torch.Tensor:
    return torch.cat([torch.eye(d), -torch.eye(d)]).double()


def clusters(g: np.random.Generator, v: int, d: int, spread: float) -> np.ndarray:
    return g.standard_normal((3, d))[g.integers(0, 3, v)] + spread * g.standard_normal((v, d))


CLOUDS = {
    "gauss": lambda g, v, d: g.standard_normal((v, d)),
    "integers": lambda g, v, d: g.integers(-2, 3, (v, d)).astype(float),
    "low rank": lambda g, v, d: g.standard_normal((v, 2)) @ g.standard_normal((2, d)),
    "collinear": lambda g, v, d: np.outer(g.standard_normal(v), g.standard_normal(d)),
    "clusters": lambda g, v, d: clusters(g, v, d, 1e-2),
    "tight": lambda g, v, d: clusters(g, v, d, 1e-7),
    "spiked": lambda g, v, d: g.standard_normal((v, d)) + np.outer(1e3 * g.standard_normal(v), np.ones(d)),
    "antipodal": lambda g, v, d: np.vstack([x := g.standard_normal((v, d)), -x]),
    "duplicates": lambda g, v, d: g.standard_normal((v, d))[g.integers(0, v, v)],
    "tiny": lambda g, v, d: 1e-9 * g.standard_normal((v, d)),
    "far away": lambda g, v, d: 1e6 + g.standard_normal((v, d)),
    "nearly flat": lambda g, v, d: g.standard_normal((v, d)) * np.r_[1e-3, np.ones(d - 1)],
}


@pytest.mark.parametrize("kind", CLOUDS)
def test_brackets_the_independent_solution(kind):
    for seed in range(24):
        g = np.random.default_rng(seed)
        d = int(g.integers(1, 8)) if seed % 4 else int(g.integers(8, 20))
        x = CLOUDS[kind](g, int(g.integers(2, 40)), d)
        tol = (1e-6, 1e-9, 1e-2)[seed % 3]
        result = decodability(torch.from_numpy(x), tol=tol)
        truth = reference(x)
        assert result.gap <= tol
        assert (result.lower <= result.upper).all() and (result.lower >= 0).all()
        assert (result.lower.numpy() <= truth + 2e-8).all() and (truth <= result.upper.numpy() + 2e-8).all()
        assert torch.equal(result.inside, (result.upper <= tol).nonzero()[:, 0])
        assert torch.allclose(result.separators.norm(dim=1), torch.ones(len(x), dtype=torch.float64))


@pytest.mark.parametrize("kind", ["gauss", "clusters", "tight", "antipodal"])
def test_lower_bounds_hold_for_differences_formed_one_by_one(kind):
    x = CLOUDS[kind](np.random.default_rng(5), 60, 6)
    result = decodability(torch.from_numpy(x))
    for i, u in enumerate(result.separators.numpy()):
        assert result.lower[i] <= max(0.0, (differences(x, i) @ u).min()) + 1e-9


@pytest.mark.parametrize(
    ("values", "rho"),
    [
        (torch.eye(9), math.sqrt(9 / 16)),  # |e_i - mean of the others| / sqrt 2
        (torch.eye(150), math.sqrt(150 / 298)),
        (torch.cat([torch.eye(5), torch.full((1, 5), (1 + math.sqrt(6)) / 5)]), math.sqrt(6 / 10)),  # simplex
        (cross(7), math.sqrt(0.5)),  # antipodal pairs
        (corners(6), 1 / math.sqrt(6)),  # the edges alone bind
        (polygon(5), math.sin(math.pi / 5)),
        (polygon(240), math.sin(math.pi / 240)),
        (torch.tensor([[3.0], [7.0]]), 1.0),
        (torch.tensor([[0.0, 0], [4, 0], [0, 3]]), math.cos(math.pi / 4)),  # cosine of half the widest angle
    ],
)
def test_closed_forms(values, rho):
    result = decodability(values.double(), tol=1e-9)
    assert result.rho == pytest.approx(rho, abs=1e-8)
    assert result.rho_upper == pytest.approx(rho, abs=1e-8)


def test_on_a_line_only_the_ends_are_vertices():
    result = decodability(torch.tensor([[2.0], [0.0], [5.0], [3.0]]))
    assert result.lower.tolist() == [0, 1, 1, 0] and result.inside.tolist() == [0, 3]
    assert result.separators[:, 0].tolist()[1:3] == [-1, 1]


def test_in_the_plane_by_angles():
    x = np.random.default_rng(0).standard_normal((200, 2))
    result = decodability(torch.from_numpy(x), tol=1e-9)
    for i in range(len(x)):
        angle = np.sort(np.arctan2(*differences(x, i).T))
        span = 2 * math.pi - np.diff(np.append(angle, angle[0] + 2 * math.pi)).max()  # all but the widest gap
        assert result.upper[i].item() == pytest.approx(max(0.0, math.cos(min(span, math.pi) / 2)), abs=1e-8)


@pytest.mark.parametrize(("v", "d", "rho"), [(1024, 64, 0.5801057440), (2048, 128, 0.619920799)])
def test_known_answers(v, d, rho):
    result = decodability(sphere(v, d), tol=1e-9, only_min=True)
    assert result.rho == pytest.approx(rho, abs=2e-9) and result.rho_upper == pytest.approx(rho, abs=2e-9)


def test_every_gap_closes_at_size():
    result = decodability(sphere(1024, 64))
    assert result.gap <= 1e-6 and len(result.inside) == 0 and result.duplicates == []
    assert result.rho <= 0.5801057441 and result.rho_upper >= 0.5801057439


def test_duplicates_and_interior_rows_are_reported_by_row():
    x = torch.cat([cross(4), torch.zeros(1, 4), cross(4)[2:4], cross(4)[2:3]]).double()
    result = decodability(x)
    assert result.duplicates == [[2, 9, 11], [3, 10]] or result.duplicates == [[3, 10], [2, 9, 11]]
    assert result.inside.tolist() == [2, 3, 8, 9, 10, 11] and result.rho == 0 and result.rho_upper == 0
    once = decodability(x[:9])
    keep = [0, 1, 4, 5, 6, 7]
    assert torch.allclose(result.lower[keep], once.lower[keep], atol=2e-6)
    assert ((x[2] - x[[0, 1, 3, 4, 5, 6, 7, 8]]) @ result.separators[2]).min() > 0.5  # apart from its twins


def test_identical_rows_everywhere():
    result = decodability(torch.ones(4, 3))
    assert result.duplicates == [[0, 1, 2, 3]] and result.rho == result.rho_upper == result.gap == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 9), st.floats(-8, 8), st.floats(0, 4))
def test_invariant_under_rotation_translation_and_scaling(seed, v, d, log_scale, log_shift):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(v, d, generator=g, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64))[0]
    shift = 10**log_shift * torch.randn(d, generator=g, dtype=torch.float64)
    before = decodability(x, tol=1e-8)
    after = decodability(10**log_scale * (x @ turn + shift), tol=1e-8)
    assert torch.allclose(before.lower, after.lower, atol=5e-8, rtol=0)
    assert torch.allclose(before.upper, after.upper, atol=5e-8, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 25), st.integers(1, 6))
def test_a_further_value_never_helps(seed, v, d):
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert (decodability(x).lower[:-1] <= decodability(x[:-1]).upper + 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 80), st.integers(2, 12))
def test_only_min_agrees_and_keeps_true_bounds(seed, v, d):
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    full, quick = decodability(x), decodability(x, only_min=True)
    assert abs(quick.rho - full.rho) <= 2e-6 and quick.rho_upper - quick.rho <= 1e-6
    assert (quick.lower <= full.upper + 1e-12).all() and (full.lower <= quick.upper + 1e-12).all()


def test_only_min_leaves_safe_values_loose():
    full, quick = decodability(sphere(300, 16)), decodability(sphere(300, 16), only_min=True)
    assert ((quick.upper - quick.lower) > 1e-3).sum() > 200 and quick.gap > full.gap


def test_enough_and_which_leave_the_rest_alone():
    x = sphere(200, 8)
    full, some = decodability(x), decodability(x, which=torch.tensor([3, 150]), enough=0.05)
    assert (some.lower[[3, 150]] > 0.05).all() and (some.upper - some.lower)[[3, 150]].max() > 0.01
    others = [i for i in range(200) if i not in (3, 150)]
    assert (some.lower[others] == 0).all() and (some.upper[others] == 1).all()
    assert (some.lower <= full.upper).all() and (some.upper >= full.lower).all()


def test_blocks_do_not_matter(monkeypatch):
    x = sphere(90, 10)
    one = decodability(x, tol=1e-9)
    monkeypatch.setattr(solver, "block_size", lambda *_, **__: 1)  # 32 rows are the least that it takes at once
    many = decodability(x, tol=1e-9)
    assert torch.allclose(one.lower, many.lower, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lower_precision_input_is_computed_in_float64(dtype):
    x = sphere(100, 12).to(dtype)
    result = decodability(x)
    assert result.lower.dtype == result.upper.dtype == result.separators.dtype == torch.float64
    assert torch.equal(result.lower, decodability(x.double()).lower)


def test_separators_do_not_carry_gradients():
    assert not decodability(sphere(20, 4).requires_grad_()).separators.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees():
    x = sphere(300, 16)
    here, there = decodability(x, tol=1e-9), decodability(x.cuda(), tol=1e-9)
    assert there.lower.device.type == "cuda"
    assert torch.allclose(here.lower, there.lower.cpu(), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (torch.zeros(5), {}, r"2-D tensor .* got shape \(5,\)"),
        (torch.zeros(5, 0), {}, r"non-empty 2-D tensor .* got shape \(5, 0\)"),
        ([[0.0, 1.0]], {}, "2-D tensor .* got list"),
        (torch.zeros(1, 3), {}, "at least 2 rows, got 1"),
        (torch.zeros(4, 3, dtype=torch.int64), {}, "floating dtype, got torch.int64"),
        (torch.tensor([[0.0], [1.0], [math.nan]]), {}, "NaN .* row 2"),
        (torch.tensor([[0.0, 1], [math.inf, 1], [math.nan, 2]]), {}, r"infinite .* 2 row\(s\), the first is row 1"),
        (torch.eye(3), {"tol": 0.0}, "tol must be positive, got 0.0"),
        (torch.eye(3), {"tol": math.nan}, "tol must be positive, got nan"),
        (torch.eye(3), {"which": torch.tensor([0, 3])}, "which holds row 3, but values has rows 0 to 2"),
    ],
)
def test_bad_input_is_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        decodability(values, **options)


def test_an_unreachable_tolerance_warns():
    with pytest.warns(UserWarning, match=r"kept a gap above 1e-30"):
        decodability(sphere(12, 3), tol=1e-30)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 9))
def test_most_violated_finds_the_smallest(seed, v, k):
    scores = torch.randn(5, v, generator=torch.Generator().manual_seed(seed))
    value, column = most_violated(scores, k)
    assert torch.equal(value, scores.gather(1, column)) and torch.equal(value[:, 0], scores.amin(1))
    assert value.shape[1] == min(k, v) and all(len(set(row)) == len(row) for row in column.tolist())


# --- values of very different scales ---------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12), st.integers(2, 4), st.floats(100, 200), st.booleans())
def test_magnitudes_far_apart_are_refused_or_right(seed, v, d, decades, twins):
    """Margins by exact rational arithmetic: what is certified holds though squares of the entries underflow."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((v, d)) * 10.0 ** -generator.uniform(0, decades, (v, 1))
    if twins:  # two rows of ordinary size that differ in the last decades only
        x[0] /= np.abs(x[0]).max()
        x[0, 1] = 0.0
        x[-1] = x[0]
        x[-1, 1] = 10.0**-decades
    try:
        result = decodability(torch.from_numpy(x), tol=1e-6)
    except ValueError as error:
        assert "such different scales cannot be compared" in str(error)
        return
    for i, u in enumerate(result.separators.tolist()):
        assert math.isfinite(result.lower[i]) and 0 <= result.lower[i] <= result.upper[i] <= 1 + 1e-12
        if result.lower[i] > 0:
            assert exact_margin(x, i, u) >= float(result.lower[i]) * (1 - 1e-6) - 1e-9


def exact_margin(x: np.ndarray, i: int, u: list[float]) -> float:
    """min over j of ⟨v_i − v_j, u⟩ / ‖v_i − v_j‖ in fractions, rounded once at the end."""
    smallest = math.inf
    for j in range(len(x)):
        if j == i:
            continue
        z = [Fraction(a) - Fraction(b) for a, b in zip(x[i].tolist(), x[j].tolist())]
        largest = max(map(abs, z))
        if largest == 0:
            return 0.0
        z = [float(part / largest) for part in z]
        smallest = min(smallest, sum(a * b for a, b in zip(z, u)) / math.hypot(*z))
    return smallest


@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
def test_a_power_of_two_changes_no_bit(power):
    x = sphere(40, 6)
    plain, scaled = decodability(x), decodability(torch.ldexp(x, torch.tensor(power)))
    assert torch.equal(plain.lower, scaled.lower) and torch.equal(plain.separators, scaled.separators)


def test_rows_that_differ_below_what_a_square_can_hold_are_refused_by_row():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1e-170], [0.0, 2e-170]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"values\[2\] and another row differ by less than 1e-140"):
        decodability(x)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_inside_the_modes_that_record_nothing(mode):
    x = sphere(30, 5)
    with mode():
        result = decodability(x + 0)
    assert torch.equal(result.lower, decodability(x).lower)

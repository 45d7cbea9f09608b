"""Decodability against an independent solver (least squares), closed forms and direct differences."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from factcore.geometry import decodability, most_confusable, whiten
from factcore.geometry.differences import most_violated


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Problems this small lose more by waiting for a second thread than they gain, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def test_stop_below_stops_early_and_keeps_true_bounds():
    x = torch.cat([sphere(300, 6), torch.zeros(1, 6, dtype=torch.float64)])
    result = decodability(x, stop_below=1e-6, block=16)
    assert result.inside.tolist() == [300] and result.rho == 0 and result.rho_upper <= 1e-6
    assert (result.upper == 1).sum() > 200  # never reached
    assert decodability(sphere(300, 6), stop_below=1e-6).gap <= 1e-6


def test_enough_and_which_leave_the_rest_alone():
    x = sphere(200, 8)
    full, some = decodability(x), decodability(x, which=torch.tensor([3, 150]), enough=0.05)
    assert (some.lower[[3, 150]] > 0.05).all() and some.iterations < full.iterations
    others = [i for i in range(200) if i not in (3, 150)]
    assert (some.lower[others] == 0).all() and (some.upper[others] == 1).all()
    assert (some.lower <= full.upper).all() and (some.upper >= full.lower).all()


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_do_not_matter(block):
    x = sphere(90, 10)
    one, many = decodability(x, tol=1e-9), decodability(x, tol=1e-9, block=block)
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
    here, there = decodability(x, tol=1e-9), decodability(x, tol=1e-9, device="cuda")
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
        (torch.eye(3), {"block": 0}, "block must be at least 1, got 0"),
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


def test_whiten_gives_unit_covariance_and_its_inverse():
    x = sphere(200, 6) * torch.arange(1.0, 7) + 3
    white, unwhiten = whiten(x)
    assert torch.allclose(torch.cov(white.T, correction=0), torch.eye(6, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(white.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(unwhiten(white), x, atol=1e-12)
    rest = whiten(x.float(), ridge=0.1)
    assert rest[0].dtype == torch.float32 and torch.allclose(rest[1](rest[0]), x.float(), atol=1e-5)
    variance = torch.linalg.eigvalsh(torch.cov(rest[0].double().T, correction=0))
    spectrum = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    assert torch.allclose(variance, spectrum / (spectrum + 0.1 * spectrum.mean()), atol=1e-5)


def test_whitening_undoes_a_linear_stretch():
    stretch = torch.linspace(1, 30, 16, dtype=torch.float64)
    stretched = sphere(300, 16) * stretch
    assert decodability(whiten(stretched)[0]).rho > decodability(stretched).rho + 0.1


@pytest.mark.parametrize(
    ("values", "ridge", "message"),
    [
        (torch.zeros(3), 0, "2-D tensor"),
        (torch.zeros(3, 2, dtype=torch.int32), 0, "floating dtype, got torch.int32"),
        (torch.eye(3), -1, "ridge must be non-negative, got -1"),
        (torch.eye(4), 0, "rank 3 of 4: pass ridge"),
        (torch.tensor([[0.0], [math.nan]]), 0, "NaN .* row 1"),
    ],
)
def test_whiten_bad_input_is_named(values, ridge, message):
    with pytest.raises(ValueError, match=message):
        whiten(values, ridge)


def test_most_confusable_names_the_binding_pair():
    # A square with a flat roof: its ridge sees its two nearest corners at almost a straight angle.
    x = torch.tensor([[0.0, 0], [10, 0], [10, 10], [0, 10], [5, 10.1]], dtype=torch.float64)
    first = most_confusable(x, 1, names=list("abcde"))[0]
    assert first.i == 4 and first.j in (2, 3) and first.names == ("e", "dc"[first.j == 2])
    assert first.margin == pytest.approx(math.cos(math.atan2(5, 0.1)), abs=1e-6)


def test_most_confusable_is_sorted_unique_and_attained():
    x = sphere(120, 6)
    result = decodability(x)
    pairs = most_confusable(x, 15, result=result)
    assert len(pairs) == 15 == len({frozenset(p[:2]) for p in pairs})
    assert [p.margin for p in pairs] == sorted(p.margin for p in pairs) and pairs[0].margin == result.rho
    for i, j, margin, _ in pairs:  # the partner's constraint is active at the separator
        z = torch.nn.functional.normalize(x[i] - x[j], dim=0)
        assert (z @ result.separators[i]).item() == pytest.approx(margin, abs=1e-5)


def test_most_confusable_pairs_twins_and_interior_rows():
    x = torch.cat([cross(3), cross(3)[1:2], torch.tensor([[0.1, 0, 0]], dtype=torch.float64)])
    pairs = most_confusable(x, 3)
    assert {frozenset(p[:2]) for p in pairs if p.margin == 0} >= {frozenset((1, 6))}
    assert any(7 in p[:2] for p in pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"names": ["a"]}, "names has 1 entries for 9 values"),
        ({"result": decodability(torch.eye(3))}, "result is for 3 values, not 9"),
    ],
)
def test_most_confusable_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        most_confusable(torch.eye(9), **options)

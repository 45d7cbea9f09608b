"""Projections: certified by linear programs, never longer than the simpler kinds, the same each time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import factcore as fc
from factcore.constructions.decoder import choose_codes, projection_basis
from factcore.constructions.projection import (
    PROJECTIONS,
    equal_norms,
    fitted_projection,
    placed_projection,
    short_projection,
    shortest,
)
from factcore.geometry import undecodable
from factcore.support.streams import stream


def sphere(v, d, seed=0):
    return fc.spherical_facts(v, d, seed=seed, dtype=torch.float64).values


def points_of(v, d, seed=0):
    return torch.randn(v, d, generator=torch.Generator().manual_seed(seed + 50), dtype=torch.float64)


def basis(d, seed=0):
    return projection_basis(d, torch.Generator().manual_seed(seed))


def is_vertex(points, i):
    """Whether a linear program finds a c with ⟨c, w_i − w_j⟩ ≥ 1 for every other j; scipy, apart from the package."""
    differences = np.delete(points[i] - points, i, axis=0)
    differences /= np.linalg.norm(differences, axis=1, keepdims=True)
    found = linprog(np.zeros(points.shape[1]), A_ub=-differences, b_ub=-np.ones(len(differences)), bounds=(None, None))
    return found.status == 0


@settings(deadline=None, max_examples=6)
@given(v=st.integers(2, 40), d=st.integers(2, 10), seed=st.integers(0, 20))
def test_every_value_is_a_vertex_by_a_linear_program(v, d, seed):
    values, everything = sphere(v, d, seed), torch.arange(v)
    found = {kind: short_projection(values, everything, basis(d, seed), kind) for kind in PROJECTIONS}
    for projection in found.values():
        points = (values @ projection).numpy()
        assert all(is_vertex(points, i) for i in range(v))
    assert found["optimised"].shape[1] <= found["equal-norms"].shape[1]


@settings(deadline=None, max_examples=60)
@given(smallest=st.integers(1, 60), guess=st.integers(1, 60), most=st.integers(1, 50))
def test_the_shortest_that_succeeds_is_found_or_none(smallest, guess, most):
    asked = []

    def attempt(m):
        asked.append(m)
        return m if m >= smallest else None

    assert shortest(attempt, guess, most) == (smallest if smallest <= most else None)
    assert len(set(asked)) == len(asked) and 1 <= min(asked) <= max(asked) <= most


@settings(deadline=None, max_examples=20)
@given(v=st.integers(2, 20), extra=st.integers(0, 10), idle=st.integers(0, 3), seed=st.integers(0, 20))
def test_affinely_independent_values_are_placed_on_a_circle(v, extra, idle, seed):
    """v points of one hyperplane at most: no point of it lies in the hull of the others, and two numbers tell them."""
    values = points_of(v + idle, v + idle - 1 + extra, seed) + 3
    used = torch.randperm(v + idle, generator=torch.Generator().manual_seed(seed))[:v].sort().values
    projection = placed_projection(values, used, torch.float64)
    points = (values @ projection).numpy()
    assert projection.shape[1] == (1 if v == 2 else 2)
    assert all(is_vertex(points, i) for i in used.tolist())
    centred = points[used] - points[used].mean(axis=0)
    radii = np.linalg.norm(centred, axis=1)
    np.testing.assert_allclose(radii, radii.mean(), rtol=1e-6)


def test_values_that_depend_on_each_other_are_not_placed():
    assert placed_projection(points_of(9, 7), torch.arange(9), torch.float64) is None
    assert placed_projection(points_of(8, 7), torch.arange(8), torch.float64) is not None


def test_undecodable_are_those_without_a_linear_program():
    values = sphere(30, 6)
    projected = values @ basis(6)[:, :3]
    expected = [i for i in range(30) if not is_vertex(projected.numpy(), i)]
    assert 0 < len(expected) < 30
    assert undecodable(projected, torch.arange(30)).tolist() == expected
    assert len(undecodable(projected, torch.tensor(expected[:0], dtype=torch.int64))) == 0


def test_equal_norms_halve_the_length_of_random_columns():
    values, everything = sphere(256, 32), torch.arange(256)
    lengths = {kind: short_projection(values, everything, basis(32), kind).shape[1] for kind in PROJECTIONS}
    assert lengths["optimised"] <= lengths["equal-norms"] <= 0.6 * lengths["random"]


def test_equal_norms_are_what_the_sweeps_end_at():
    """Where as many columns as dimensions are left, values of one norm stay where they are, up to a scale."""
    values, everything = sphere(60, 12), torch.arange(60)
    spread = lambda down: float((w := (values - values.mean(dim=0)) @ down).norm(dim=1).std() / w.norm(dim=1).mean())  # noqa: E731
    before = basis(12)[:, :6]
    after = equal_norms(values, everything, before)
    assert after.shape == (12, 6) and spread(after) < 0.5 * spread(before)


def test_fitting_decodes_what_the_start_hides():
    values, everything = sphere(128, 32), torch.arange(128)
    before = basis(32)[:, :6]
    after = fitted_projection(values, everything, before)
    assert len(undecodable(values @ before, everything)) > 20
    assert len(undecodable(values @ after, everything)) == 0
    assert torch.equal(after, fitted_projection(values, everything, before))


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_scale_and_shift_of_the_values_do_not_matter(kind):
    values, everything = sphere(40, 8), torch.arange(40)
    moved = 1000 * values + 7
    one, other = (short_projection(x, everything, basis(8), kind) for x in (values, moved))
    torch.testing.assert_close(one / one.norm(), other / other.norm(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_only_the_used_values_need_to_be_vertices(kind):
    values = torch.cat([sphere(30, 8), sphere(30, 8).mean(dim=0, keepdim=True)])
    projection = short_projection(values, torch.arange(30), basis(8), kind)
    points = (values @ projection).numpy()
    assert projection.shape[1] < 8 and all(is_vertex(points, i) for i in range(30))


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_values_that_nothing_separates_leave_the_whole_basis(kind):
    inside = torch.cat([sphere(30, 6), sphere(30, 6).mean(dim=0, keepdim=True)])
    twins = torch.cat([sphere(30, 6), sphere(30, 6)[:1]])
    for values in (inside, twins):
        projection = short_projection(values, torch.arange(31), basis(6), kind)
        torch.testing.assert_close(projection, basis(6))


@pytest.mark.parametrize("kind", PROJECTIONS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_smallest_dimensions(kind, d):
    two = torch.eye(2, d, dtype=torch.float64) - 0.5  # distinct for every d
    assert short_projection(two, torch.arange(2), basis(d), kind).shape == (d, 1)
    if d == 1:
        three = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)  # the middle one lies between the others
        assert short_projection(three, torch.arange(3), basis(1), kind).shape == (1, 1)
        assert undecodable(three, torch.arange(3)).tolist() == [1]
    if d == 2:
        angles = torch.arange(7, dtype=torch.float64)
        circle = torch.stack([angles.cos(), angles.sin()], dim=1)
        assert short_projection(circle, torch.arange(7), basis(2), kind).shape == (2, 2)


def test_two_used_values_may_need_one_column():
    values = sphere(30, 6)
    values[:2] = 3 * torch.eye(2, 6, dtype=torch.float64) * torch.tensor([[1.0], [-1.0]])
    assert short_projection(values, torch.arange(2), basis(6), "optimised").shape == (6, 1)


def test_fewer_values_than_dimensions():
    values = sphere(5, 40)
    assert short_projection(values, torch.arange(5), basis(40), "optimised").shape[1] <= 2


@pytest.mark.parametrize("kind", [None, *PROJECTIONS])
def test_construct_stores_everything_in_float32(kind):
    facts = fc.spherical_facts(200, 24, seed=2)
    mlp = fc.construct(facts, projection=kind)
    assert fc.recall(mlp, facts) == 1.0
    drawn = projection_basis(24, stream(0, "projection"))
    m = short_projection(facts.values.double(), torch.arange(200), drawn, kind).shape[1]
    assert mlp.width == m * -(-200 // 24)


def test_a_given_length_is_kept_and_met_where_the_search_meets_it():
    facts = fc.spherical_facts(100, 16)
    shortest = fc.construct(facts).width // 7
    for m in (shortest, shortest + 1):
        mlp = fc.construct(facts, code_dim=m)
        assert mlp.width == 7 * m and fc.recall(mlp, facts) == 1.0
    with pytest.raises(ValueError, match=r"of 100 facts are lost at width \d+, the first in row"):
        fc.construct(facts, code_dim=shortest, projection="random")
    plain = choose_codes(facts, "separators", shortest, 0, projection="random")
    torch.testing.assert_close(plain.projection, projection_basis(16, stream(0, "projection"))[:, :shortest])


def test_random_is_the_first_length_at_which_nothing_is_hidden():
    values, everything = sphere(80, 12), torch.arange(80)
    m = short_projection(values, everything, basis(12), "random").shape[1]
    assert len(undecodable(values @ basis(12)[:, :m], everything)) == 0
    assert len(undecodable(values @ basis(12)[:, : m - 1], everything)) > 0


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"projection": "best"},
            r"projection must be one of \['equal-norms', 'optimised', 'random', None\], got 'best'",
        ),
        (
            {"codes": "projected", "projection": "equal-norms"},
            r"with codes='projected', projection must be one of \['rand",
        ),
    ],
)
def test_unknown_kinds_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(20, 8), **options)


def test_unknown_kind_of_the_function():
    with pytest.raises(ValueError, match="projection must be one of .* got 'best'"):
        short_projection(sphere(4, 3), torch.arange(4), basis(3), "best")

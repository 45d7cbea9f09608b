"""Projections: certified by linear programs, never longer than the simpler kinds, the same each time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import factcore as fc
from factcore.constructions import projection as projections
from factcore.constructions.decoder import choose_codes, projection_basis
from factcore.constructions.projection import (
    PROJECTIONS,
    aimed_projection,
    fitted_projection,
    optimised_projection,
    random_projection,
    short_projection,
)
from factcore.geometry import undecodable
from factcore.support.streams import stream


def sphere(v, d, seed=0):
    return fc.spherical_facts(v, d, seed=seed, dtype=torch.float64).values


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
        torch.testing.assert_close(
            projection.T @ projection, torch.eye(projection.shape[1], dtype=torch.float64), atol=1e-10, rtol=0
        )
    lengths = [found[kind].shape[1] for kind in PROJECTIONS]
    assert lengths == sorted(lengths), "optimised <= aimed <= random"


def test_undecodable_are_those_without_a_linear_program():
    values = sphere(30, 6)
    projected = values @ basis(6)[:, :3]
    expected = [i for i in range(30) if not is_vertex(projected.numpy(), i)]
    assert 0 < len(expected) < 30
    assert undecodable(projected, torch.arange(30)).tolist() == expected
    assert len(undecodable(projected, torch.tensor(expected[:0], dtype=torch.int64))) == 0


def test_optimised_halves_the_aimed_length():
    values, everything = sphere(256, 32), torch.arange(256)
    aimed = aimed_projection(values, everything, basis(32))
    optimised = optimised_projection(values, everything, basis(32))
    assert optimised.shape[1] <= 0.6 * aimed.shape[1]
    assert fc.decodability(values @ optimised, tol=1e-3).rho > 2e-3


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
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


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
    assert optimised_projection(values, torch.arange(2), basis(6)).shape == (6, 1)


def test_fewer_values_than_dimensions():
    values = sphere(5, 40)
    assert optimised_projection(values, torch.arange(5), basis(40)).shape[1] <= 2


def test_beyond_the_affordable_size_columns_are_aimed(monkeypatch):
    values, everything = sphere(60, 16), torch.arange(60)
    monkeypatch.setattr(projections, "OPTIMISE_UP_TO", 59)
    assert torch.equal(short_projection(values, everything, basis(16)), aimed_projection(values, everything, basis(16)))
    short = short_projection(values, everything, basis(16), "optimised")
    assert short.shape[1] < aimed_projection(values, everything, basis(16)).shape[1]
    assert torch.equal(short, optimised_projection(values, everything, basis(16)))


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
    m = random_projection(values, everything, basis(12)).shape[1]
    assert len(undecodable(values @ basis(12)[:, :m], everything)) == 0
    assert len(undecodable(values @ basis(12)[:, : m - 1], everything)) > 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"projection": "best"}, r"projection must be one of \['optimised', 'aimed', 'random', None\], got 'best'"),
        ({"codes": "projected", "projection": "aimed"}, r"with codes='projected', projection must be one of \['rand"),
    ],
)
def test_unknown_kinds_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fc.construct(fc.spherical_facts(20, 8), **options)


def test_unknown_kind_of_the_function():
    with pytest.raises(ValueError, match="projection must be one of .* got 'best'"):
        short_projection(sphere(4, 3), torch.arange(4), basis(3), "best")

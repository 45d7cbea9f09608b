"""The geometry to turn by hand: its JavaScript against factcore, closed forms and what its text claims."""

import importlib.util
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from py_mini_racer import MiniRacer

from factcore.geometry import decodability, most_confusable, whiten

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
GEOMETRIES = ["sphere", "gaussian", "spiked", "clusters", "even"]


@pytest.fixture(scope="module")
def js():
    """Calls a function of the page's scripts, which load without a page, on arguments sent as JSON."""
    with MiniRacer() as engine:
        engine.eval((STATIC / "explore_maths.js").read_text() + (STATIC / "explore.js").read_text())

        def call(function, *arguments):
            return json.loads(engine.eval(f"JSON.stringify(({function})({', '.join(map(json.dumps, arguments))}))"))

        yield call


def state(geometry="sphere", n=20, d=3, strength=0.0, seed=0, whiten=False, normalise=False):
    return locals()


def rows_of(js, **options):
    return js("exploreMaths.values", state(**options))["rows"]


def rho_of(js, **options):
    return js("exploreMaths.decodability", rows_of(js, **options))["rho"]


def units(x, i):
    z = x[i] - x
    with np.errstate(invalid="ignore", divide="ignore"):
        return z / np.linalg.norm(z, axis=1, keepdims=True)


def check(js, x, tol=1e-9):
    """The script's answer for values x (v, d): its certificates, recomputed here, and factcore's bounds."""
    found = js("exploreMaths.decodability", x.tolist())
    ours = decodability(torch.from_numpy(x), tol=tol)
    for i, item in enumerate(found["items"]):
        assert 0 <= item["lower"] <= item["upper"] <= item["lower"] + tol
        assert item["lower"] <= ours.upper[i] + 1e-9 and ours.lower[i] <= item["upper"] + 1e-9
        assert (item["twin"] >= 0) == any(i in group for group in ours.duplicates)
        assert item["inside"] == (item["separator"] is None)
        assert item["weights"][item["support"].index(item["partner"])] == max(item["weights"])
        if item["twin"] >= 0:
            assert (x[item["twin"]] == x[i]).all() and item["twin"] != i
            continue
        z, weights = units(x, i), np.array(item["weights"])
        assert (weights >= 0).all() and weights.sum() == pytest.approx(1, abs=1e-12)
        assert np.linalg.norm(weights @ z[item["support"]]) == pytest.approx(item["upper"], abs=1e-9)
        if not item["inside"]:
            scores = z @ item["separator"]
            assert np.linalg.norm(item["separator"]) == pytest.approx(1, abs=1e-12)
            assert np.nanmin(scores) == pytest.approx(item["lower"], abs=1e-9)
            binding = [j for j in range(len(x)) if j != i and scores[j] <= item["lower"] + 1e-7]
            assert item["binding"] == binding
    assert found["rho"] <= ours.rho_upper + 1e-9 and ours.rho <= found["rhoUpper"] + 1e-9
    assert found["items"][found["worst"]]["lower"] == found["rho"]
    assert found["inside"] == sum(item["inside"] for item in found["items"])
    return found


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_geometries_match_factcore(js, geometry, d):
    low, high = js("(key) => exploreMaths.geometries[key].range", geometry)
    for seed, n in enumerate([3, 4, 9, 17, 40]):
        look = {"normalise": seed % 2 == 1, "whiten": seed % 3 == 2 and n > d}
        strength = low + (high - low) * (seed % 4) / 3
        rows = np.array(rows_of(js, geometry=geometry, n=n, d=d, strength=strength, seed=seed, **look))
        assert rows.shape == (n, d) and np.isfinite(rows).all()
        found = check(js, rows)
        if geometry in ("spiked", "clusters") or look["normalise"]:
            assert found["inside"] == 0  # distinct points of a sphere are corners


CLOUDS = {
    "integers": lambda g, v, d: g.integers(-2, 3, (v, d)).astype(float),
    "one line": lambda g, v, d: np.outer(g.standard_normal(v), g.standard_normal(d)),
    "one plane": lambda g, v, d: g.standard_normal((v, 2)) @ g.standard_normal((2, d)),
    "antipodal": lambda g, v, d: np.vstack([x := g.standard_normal((v, d)), -x]),
    "duplicates": lambda g, v, d: g.standard_normal((v, d))[g.integers(0, v, v)],
    "tight": lambda g, v, d: g.standard_normal((3, d))[g.integers(0, 3, v)] + 1e-7 * g.standard_normal((v, d)),
    "tiny": lambda g, v, d: 1e-9 * g.standard_normal((v, d)),
    "far away": lambda g, v, d: 1e6 + g.standard_normal((v, d)),
    "flat": lambda g, v, d: g.standard_normal((v, d)) * np.r_[1e-3, np.ones(d - 1)],
    "all the same": lambda g, v, d: np.ones((v, d)),
}


@pytest.mark.parametrize("kind", CLOUDS)
def test_degenerate_values_match_factcore(js, kind):
    for seed in range(6):
        g = np.random.default_rng(seed)
        # Where rho_i is near 1e-8, square root of the rounding error, no direction is known better.
        check(js, CLOUDS[kind](g, int(g.integers(2, 25)), 1 + seed % 3), tol=5e-8)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    d=st.integers(1, 3), rows=st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=2, max_size=16)
)
def test_grid_points_match_factcore(js, d, rows):
    check(js, np.array(rows, dtype=float)[:, :d], tol=5e-8)


@pytest.mark.parametrize(
    ("n", "d", "rho"),
    [(5, 2, math.sin(math.pi / 5)), (24, 2, math.sin(math.pi / 24)), (4, 3, math.sqrt(2 / 3)), (6, 3, math.sqrt(0.5))],
)
def test_regular_shapes_have_their_closed_form(js, n, d, rho):
    found = js("exploreMaths.decodability", js("exploreMaths.even", n, d))
    assert found["rho"] == pytest.approx(rho, abs=1e-12) and found["rhoUpper"] == pytest.approx(rho, abs=1e-12)


@pytest.mark.parametrize("d", [2, 3])
def test_whitening_is_factcores(js, d):
    for seed in range(5):
        x = torch.tensor(rows_of(js, geometry="gaussian", d=d, strength=5, seed=seed), dtype=torch.float64)
        assert torch.allclose(torch.tensor(js("exploreMaths.whiten", x.tolist()), dtype=torch.float64), whiten(x)[0])
    assert js("exploreMaths.whiten", [[float(k)] * d for k in range(6)]) is None
    assert js("exploreMaths.values", state(n=3, whiten=True))["whitened"] is False


def test_draws_are_normal_and_repeatable(js):
    x = np.array([rows_of(js, geometry="gaussian", n=60, strength=1, seed=seed) for seed in range(51)])
    assert abs(x.mean()) < 0.04 and abs(x.std() - 1) < 0.03  # 9,180 numbers: four standard errors
    assert abs(np.corrcoef(x.reshape(-1, 3).T)[np.triu_indices(3, 1)]).max() < 0.075
    assert len({round(row, 9) for row in x[:, 0, 0]}) == 51
    assert rows_of(js, geometry="gaussian", n=60, strength=1, seed=4) == x[4].tolist()
    few, many = (rows_of(js, geometry="spiked", n=n, strength=2) for n in (5, 9))
    assert few == many[:5]


def test_most_confusable_pair_is_factcores(js):
    for seed in range(8):
        rows = rows_of(js, geometry="spiked", n=15, strength=2.0, seed=seed)
        found = js("exploreMaths.decodability", rows)
        pair = most_confusable(torch.tensor(rows, dtype=torch.float64), 1)[0]
        assert (pair.i, pair.j) == (found["worst"], found["items"][found["worst"]]["partner"])


def test_hull_edges(js):
    assert len(js("exploreMaths.hullEdges", js("exploreMaths.even", 7, 2))) == 7
    assert len(js("exploreMaths.hullEdges", js("exploreMaths.even", 6, 3))) == 12
    rows = rows_of(js, n=30)
    edges = js("exploreMaths.hullEdges", rows)
    assert len(edges) == 3 * 30 - 6  # Euler: every face of the hull of points on a sphere is a triangle
    assert {i for pair in edges for i in pair} == set(range(30))


def test_curve_has_the_values_it_plots(js):
    options = {"geometry": "spiked", "n": 12, "seed": 2}
    points = js("exploreMaths.curve", state(**options, strength=1.0))
    assert [t for t, _ in points] == pytest.approx(np.linspace(0, 6, 15))
    assert [r for _, r in points] == [rho_of(js, **options, strength=t) for t, _ in points]


def draws(js, seeds=30, **options):
    return np.array([rho_of(js, seed=seed, **options) for seed in range(seeds)])


def test_what_the_text_claims(js):
    inside = [js("exploreMaths.decodability", rows_of(js, geometry="gaussian", strength=1, d=2, seed=s))["inside"]
              for s in range(10)]  # fmt: skip
    assert min(inside) > 0
    flat, solid = draws(js, d=2), draws(js, d=3)
    assert (solid > flat).all()
    assert (draws(js, n=30) <= solid).all()  # more values
    spiked = draws(js, geometry="spiked", strength=6.0)
    assert (spiked < solid).mean() > 0.9
    steep = {"geometry": "spiked", "strength": 3.0}
    assert (draws(js, **steep, whiten=True) < draws(js, **steep)).mean() > 0.9
    assert (draws(js, **steep, whiten=True, normalise=True) > draws(js, **steep)).mean() > 0.9
    stretched = {"geometry": "gaussian", "normalise": True}
    assert (draws(js, **stretched, strength=8.0) < draws(js, **stretched, strength=1.0)).mean() > 0.9
    whitened = [draws(js, **stretched, strength=t, whiten=True) for t in (1.0, 8.0)]
    assert whitened[0] == pytest.approx(whitened[1], abs=1e-9)


def test_whitening_moves_no_value_into_or_out_of_the_hull(js):
    for seed in range(10):
        rows = [rows_of(js, geometry="gaussian", strength=4.0, seed=seed, whiten=w) for w in (False, True)]
        before, after = ([item["inside"] for item in js("exploreMaths.decodability", x)["items"]] for x in rows)
        assert before == after


@pytest.mark.parametrize("d", [2, 3])
def test_picture_marks_every_value(js, d):
    rows = rows_of(js, geometry="gaussian", n=25, d=d, strength=1)
    found, edges = js("exploreMaths.decodability", rows), js("exploreMaths.hullEdges", rows)
    outer = next(i for i, item in enumerate(found["items"]) if not item["inside"])
    picture = js("explorePictures.scene", rows, found, {"turn": 0.4, "tilt": 0.3}, outer, edges)
    drawn = ElementTree.fromstring(f"<svg>{picture['svg']}</svg>")
    kinds = [element.get("class", "").split() for element in drawn.iter()]
    marks = [element for element in drawn.iter() if element.get("data-value")]
    assert sorted(int(mark.get("data-value")) for mark in marks) == list(range(1, 26))
    for mark in marks:  # another shape, not colour alone
        inside = found["items"][int(mark.get("data-value")) - 1]["inside"]
        assert ("inside" in mark.get("class").split(), mark.tag) == ((True, "path") if inside else (False, "circle"))
    assert sum("separator" in kind for kind in kinds) == 25 - found["inside"]
    assert sum("cone" in kind for kind in kinds) == 1 and sum("ring" in kind for kind in kinds) == 2
    assert (np.array(picture["at"])[:, :2] > 20).all() and (np.array(picture["at"])[:, :2] < 460).all()


def test_cone_holds_all_values_and_binding_ones_touch_it(js):
    rows = rows_of(js, n=9, d=2)
    found = js("exploreMaths.decodability", rows)
    picture = js("explorePictures.scene", rows, found, {"turn": 0, "tilt": 0}, found["worst"], [])
    path = re.search(r'class="cone" d="M(\S+) (\S+)L(\S+) (\S+)A\S+ \S+ 0 0 0 (\S+) (\S+)Z"', picture["svg"]).groups()
    apex, left, right = np.array(path, dtype=float).reshape(3, 2)
    points = np.delete(np.array(picture["at"])[:, :2], found["worst"], axis=0) - apex
    inwards = np.linalg.solve(np.array([left - apex, right - apex]).T, points.T)
    assert (inwards > -1e-2).all() and (np.abs(inwards).min(1) < 1e-2).all()
    # sweep flag 0: anticlockwise on the screen from the first rim point to the second, through -separator
    (ax, ay), (bx, by) = left - apex, right - apex
    assert ax * by - ay * bx < 0


def test_words_and_numbers(js):
    found = js("exploreMaths.decodability", [[0, 0], [4, 0], [0, 3], [1, 1], [4, 0]])
    words = [js("explorePictures.words", found, i) for i in range(5)]
    assert "0.707106 ≤ ρᵢ ≤ 0.707107. Separator (−0.707, −0.707)" in words[0]
    assert words[3].startswith("Value 4 is no corner of the hull")
    assert words[1].startswith("Value 2 (the worst) coincides with value 5")
    assert js("explorePictures.down", 0.1234567) == "0.123456" and js("explorePictures.up", 0.1234561) == "0.123457"


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_plot_stays_in_its_frame(js, geometry):
    look = state(geometry=geometry, n=8, d=2, strength=js("(key) => exploreMaths.geometries[key].start", geometry))
    curves = [js("exploreMaths.curve", look | {"seed": seed}) for seed in range(3)]
    drawn = ElementTree.fromstring(f"<svg>{js('explorePictures.plot', curves, look, curves[0][3][1])}</svg>")
    lines = [element for element in drawn.iter() if element.tag == "polyline"]
    assert [line.get("class") for line in lines] == ["other", "other", "shown"]
    points = np.array([[float(x) for x in pair.split(",")] for line in lines for pair in line.get("points").split()])
    assert (points >= [56, 8]).all() and (points <= [288, 128]).all()


def test_page_names_files_that_exist_and_reads_nothing_else():
    page = (ROOT / "book" / "parts" / "explore.md").read_text()
    for name in re.findall(r'(?:src|href)="\.\./_static/([^"]+)"', page):
        assert (STATIC / name).is_file(), name
    assert len(re.findall(r'(?:src|href)="', page)) == 4
    sources = [STATIC / name for name in ("explore.js", "explore_maths.js", "explore.css")]
    assert sum(source.stat().st_size for source in sources) < 40_000
    for source in sources:
        assert not re.search(r"https?:|@import|url\(|fetch\(|import\(|XMLHttp", source.read_text()), source.name


def test_still_picture_is_what_its_script_computes():
    spec = importlib.util.spec_from_file_location("explore_fallback", ROOT / "scripts" / "explore_fallback.py")
    fallback = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fallback)

    def texts(svg):
        return [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")]

    committed = texts((STATIC / "explore.svg").read_bytes())
    assert committed == texts(fallback.picture())
    for name, values in fallback.geometries().items():
        assert f"{name}: ρ = {decodability(values).rho:.3f}" in committed

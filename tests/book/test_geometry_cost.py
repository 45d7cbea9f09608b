"""The study of geometries: its words hold on the committed tables, and its numbers against closed forms."""

import math

import numpy as np
import pandas as pd
import pytest

from factbook import geometry_cost, store
from factbook.claims import embeddings, ours
from factbook.claims.judging import signed


@pytest.fixture(scope="module")
def rows():
    return geometry_cost.with_columns(store.read_table(store.results_file("geometry", "laptop")))


def test_what_the_page_says_holds(rows):
    """Its sentences that are typed: who leads, with the spiked values and without, and what whitening does."""
    stored = rows[rows.outcome == "stored"]
    assert (rows.outcome == "stored").sum() + (rows.rho == 0).sum() == len(rows)  # "the other were stored by both"
    power = geometry_cost.powers(stored)
    without = geometry_cost.powers(stored[stored.family != "spiked"]).r2
    assert [power.r2[cost].idxmax() for cost in geometry_cost.COSTS] == ["rho", "rho"]
    assert without["trained"].idxmax() == "rho"
    more = without["encoder_decoder"]["effective_rank"] - without["encoder_decoder"]["rho"]
    assert 0 < more < 0.1  # "at least as well"
    assert without["encoder_decoder", "rho"] < power.r2["encoder_decoder", "rho"] - 0.1  # "the fit weakens"
    assert without["encoder_decoder"].drop("rho").idxmax() == "effective_rank"
    paired = stored.merge(store.stored("geometry_optimised", "laptop")[[*geometry_cost.KEY, "optimised"]])
    assert geometry_cost.powers(paired, ("optimised",)).r2["optimised"].idxmax() == "median_rho"
    assert geometry_cost.lead(power).low["trained"] < 0  # "about as well as the hardest"
    ratio = geometry_cost.whitening(rows)
    assert ratio.rho.idxmin() == "spiked 8" and ratio.loc["clusters 0.1", "trained"] < 1
    assert ratio.loc["low-rank 0.1", ["rho", "encoder_decoder"]].min() > 1  # both rise
    assert not geometry_cost.own_codes()["R² of the form"].str.match("\\d").any()  # "negative"
    assert -1 < power.slope["encoder_decoder", "rho"] < 0


def test_the_page_and_the_claims_say_the_same(rows):
    lead = geometry_cost.lead(geometry_cost.powers(rows[rows.outcome == "stored"]))
    found = ours.rho_before_plainer_numbers(store.committed)
    value, *ends = lead.loc["encoder_decoder", ["ahead", "low", "high"]]
    assert found.number.endswith(f" {signed(value)}") and found.interval == f"95%: {' to '.join(map(signed, ends))}"
    own = geometry_cost.own_codes().loc["all"]
    rank, power = (
        embeddings.rho_foretells_construction(store.committed),
        embeddings.inverse_square_of_rho(store.committed),
    )
    assert rank.number.startswith(f"rank correlation {own['rank correlation'].split()[0]} ")
    assert f"R² {own['R²'].split()[0]};" in rank.number
    assert power.number.startswith(f"exponent {own.exponent.split()[0]} ")


def made_up(exponent: float) -> pd.DataFrame:
    """Costs 3 n log v ρ^exponent of values whose ρ is drawn."""
    rho = np.random.default_rng(0).uniform(0.05, 0.6, 24)
    n = np.repeat([128, 256], 12)
    cost = 3 * n * np.log(n) * rho**exponent
    geometry = [f"made {k % 6}" for k in range(24)]
    return pd.DataFrame({"geometry": geometry, "n": n, "rho": rho, "trained": cost, "encoder_decoder": cost})


def test_the_papers_form_is_recognised_where_it_holds():
    assert geometry_cost.form(made_up(-2.0), "trained") == pytest.approx(1)
    assert geometry_cost.form(made_up(-1 / 3), "trained") < 0


def test_powers_find_an_exact_law_and_the_lead_over_the_next():
    rows = made_up(-1 / 3).assign(**dict.fromkeys(("median_rho", "distinct", "effective_rank", "nearest"), 1.0))
    rows = rows.assign(condition=1.0, nearest=np.random.default_rng(1).uniform(1, 2, 24))
    power = geometry_cost.powers(rows)
    assert power.slope["trained", "rho"] == pytest.approx(-1 / 3) and power.r2["trained", "rho"] == pytest.approx(1)
    assert math.isnan(power.r2["trained", "condition"])  # what does not vary foretells nothing
    ahead = geometry_cost.lead(power)
    assert set(ahead.rival) == {"nearest"} and ahead.low["trained"] > 0
    assert geometry_cost.comparison(power).loc["condition number", ("trained", "R²")] == "–"


def test_a_value_inside_the_hull_has_no_cost_and_a_search_too_narrow_none():
    row = geometry_cost.measure("norms 5", "raw", 64, 4, 0)
    assert row["rho"] == 0 and row["outcome"] == "rho = 0" and math.isnan(row["trained"])

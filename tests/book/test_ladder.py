"""The ladder of methods: its words hold on the committed table, its numbers against closed forms."""

import numpy as np
import pandas as pd
import pytest

from factbook import ladder, store
from factbook.claims.axis import at_fixed_d


@pytest.fixture(scope="module")
def rows():
    return store.read_table(store.results_file("capacity", "laptop"))


def test_the_findings_numbers_are_those_of_the_table():
    each = {"trained": 4, "block-convex": 5, "block-convex-2": 6, "encoder-decoder": 30, "data-dependent": 40}
    each |= {"paper-codes": 80, "hebbian": 120, "ntk": 400}
    apart = {"paper-codes": 0.25, "encoder-decoder": 0.5}
    made = [
        row | {"n_facts": n, "d": d, "seed": seed, "n_params": per_fact * n * (n / 2048) ** apart.get(rung, 0) * noise}
        for rung, per_fact in each.items()
        for row in [{"rung": rung}]
        for n, d in ladder.SIZES["laptop"]
        for seed, noise in enumerate((0.9, 1, 1.1))
        if rung != "ntk" or n <= 512
    ]
    cheapest, published, alike = ladder.findings(pd.DataFrame(made))
    assert "For 2,048 facts at *d* = 64 training is cheapest" in cheapest and "5.0 (1.2 times as many)" in cheapest
    assert published.startswith("**The paper's codes take 20 times as many parameters as training** (80 per fact) for")
    assert "data-dependent Hebbian memory 10 times (40), the whitened one 30 times (120)" in published
    assert "at most 512 facts, and takes 100 times as many there (400)" in published
    assert all(f"{value} [" in alike for value in ("+0.25", "+0.50", "0.00"))
    assert "two of the three leave out zero" in alike
    assert "the paper's codes and our shorter codes, faster than training; block-convex, nearly as training" in alike


def test_what_the_page_says_holds(rows):
    """From 256 facts on: the order of the rungs, and what is "far above", "a third" or "near"."""
    cost = ladder.per_fact(ladder.fixed_d(rows, "laptop")).loc[:, 256:]
    order = ["trained", "block-convex", "block-convex-2", "encoder-decoder", "paper-codes", "ntk"]
    for cheaper, dearer in zip(order, order[1:]):
        both = cost.loc[[cheaper, dearer]].dropna(axis=1)
        assert (both.loc[cheaper] < both.loc[dearer]).all(), (cheaper, dearer)
    assert (cost.loc["max-margin"] < cost.loc["ntk"])[cost.loc["max-margin"].notna() & cost.loc["ntk"].notna()].all()
    assert cost.loc["paper-codes", 2048] > 10 * cost.loc["trained", 2048]
    assert cost.loc["block-convex", 2048] < 2 * cost.loc["trained", 2048]
    stored = rows.dropna(subset="n_params")
    assert (stored.recall == 1).all()
    hot = stored[stored.rung == "one-hot"]
    assert (hot.n_params / (2 * hot.d + 1) / hot.n_facts).round(2).between(1, 2).all()  # units per fact
    wide = ladder.in_proportion(rows, "laptop")
    ended = wide.loc[["2, 16", "4, 16"], "trained"]
    assert (ended == "–").all()  # bilinear networks end; the floor passes d² (d + 1) / 2
    assert ladder.floor(np.array([2 * 16**2]))[0] > 16**2 * 17 / 2 > ladder.floor(np.array([16**2]))[0]
    gates = ladder.ntk_gates("laptop", 0, "cpu")
    middle = gates.loc[(64, 1024), "relu"].median()
    assert ladder.gate_table(gates).loc["d = 64, n = 1,024", "units, ReLU"] == f"{middle:,.0f}"
    names = ladder.settings().index
    assert names[0].startswith("chosen") or "chosen: L-BFGS, then Adam" in names[:3]  # what is chosen stores most
    assert "Adam alone, 4,000 steps" in names and not any("adam" in name or "lr" in name for name in names)


def test_the_identity_needs_fewer_units_than_the_relu():
    assert (ladder.ntk_gates("laptop", 0, "cpu").share < 0.75).all()


def test_the_difference_of_exponents_is_that_of_exact_laws():
    laws = {"trained": 1.0, "paper-codes": 1.25, "encoder-decoder": 1.5, "block-convex-2": 1.1, "block-convex": 0.9}
    sizes = (64, 128, 256)
    live = pd.DataFrame([{"rung": r, "n_facts": n, "n_params": 3 * n**p} for r, p in laws.items() for n in sizes])
    live = live.assign(d=64, seed=0)
    apart = ladder.beside_training(live)
    for rung in ladder.BETWEEN:
        assert apart.loc[rung].tolist() == pytest.approx([laws[rung] - 1] * 3)
    scales = ladder.scales(live, "smoke")
    assert scales.iloc[0, 0] == "+0.25 [+0.25, +0.25]"
    few = ladder.scales(live[live.n_facts < 256], "smoke")
    assert (few.iloc[:, 0] == "–").all() and few.iloc[0, -1] == scales.iloc[0, -1].replace("4.0", "3.4")


def test_exponents_and_their_intervals_are_those_of_the_claims(rows):
    found = ladder.beside_training(ladder.fixed_d(rows, "laptop"))
    assert found.loc["paper-codes"].tolist() == pytest.approx(
        list(at_fixed_d(lambda name: rows, "paper-codes", "trained"))
    )


def test_the_jobs_are_those_of_the_committed_rows(rows, monkeypatch):
    """A job renamed or resized would leave hours of stored runs unused: none is missing, none is spare."""
    asked: list[dict] = []
    monkeypatch.setattr(store, "resume", lambda path, jobs, run, device: asked.extend(jobs))
    ladder.table("laptop", 0, "cpu")
    key = ["rung", "n_facts", "d", "seed"]
    assert {tuple(job.values()) for job in asked} == set(rows[key].itertuples(index=False, name=None))

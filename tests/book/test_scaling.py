"""The study on the papers' axis: its facts, its jobs, what it calls infinitely dear, and exponents of known laws."""

import numpy as np
import pandas as pd
import pytest
import torch

import factcore as fc
from factbook import scaling, shapes


def test_facts_on_the_axis_are_tied_and_permuted():
    facts = scaling.facts_at(1 / 16, 32, 0)
    assert len(facts) == facts.n_values == 64 and torch.equal(facts.keys, facts.values)
    assert sorted(facts.targets.tolist()) == list(range(64)) and facts.targets.tolist() != list(range(64))
    untied = scaling.facts_at(1 / 16, 32, 0, tied=False)
    assert torch.equal(untied.keys, facts.keys) and not torch.equal(untied.values, facts.values)
    assert len(scaling.facts_at(1 / 32, 45, 0)) == int(45 * 45 / 32) == 63


def test_jobs_are_all_cells_cheapest_first_and_within_their_limits():
    jobs = scaling.jobs(["paper-codes", "trained"], seeds=2)
    assert len(jobs) == len({tuple(job.values()) for job in jobs})
    assert {job["method"] for job in jobs} == {"paper-codes", "trained"}
    sizes = {
        name: max(int(j["alpha"] * j["d"] ** 2) for j in jobs if j["method"] == name)
        for name in ("paper-codes", "trained")
    }
    assert 16000 < sizes["paper-codes"] <= 16384 and 4000 < sizes["trained"] <= 4096
    assert {job["alpha"] for job in jobs if not job["tied"]} == {scaling.UNTIED}
    assert jobs[0]["method"] == "paper-codes" and jobs[0]["d"] == 32 and jobs[0]["alpha"] == 1 / 32
    with pytest.raises(ValueError, match="methods must be among"):
        scaling.jobs(["no-such"])


def test_a_cost_is_that_of_a_network_that_stores_and_infinite_where_none_does(monkeypatch):
    row = scaling.cost("paper-codes", 1 / 4, 16, True, 0)
    facts = scaling.facts_at(1 / 4, 16, 0)
    mlp = fc.construct(facts, codes="projected", seed=0)
    assert row.pop("device") == torch.device("cpu")
    assert row == {"n_facts": 64, "width": mlp.width, "n_params": float(mlp.n_params), "recall": 1.0}
    full = scaling.cost("hebbian", 1.0, 8, True, 0)  # 64 facts, 36 dimensions of features
    assert full["n_params"] == np.inf and np.isnan(full["recall"])
    monkeypatch.setattr(scaling, "DEAREST", 6)
    assert scaling.cost("ntk", 1 / 4, 16, True, 0)["n_params"] == np.inf


def law(**powers):
    rows = [
        {"method": method, "alpha": alpha, "d": d, "tied": True, "seed": s, "n_facts": int(alpha * d * d)}
        | {"n_params": 10.0 * int(alpha * d * d) ** power}
        for method, power in powers.items()
        for alpha in (1 / 16, 1 / 4)
        for d in (32, 64, 128)
        for s in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_exponents_are_those_of_the_laws_and_tell_what_they_left_out():
    table = law(first=1.4, second=1.1)
    found = scaling.exponents(table, "first", "second")
    assert list(found.alpha) == [1 / 16, 1 / 4] and np.allclose(found.exponent, 0.3) and list(found.runs) == [6, 6]
    assert list(found.d_least) == [32, 32] and list(found.d_most) == [128, 128]
    lost = table.assign(n_params=np.where((table.method == "second") & (table.d == 32), np.inf, table.n_params))
    assert scaling.exponents(lost, "first", "second").empty  # two sizes are no line
    one = table.assign(
        n_params=np.where((table.method == "first") & (table.d == 32) & (table.seed == 0), np.inf, table.n_params)
    )
    assert list(scaling.exponents(one, "first", "second").left_out) == [1, 1]
    twice = pd.concat([table, table.assign(seed=table.seed + 2)])  # draws that agree are no evidence of a line
    bent = [part.assign(n_params=part.n_params * np.where(part.d == 64, 1.1, 1)) for part in (table, twice)]
    bent = [part.assign(n_params=part.n_params.where(part.method == "first", table.n_params.mean())) for part in bent]
    few, many = (scaling.exponents(part, "first", None) for part in bent)
    assert np.allclose(few.high - few.low, many.high - many.low) and (few.high - few.low > 0.1).all()
    slope = scaling.exponents(table, "second", None).exponent
    n = np.log(table[(table.alpha == 1 / 4) & (table.method == "second")].n_facts)
    expected = np.polyfit(n, 1.1 * n - n - np.log(n), 1)[0]
    assert slope.iloc[1] == pytest.approx(expected)


def test_the_paper_s_codes_by_geometry_are_measured_with_both_encoders():
    row = shapes.measure("spiked 2", "raw", 32, 16, 0)
    facts = shapes.facts_about(shapes.embed("spiked 2", "raw", 32, 16, 0), 0)
    buckets = fc.construct(facts, codes="projected", seed=0)
    assert row["buckets"] == buckets.n_params and 1 <= row["code"] <= 16
    assert row["random_gates"] < np.inf and 0 < row["rho"] < 1
    assert len(shapes.jobs()) == len({tuple(job.values()) for job in shapes.jobs()}) == 408

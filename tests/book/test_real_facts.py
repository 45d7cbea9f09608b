"""The study of real facts: its words hold on the committed tables, its samples and jobs are what they say."""

import pytest
import torch

import factcore as fc
from factbook import real_facts, store


@pytest.fixture(scope="module")
def rows():
    return store.read_table(store.results_file("real", "laptop"))


def test_what_the_page_says_holds(rows):
    cost = real_facts.costs(rows)
    fallen = ["ntk", "hebbian", "data-dependent"]
    raw = cost.xs("raw", axis=1, level=1)
    assert [method for method in cost.index if raw.loc[method].isna().any()] == fallen
    assert rows[(rows.method == "ntk") & (rows["values"] == "sphere")].per_fact.isna().sum() >= 5  # "too"
    for data in real_facts.DATA:
        assert real_facts.dearer(rows, "trained", data).max() <= 1  # "do not notice"
    assert real_facts.dearer(rows, "encoder-decoder", real_facts.AIRPORTS).max() == 1
    assert 1.1 < real_facts.dearer(rows, "encoder-decoder", real_facts.LAYER).median() < 1.2  # "a little on the layer"
    assert (cost.drop(fallen).notna()).all(axis=None)
    full = store.read_table(store.results_file("real_full", "laptop"))
    whole = real_facts.costs(full)
    assert list(whole.index[whole.isna().any(axis=1)]) == ["hebbian", "data-dependent"]  # regress the values themselves
    smaller = (whole[real_facts.LAYER, "whitened"] / whole[real_facts.LAYER, "raw"])[["block-convex", "trained"]]
    assert (smaller <= 0.75).all()  # "makes convex and trained networks smaller"
    plain = full[(full.method == "hebbian") & (full["values"] == "raw")]
    assert plain.per_fact.notna().sum() == 1 and len(plain) == 3  # "stores one raw sample of three"
    text = real_facts.findings(rows, full)
    assert (
        "1.14 times, 1.33 times in the dearest" in text[1]
        and "convex from 9.0 to 6.8 and trained from 7.9 to 5.6" in text[3]
    )
    assert (full.groupby("method").seed.nunique() == 3).all() and set(full.method) == set(real_facts.UNCUT)


def test_a_hebbian_memory_recalls_the_values_that_decode_themselves(rows):
    """ "To the last fact": the sample drawn afresh against the recall that was stored."""
    lost = rows[(rows.method == "hebbian") & rows.per_fact.isna()]
    assert len(lost) > 3
    for row in lost.itertuples():
        facts = real_facts.fact_set(row.data, row.values, row.n, row.d, row.seed)
        assert real_facts.decode_themselves(facts) == pytest.approx(row.recall, abs=1e-9)


def test_the_jobs_are_those_of_the_committed_rows(rows, monkeypatch):
    asked: list[dict] = []
    monkeypatch.setattr(store, "resume", lambda path, jobs, run, device: asked.extend(jobs))
    real_facts.table("laptop", 0, "cpu")
    key = ["method", "data", "values", "n", "d", "seed"]
    assert {tuple(job.values()) for job in asked} == set(rows[key].itertuples(index=False, name=None))
    asked.clear()
    real_facts.uncut("laptop", 0, "cpu")
    full = store.read_table(store.results_file("real_full", "laptop"))
    assert {tuple(job.values()) for job in asked} == set(full[key].itertuples(index=False, name=None))


def test_a_value_in_the_shadow_of_a_longer_one_does_not_decode_itself():
    values = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    facts = fc.FactSet(torch.eye(4), values, torch.tensor([0, 1, 2, 1]))
    assert real_facts.decode_themselves(facts) == 0.75


def test_airports_come_with_those_of_shared_cities_first():
    facts = real_facts.airports(64, 0)
    assert len(facts) == 64 and facts.n_values < 64 and torch.bincount(facts.targets).float().mean() > 1.5
    assert not torch.equal(facts.keys, real_facts.airports(64, 1).keys)

"""The page on your own facts: its study gives the committed rows again, and what the page says of them holds."""

import csv
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import factcore as fc
from factapp.memory import Memory
from factbook import own_facts, paraphrase, shell, store
from factbook.paraphrase import airport_questions

LAPTOP = Path(__file__).resolve().parents[2] / "results" / "laptop"
TABLE, REFUSED = LAPTOP / "own_facts.csv", LAPTOP / "own_facts_refusals.csv"


def test_every_run_of_the_page_is_stored():
    assert store.missing(TABLE, own_facts.jobs("laptop", 0)) == []
    assert store.missing(REFUSED, own_facts.refusal_jobs("laptop", 0)) == []


def test_a_run_gives_its_committed_row():
    job = own_facts.jobs("laptop", 0)[0]  # of the nearest key, which depends on no construction
    row, table, told = own_facts.trial(Memory, **job), store.read_table(TABLE), (*store.PROVENANCE, *store.MEASURED)
    (kept,) = table[(table[list(job)] == list(job.values())).all(axis=1)].to_dict("records")
    assert str(row.pop("device")) == "cpu" and set(row) == set(table.columns) - {*job, *told, "profile"}
    for name, number in row.items():
        assert number == pytest.approx(kept[name], abs=0.02, nan_ok=True), name


def test_the_nearest_key_is_found_by_brute_force():
    facts = fc.spherical_facts(9, 4)
    facts = fc.FactSet(facts.keys, facts.values, facts.targets, [*"abcdefghi"], [*"abcdefghi"])
    queries = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    values, scores = own_facts.answers_of(None, facts)(queries)
    for query, value, score in zip(queries, values, scores):
        cosines = [float(query @ key / query.norm() / key.norm()) for key in facts.keys]
        assert facts.targets[int(np.argmax(cosines))] == value and float(score) == pytest.approx(max(cosines))


def test_bins_hold_the_questions_of_their_angle():
    turned = torch.tensor([[math.cos(a), math.sin(a)] for a in (0.05, 0.1, 0.15, 0.05, 0.1, 0.7)])
    facts = fc.FactSet(torch.tensor([[1.0, 0.0]]), torch.eye(2)[:1], torch.tensor([0]))
    given = own_facts.Trial(facts, turned[:, None], turned[:, None], facts.keys, facts.keys)
    row = own_facts.by_angle(given, torch.tensor([True, True, True, True, False, True]))
    assert row["recall at 0"] == 0.8 and all(math.isnan(row[f"recall at {low}"]) for low in range(10, 80, 10))


def test_the_example_is_a_file_that_the_command_takes(tmp_path):
    facts = own_facts.write_example(tmp_path)
    with open(tmp_path / "airports.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["airport", "city"] and len(rows) == len(facts) == 48
    keys, values, asked = (np.load(tmp_path / f"{name}.npy") for name in ("keys", "values", "query"))
    cities = list(dict.fromkeys(city for _, city in rows))
    assert keys.shape == (48, 384) and values.shape == (len(cities), 384) and len(asked) == 4
    for (name, city), target in zip(rows, facts.targets.tolist()):
        assert name in facts.key_names and facts.value_names[target] == city
        np.testing.assert_array_equal(values[cities.index(city)], facts.values[target].numpy())


def test_the_kinds_are_those_of_the_stored_questions():
    assert own_facts.KINDS == tuple(airport_questions().kinds) == tuple(own_facts.kinds().index)


def test_the_findings_are_the_tables():
    table, refused = store.read_table(TABLE), store.read_table(REFUSED)
    text = own_facts.findings(table, refused)
    slack = table[(table.method == own_facts.SLACK) & (table.n == 480)]
    flat = re.sub(r"\s+", " ", text)
    assert f"and {slack['recall question'].median():.0%}, max-margin in" in flat
    solved = table[(table.method == "block-convex") & (table.n == 480)]
    assert f"block-convex in 100% and {solved['recall question'].median():.0%}." in flat
    roomy = refused[refused.method != own_facts.SMALLEST]
    assert f"{roomy.unrelated.max():.1%} of unrelated" in flat and roomy.unrelated.max() <= 0.02
    for share in (roomy.unrelated, roomy["other airports, question"]):
        worst = roomy[share == share.max()]
        assert len(worst) == 1 and flat.count(f"({worst.method.iloc[0]}, {worst.n.iloc[0]} facts)") >= 1
    keys = fc.airport_facts().keys[airport_questions().airports].double()
    cosines = (keys * airport_questions().queries[own_facts.KINDS.index("question")].double()).sum(dim=1)
    middle = math.degrees(math.acos(float(cosines.median())))  # of unit rows
    assert f'in the median {middle:.0f} degrees for "Where is NAME?"' in flat
    assert f"takes {slack.per_fact.median():.0f} parameters a fact, where a key has 384 numbers: no space is" in flat
    assert slack.per_fact.min() > 384


def test_what_the_page_says_holds():
    table, refused = store.read_table(TABLE), store.read_table(REFUSED)
    median = table.groupby(["n", "method"]).median(numeric_only=True)
    assert (table.recall_key == 1).all()  # "all memories answer every key"
    assert median.xs("nearest key", level="method")["recall at 40"].min() > 0.9  # "from farther away"
    for n in (160, 480):
        roomy = median.loc[n].loc[[own_facts.SLACK, "max-margin", "block-convex"]]
        assert median.loc[(n, "nearest key"), "recall at 40"] > roomy["recall at 40"].max()
        assert median.loc[(n, "nearest key"), "recall at 40"] > roomy.loc["max-margin", "recall at 40"] + 0.2
        assert roomy["recall at 40"].idxmax() == "block-convex"  # "follows it farthest"
        assert roomy["auc question"].min() > 0.9  # "tell a stored airport from a stranger"
        assert median.loc[(n, own_facts.SMALLEST), "auc question"] < 0.6
    others = [f"recall {name}" for name in own_facts.KINDS if name not in ("question", "order")]
    for way in own_facts.METHODS[:3]:  # "whole names in another order or in a question are the safest"
        for n in (160, 480):
            assert median.loc[(n, way), ["recall question", "recall order"]].max() >= median.loc[(n, way), others].max()
    tight = refused[(refused.method == own_facts.SMALLEST) & (refused.n == 480)]
    assert tight["wrong, question"].median() > 0.9


def test_what_the_page_says_of_its_second_figure_holds():
    table = store.read_table(TABLE)
    drawn = table.groupby(["n", "method"])[[f"roc {share}" for share in own_facts.SHARES]].median()
    ahead = drawn.xs("block-convex", level="method") - drawn.xs("nearest key", level="method")
    assert ahead.abs().max().max() < 0.01  # "as well as the nearest key"
    default = drawn.loc[(480, own_facts.SLACK)]
    assert f"{1 - default['roc 0.02']:.0%}" == "17%" and default.min() > 0.8  # "even where it answers one in 50"


def test_tables_have_a_column_for_each_memory():
    table, refused = store.read_table(TABLE), store.read_table(REFUSED)
    shown = own_facts.recall_table(table)
    assert list(shown) == ["nearest key", "smallest", "slack", "max-margin", "block-convex"]
    of = table[(table.n == 160) & (table.method == own_facts.SLACK)]
    assert shown.slack["160 facts", "typo"] == round(100 * of["recall typo"].median())
    told, of = own_facts.refusal_table(refused), refused[(refused.n == 480) & (refused.method == own_facts.SMALLEST)]
    assert list(told.loc["48 facts"].index[:3]) == ["unrelated", "not stored", "question, right"]
    assert told.smallest["480 facts", "short, wrong"] == round(100 * of["wrong, short"].median(), 1)


def test_what_a_command_says_is_folded(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "bits per fact    " + "word " * 30

    def main(given: list[str]) -> None:
        print(given, words, sep="\n")
        print("stopped", file=sys.stderr)
        raise SystemExit(2)

    with pytest.raises(SystemExit):
        shell.command(main)("inspect 'a b'")
    first, *folded, last = capsys.readouterr().out.splitlines()
    assert first == "['inspect', 'a b']" and last == "stopped" and max(map(len, folded)) <= 80
    assert [line[:17].strip() for line in folded] == ["bits per fact", "", ""]
    assert " ".join(" ".join(folded).split()) == " ".join(words.split())


def test_many_facts_are_stored_with_those_that_are_asked_about():
    found = paraphrase.many(Memory, 24, 0)
    assert found.columns.name is None and list(found.index) == list(own_facts.KINDS)
    assert list(found.columns) == ["right, as a guess", "right", "wrong"] and found.index.name == "of 24 facts"
    assert (found["right"] <= found["right, as a guess"]).all() and found.loc["order", "right"] > 90

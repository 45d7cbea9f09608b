"""What the editing pages say holds in their tables, and what breaks a swap is measured as it is told."""

import pandas as pd
import pytest
import torch

import factcore as fc
from factbook import baselines, figures, store
from factbook.editing import crowded, drawing, failures, words
from factbook.editing.study import EDITORS, WEIGHT_EDITORS
from factbook.editing.training import load_language_model
from factcore.mlp import GatedMLP


@pytest.fixture(scope="module")
def tables():
    return {n: store.stored(f"editing{n}", "laptop") for n in ("", "_crowded", "_sequential", "_time")}


def test_updates_fall_with_the_crowd_and_swaps_do_not(tables):
    theirs = tables["_crowded"].query("values_of == 'permuted' and told == 'one' and construction == 'block-convex'")
    score = theirs.pivot_table(index="per_unit", columns="method", values="score", aggfunc="median")
    assert list(score.index) == [8, 12, 16, 24, 32] and (theirs.groupby(["per_unit", "method"]).size() == 3).all()
    assert all(score[name].is_monotonic_decreasing for name in WEIGHT_EDITORS)
    assert score.swap.min() > 0.97 and score[list(WEIGHT_EDITORS)].loc[32].max() < 0.25
    at = score.loc[16].round(2)  # the first exercise
    assert (at.swap, at.finetune, at.memit) == (0.99, 0.82, 0.57) and at.drop(["swap", "finetune"]).idxmax() == "memit"
    assert "(" in words.ratios(tables["_crowded"], tables[""]).iloc[0, 0]
    edits = tables[""][(tables[""].share == 0.1)].groupby("method")[["efficacy", "specificity"]].median()
    assert edits.loc["swap"].min() > 0.99  # "a swap misses paraphrases alone"


def test_what_is_said_of_edits_at_eight_facts_a_unit(tables):
    edits, sequence = tables[""], tables["_sequential"]
    one = edits[(edits.edited == 1) & edits.method.isin(WEIGHT_EDITORS)]
    assert one.groupby("method").score.median().min() > 0.97
    assert (edits[edits.method.isin(["no_op", "chance"])].score <= 0.1).all()
    kept = sequence.groupby("method").after_20.median()
    assert set(kept.index) == set(EDITORS) and kept[list(WEIGHT_EDITORS)].max() < 0.5
    assert kept.swap > 0.95 and kept["finetune with replay"] > 0.9


def test_the_linear_map_is_as_right_as_the_mlp_with_a_third_fewer_parameters():
    model = load_language_model(0, width=32)
    facts = model.fact_set("city").subset(torch.arange(len(model.corpus)))
    rows = baselines.beside(facts, mlp=model.facts["city"]).loc[[baselines.LOG_LOSS, "mlp"]]
    assert (rows.recall == 1).all() and 3 * rows.n_params.iloc[0] == 2 * rows.n_params.iloc[1]


def test_numbers_in_the_sentences_are_those_of_the_table():
    rows = [("swap", 1.0), ("memit", 0.5), ("rome", 0.2), ("alphaedit", 0.1), ("finetune", 0.9)]
    packed = pd.DataFrame(
        [
            {
                "method": m,
                "score": s,
                "per_unit": 32,
                "values_of": "permuted",
                "told": "one",
                "seed": seed,
                "share": 0.1,
            }
            for m, s in rows
            for seed in range(2)
        ]
    ).assign(setting="tol=1.01", construction=crowded.OURS)
    said = " ".join(words.crowds(packed))
    assert "2.0 at 32" in said and "AlphaEdit did best in 2 of 2" in said
    found = words.ratios(packed, packed)
    assert found.loc["their protocol, 32 facts a unit"].tolist() == ["2.00 (2.00 to 2.00)", "1.11 (1.11 to 1.11)"]
    assert (
        found.loc["our protocol, 8 facts a unit"].tolist() == found.loc["their protocol, 32 facts a unit"].tolist()
    )  # beside it
    assert words.scores(packed, packed).loc["our protocol, 8 facts a unit"].to_dict() == dict(
        zip(("swap", "MEMIT", "ROME", "AlphaEdit", "fine-tuning"), (1, 0.5, 0.2, 0.1, 0.9))
    )


def test_the_figure_has_every_method_in_every_panel(tables):
    figure = drawing.crowds(tables["_crowded"])
    assert [len(ax.containers) for ax in figure.axes] == [len(crowded.METHODS)] * 3 + [
        0
    ]  # in the last place their names


def test_a_slope_is_a_share_of_what_the_outputs_are_long():
    model = load_language_model()
    eye = torch.eye(model.d)
    plain = GatedMLP(eye, None, eye, gate="relu")  # x where it is positive: slope 1 at the most
    found = failures.right(model, plain)
    assert 0 <= max(found) < 0.05 and fc.lipschitz(plain, model.fact_set("city")) == pytest.approx(1, rel=1e-3)
    table = failures.steep(model, {"one-hot": {}, "hebbian": {"width": 512}}, 0)
    assert table.slope["one-hot"] == 0 < table.slope["hebbian"] and (table["the MLP alone"] == 1).all()
    away = failures.noise(model)
    assert away.is_monotonic_increasing and away[0.5] < 1e-3 < 1 < away[1.0]


def test_too_few_units_lose_facts_and_a_router_turned_down_misses_them():
    model = load_language_model()
    read = failures.read(pd.DataFrame({"slope": [190.36, 2.168]}, index=["hebbian", "one-hot"]))
    assert read.slope.to_dict() == {figures.LABELS["hebbian"]: "190", "one-hot": "2.17"}
    small = failures.narrow(model, (4, 32), 0)
    assert small.loc[4].max() < small.loc[32].min() and small.loc[32, "the MLP alone"] == 1
    missed = failures.misrouted(model, (-16.0, 0.0))
    assert (missed.loc[-16.0] < missed.loc[0.0]).all()  # fewer routed, fewer right, and less perplexity
    assert failures.read(missed).loc["as it is", "facts right"].endswith("%")
    known = words.known(model)
    assert (known.loc["in paraphrases"] <= known.loc["in training templates"]).all() and known.min(axis=None) > 90


def test_tables_and_captions_for_readers_have_the_tables_numbers(tables):
    steep = pd.DataFrame({"slope": [0, 2, 10], "smallest margin": [3, 2, 1], "paraphrases": [0.95, 0.9, 0.8]})
    said = words.steepness(steep, pd.Series({0.9: 0.01, 1.0: 1.5}))
    assert said.startswith("**Steeper memories get fewer") and "−1.00" in said and "5 times as large costs 10.0" in said
    assert words.steepness(steep.assign(slope=[3, 2, 1]), pd.Series({0.9: 0, 1.0: 0})).startswith(
        "**Steepness does not"
    )
    costs, kept = words.costs(tables["_time"]), words.kept(tables["_sequential"])
    assert list(costs.index) == list(kept.index) == [words.SHORT[method] for method in EDITORS]
    swaps = tables["_time"].query("method == 'swap' and n_facts == 64").cpu_s
    assert costs.loc["swap", "s, n = 64"] == round(swaps.median(), 2)


def test_edits_of_a_trained_network_stand_beside_and_change_nothing_that_is_said_of_ours(tables):
    ours = tables["_crowded"].query("construction == 'block-convex'")
    trained = ours[(ours.values_of == "permuted") & ours.per_unit.isin([8, 32])].assign(
        construction="trained", score=0.5
    )
    both = pd.concat([ours, trained])
    said, alone = words.editing(both, tables[""]), words.editing(ours, tables[""])
    assert [line for line in said if "SwiGLU" in line] == [
        "**It depends on the network, too.** A SwiGLU trained by Adam until every fact decodes, swapped for another "
        "training: at 8 facts a unit 1.0 times (a swap 0.50, AlphaEdit with 0.50); at 32 facts a unit 1.0 times "
        "(a swap 0.50, AlphaEdit with 0.50)."
    ]
    assert [line for line in said if "SwiGLU" not in line and "Perplexity" not in line] == alone[:-1]
    assert words.scores(both, tables[""]).loc["their protocol, 32 facts a unit, trained"].eq(0.5).all()
    assert words.crowds(both) == words.crowds(ours)

"""The findings of pages: their numbers are those of the tables, and what their words say of the numbers holds."""

import re

import pandas as pd
import pytest

from factbook import (
    airports,
    baselines,
    block_facts_shown,
    buckets,
    build_times,
    challenge,
    code_dimension,
    cost,
    decoder,
    frontier,
    geometry_cost,
    ladder,
    margins_shown,
    noise_floor,
    precision,
    prose,
    real_facts,
    scaling_shown,
    solver_time,
    solves,
    store,
    usable_shown,
)
from factbook.editing import words

WRITERS = {
    "facts": (baselines.findings, ["baselines"]),
    "encoder": (buckets.findings, ["encoder", "encoder_gradient"]),
    "build_cost": (build_times.findings, ["build_cost", "build_cost_large"]),
    "challenge": (challenge.findings, ["challenge", "challenge_precision"]),
    "capacity": (ladder.findings, ["capacity"]),
    "block_facts": (block_facts_shown.findings, ["block_facts", "block_published"]),
    "frontier": (frontier.findings, ["frontier", "usable"]),
    "code_dimension": (code_dimension.findings, ["code_dimension"]),
    "editing": (words.editing, ["editing_crowded", "editing"]),
    "editing_time": (words.time, ["editing_time", "editing_sequential"]),
    "decoder": (decoder.findings, ["decoder", "code_dimension"]),
    "geometry": (geometry_cost.findings, ["geometry", "geometry_optimised"]),
    "real": (real_facts.findings, ["real", "real_full"]),
    "margins": (margins_shown.findings, ["margins", "margins_width", "margins_cost"]),
    "noise_floor": (noise_floor.findings, ["noise_floor", "noise_junk"]),
    "precision": (precision.findings, ["precision"]),
    "scaling": (scaling_shown.findings, ["scaling"]),
    "solver": (solver_time.findings, ["solver", "decodability_benchmark"]),
    "usable": (
        usable_shown.findings,
        ["usable", "usable_ablation", "usable_training", "solved_junk", "usable_published"],
    ),
    "solves": (solves.findings, ["solves", "solves_large"]),
    "airports_block": (airports.findings, ["airports_block", "airports_training", "baselines"]),
}


def tables(page: str) -> list[pd.DataFrame]:
    return [store.stored(name, "laptop") for name in WRITERS[page][1]]


@pytest.mark.parametrize("page", WRITERS)
def test_findings_are_sentences_with_numbers(page):
    write, names = WRITERS[page]
    text = prose.findings(write, *names).data
    assert text.count("\n- ") + 1 == len(write(*tables(page)))
    for sentence in text.split("\n"):
        assert sentence.startswith("- ") and sentence.endswith(".") and re.search(r"\d", sentence), sentence
        assert "nan" not in sentence


def test_a_missing_table_is_named():
    assert "results/laptop/no_such.csv" in prose.findings(lambda table: [], "no_such").data


@pytest.mark.parametrize(
    "share, words",
    [(0, "0%"), (0.0004, "0.1%"), (0.004, "0.4%"), (0.05, "5%"), (0.973, "97%"), (0.9999, "99.9%"), (1, "100%")],
)
def test_shares_never_round_to_nothing_or_all(share, words):
    assert prose.percent(share) == words


@pytest.mark.parametrize(
    "number, words", [(1e-6, "10⁻⁶"), (5.2e-6, "5 × 10⁻⁶"), (9.7e-9, "10⁻⁸"), (2.14e-5, "2 × 10⁻⁵"), (3e10, "3 × 10¹⁰")]
)
def test_small_numbers_are_written_as_by_hand(number, words):
    assert prose.power_of_ten(number) == words


# --- what the words say ------------------------------------------------------------------------------------------


def test_only_countries_need_the_network():
    (table,) = tables("facts")
    recall, size = (table.pivot(index="way", columns="relation", values=name) for name in ("recall", "n_params"))
    network, linear = baselines.NETWORK, baselines.LOG_LOSS
    assert (recall.loc[network] == 1).all() and recall.country.drop(network).max() < 0.99
    assert size.country[network] == size.country[size.country > 0].min()
    for relation in ("city", "iata"):
        assert recall[relation][linear] == 1 and size[relation][linear] < size[relation][network]
    assert recall.country[baselines.COMMONEST] > recall.country[baselines.NEAREST]
    assert recall.city[baselines.NEAREST] > 0.5 > 0.1 > recall.iata[baselines.NEAREST]


def test_no_error_compounds_and_gradient_steps_save():
    errors, both = tables("encoder")
    growth = (errors.last_quarter / errors.first_quarter).groupby(errors.n_facts).median()
    assert growth.max() < 4 and growth.iloc[-1] < 1.5 * growth.iloc[0]  # "a few times, however many lie between"
    ratio = (both.gradient / both.closed).groupby([both.d, both.n_facts]).median()
    assert ratio.max() < 1 and 0.45 < ratio.min() < 0.55  # "fewer parameters, at best half"


def test_attention_leaves_less_than_the_memory_takes():
    table, training, _ = tables("airports_block")
    assert (table.relation == "country").all() and (table[["recall", "adaptive_recall", "certified"]] == 1).all(
        axis=None
    )
    assert (table.noise_largest < table.tolerance_smallest).all()
    assert training.noise.min() > 1000 * table.noise_largest.max() and (training.sharp_recall == 1).all()
    assert (training.through == 1).all()  # "leaves every key nearest to itself"


def test_a_construction_may_be_slower_than_training():
    table, large = tables("build_cost")
    seconds = build_times.summary(table).cpu_s
    assert seconds["max-margin"] > seconds["trained"] and seconds.idxmin() == "data-dependent"
    assert (table.recall == 1).all() and set(table.rung) == set(build_times.METHODS)
    for row in table.itertuples():
        width = cost.comfortable_width(build_times.METHODS[row.rung][0], row.n, row.d)
        assert row.width == width if width else row.width % -(-row.n // row.d) == 0
    alike, million = large[large.n_values == large.n], large[large.n == 10**6].iloc[0]
    assert alike.n.max() == 10**5 and 1.4e3 < alike.peak_mb.min() and alike.peak_mb.max() < 2.1e3  # "near two"
    assert (round(million.peak_mb / 1e3, 1), round(million.rest_mb / 1e3, 1)) == (4.4, 3.1) and million.threads == 2
    assert round((million.build_s + million.verify_s) / 60) == 27  # "27 minutes on two cores"


def test_separator_codes_are_shorter_and_equal_norms_shorter_still():
    rows, lengths = tables("decoder")
    first = decoder.first_whole(rows)
    assert first["separators"] < first["projected"]
    own = rows[rows.codes == "separators"]
    assert ((own.recall == 1) == (own.smallest_margin > 0)).all()  # "where the projected values' own ρ leaves zero"
    sphere = lengths[(lengths.geometry == "sphere") & (lengths.v == rows.v[0]) & (lengths.d == rows.d[0])]
    assert sphere["equal-norms"].max() < first["separators"] and len(sphere) == 3
    assert decoder.written(rows).shape == (11, 3)


def test_where_systems_pass_training():
    table, _ = tables("challenge")
    one, several = (challenge.shares(table, rung) for rung in ("one", "several"))
    assert (several > 1).all() and (one[one.index >= 128] > 1).all() and (one[one.index < 64] < 1).all()
    assert 0.95 < one[64] < 1.1  # "passes training near d = 64"
    most = challenge.unbroken(table)  # "At d = 128 and 256 all points of our systems, and training here at 128"
    assert {rung: [d for d in sizes if d > 64] for rung, sizes in most.items()} == {
        "one": [128, 256],
        "several": [128, 256],
        "trained": [128],
        "random": [],
    }
    cost = challenge.laws(table)
    assert cost.loc[challenge.LABELS["trained"], "systems"] == "–" and "MB" not in cost
    assert cost.loc[challenge.LABELS["several"], "factor"] == "3.48"


# --- the numbers, on tables written here -------------------------------------------------------------------------


def test_the_tour_s_numbers_are_those_of_the_table():
    recalls = {"city": (0.2, 0.5, 0.6, 1, 1), "country": (0.3, 0.25, 0.5, 0.75, 1), "iata": (0.05, 0.1, 0.2, 0.3, 1)}
    rows = [
        {"relation": relation, "way": way, "n_facts": 100, "recall": share, "n_params": size}
        for relation, shares in recalls.items()
        for way, share, size in zip(baselines.WAYS, shares, (0, 0, 1600, 1600, 800))
    ]
    first, second, third, fourth = baselines.findings(pd.DataFrame(rows))
    assert "each of 100 airports, recall 100%, in 8.00 parameters" in first
    assert "commonest country is right for 30% of them" in second and "airport's name for 25%" in second
    assert "map for 75% when trained by log loss and 50% in closed form" in second
    assert "with 16 parameters a fact" in second and "for 50%, the nearest IATA code (JFK) for 10%" in third
    assert "stores all cities in 16 parameters" in fourth and "takes 8 for the cities." in fourth
    assert len(baselines.findings(pd.DataFrame(rows).assign(recall=0.5))) == 3


def test_the_encoder_s_numbers_are_those_of_the_tables():
    rows = [(10, "float64", 2e-15, 4e-15), (10, "float32", 2e-7, 4e-7), (90, "float64", 1e-15, 3e-15)]
    errors = pd.DataFrame(rows, columns=["n_facts", "dtype", "first_quarter", "last_quarter"])
    both = pd.DataFrame({"d": [4, 4, 4], "n_facts": [8, 8, 16], "closed": 100, "gradient": [50, 60, None]})
    first, second, third = buckets.findings(errors, both)
    assert "up to 90 facts" in first and "below 10⁻¹⁴ in float64 and 10⁻⁶ in float32" in first
    assert "2.0 times as far off as the first with 10 facts, 3.0 times with 90" in second
    assert "9 times as many facts have at most 1.0 times the error" in second
    assert "0.55 to 0.55" in third and "2 of 3 runs" in third


def test_the_solves_numbers_are_those_of_the_table():
    sizes = {0: (300, 400, 500), 1: (800, 800, 900), 5: (600, 500, 600), 12: (400, 300, 500)}
    rows = [(k, 100, 8, n) for k, params in sizes.items() for n in params]
    small = pd.DataFrame(rows, columns=["solves", "n_facts", "d", "n_params"])
    large = pd.concat([small.assign(form="plain"), small.assign(form="gated"), small.assign(form="gated", n_facts=200)])
    large.loc[(large.n_facts == 200) & (large.solves == 12), "n_params"] = 440
    first, second = solves.findings(small, large)
    assert "100 random facts, d = 8, in 4.0 parameters" in first
    assert "one convex solve in 8.0 (2.0 times), five solves in 6.0 (1.5 times)." in first
    assert second.startswith("**12 solves take 1.0 times as many parameters as training** at 100 facts, 1.25 in the")
    assert (
        "they take 1.00 to 1.10 in the gated form (100 and 200 facts) and 1.00 in the plain form (100 facts)" in second
    )
    assert second.endswith("; five take 1.50 and 1.50.")


def test_what_the_page_on_solves_says_of_its_tables():
    small, large = tables("solves")
    saved = -small[small.solves > 0].groupby("solves").n_params.median().diff().dropna()
    assert saved.idxmax() == 2 and saved[8] == 0 and (saved >= 0).all()  # "five and eight take as many"
    trained = large[(large.form == "gated") & (large.solves == 0)].groupby("n_facts").width.median()
    assert [round(solves.AT[n] / trained[n], 2) for n in (1024, 2048)] == [1.2, 1.04]
    steps = store.stored("block_convex_steps", "laptop")
    assert "10% for 1,024 facts and 118% for 2,048 facts" in solves.gaps(steps)[0]
    shown = solves.changes(steps)
    assert shown.loc["as it is", ("1,024 facts", "solves")] == "5" and len(shown) == len(solves.CHANGES)
    assert {name for name, _ in shown.columns} == {"1,024 facts", "2,048 facts"}


def test_the_challenge_s_numbers_are_those_of_the_tables():
    found = {("one", 16): 284, ("one", 128): 51200, ("several", 16): 781, ("several", 128): 32000, ("trained", 16): 568}
    rows = [(rung, d, 42, n, 1.0, 5.0) for (rung, d), n in found.items()]
    table = pd.DataFrame(rows, columns=["rung", "d", "seed", "n_facts", "recall", "cpu_seconds"])
    one, several, longer, trained, bits = challenge.findings(table, *tables("challenge")[1:])
    assert "training at d = 128: 50% to 200% of its facts from d = 16 to 128, there in 5 processor" in one
    assert "store more at every d: 125% to 138%, which is 2.0 to 3.1 d² facts" in several
    assert "more than one system at d = 16, and than several nowhere" in longer
    assert "stores 100% to 100%" in trained
    assert "bits a fact, at 2.75 d² facts, one draw, d = 16 to 128" in bits


def test_named_pairs_are_two_hot():
    facts = challenge.named_pairs({("a", "x"): "yes", ("a", "y"): "no", ("b", "x"): "no"})
    assert facts.keys.tolist() == [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]]
    assert [facts.value_names[target] for target in facts.targets] == ["yes", "no", "no"]
    assert facts.key_names == ("a x", "a y", "b x")

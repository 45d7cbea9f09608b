"""What the pages on transformers, codes and bits say of their stored tables holds in these tables."""

import re

import numpy as np
import pandas as pd
import pytest

from factbook import (
    block_facts_shown,
    block_published,
    code_dimension,
    figures,
    frontier,
    noise_floor,
    precision,
    store,
    usable,
    usable_published,
    usable_shown,
)

DEPENDENT = "Hebbian, data-dependent"


def laptop(name: str):
    if (table := store.stored(name, "laptop")) is None:
        pytest.skip(f"results/laptop/{name}.csv is not there")
    return table


def test_usable_says_what_its_tables_hold():
    rows, fair = laptop("usable"), laptop("usable_training")
    recall = rows.groupby("memory").recall.median()
    assert rows.solved_recall.min() == 1 and list(usable_shown.proofs(rows).index) == ["Hebbian, whitened"]
    assert (1 - recall).max() / (1 - recall).min() > 20 and recall[usable_shown.TIGHT] < 0.5  # "differ widely"
    near = recall[[usable_shown.BEST, usable_shown.CHEAP]]
    assert (near > recall.max() - 0.015).all()  # "within a point and a half"
    assert fair[fair.setting != "solved for"].groupby(["setting", "sharpened"]).through.max().max() < 1
    least = rows.groupby("memory")[["recall", "lipschitz"]].median()
    worst = usable_shown.WORST
    assert (least.recall.idxmin(), least.lipschitz.idxmax()) == (worst, worst)  # "worst of all"
    assert (rows[rows.memory == worst].recall_alone == 1).all()
    assert usable_shown.prediction(rows).iloc[:, 0].idxmax() == "angle tolerated / attention’s noise"
    parts = usable_shown.parts(laptop("usable_ablation"))
    assert (parts["attention-first"]["recall"].idxmax(), parts["attention-first"]["swapped"].idxmax()) == (
        "the recipe",
        "the recipe",
    )
    memorised = parts.loc["untied embeddings and head", "insert-first"]
    assert memorised["recall"] > 90 and memorised["swapped"] < 5
    curves = laptop("usable_steps").groupby(["memory", "schedule"])[["recall_1000", "adaptive_1000"]].median()
    lost = (curves.recall_1000 - curves.adaptive_1000).droplevel("schedule")
    assert lost.max() < 0.01  # "hardly anything"
    ends = laptop("usable_steps").set_index(["memory", "schedule"])
    assert (ends.loc[("block-convex, 12 a fact", "insert-first"), "recall_1000"] < 0.02).all()  # "none is"
    place = ends.loc[(usable.IN_PLACE, "insert-first")]
    assert sorted(place.recall_1000 > 0.8) == [False, True, True] and place.recall_1000.min() < 0.02
    assert sorted(place.recall_600 > 0.8) == [False, False, True]  # "one of them late"
    first = curves.xs("attention-first", level="schedule")
    assert (first > curves.xs("insert-first", level="schedule").loc[first.index]).all().all()


def test_usable_says_what_training_as_published_leaves():
    rows = usable_published.table()
    rows = rows[
        (rows.d == 64) & (rows.schedule == "attention-first") & rows.layout.str.startswith(usable_published.PAPERS)
    ]
    assert rows.through.max() < 1  # "no training gets there"
    assert set(rows.lr) == {3e-3, 2e-4}  # "at either rate"
    for _, some in rows.groupby("lr"):
        lost = (some.through - some.recall).groupby(some.layout.str.removeprefix(usable_published.PAPERS)).max()
        assert lost[["bilinear gates", "SiLU gates"]].max() < 0.006 and lost["buckets"] > 0.05  # "nearly all", "do not"
    through = usable_published.table().query("d == 64").groupby("schedule").through
    assert through.max()["insert-first"] < through.min()["attention-first"]  # "less gets through"
    wide = usable_published.table().query("d == 128")
    assert wide.through.min() == 1 and wide.seed.nunique() == 3  # "all does"
    means = wide.groupby("layout").recall.mean()
    assert list(means[means < 0.99].index) == ["shortest codes, full buckets"]  # "only our shortest codes fail"


def test_block_facts_says_where_long_training_overtakes_the_convex_problem():
    rows = laptop("block_published").fillna({"n_params_solved": float("inf"), "n_params": float("inf")})
    by = rows.groupby(["n_facts", "method"])[["n_params_solved", "n_params"]].median()
    assert (by.n_params < by.n_params_solved).loc[1024].all()  # "better"
    assert (by.n_params >= by.n_params_solved).loc[[64, 128, 256]].all()  # "none better"


def test_frontier_says_what_whitening_costs_behind_published_training():
    rows = laptop("whitened_published")
    assert set(rows.steps) == {16_000} and set(rows.batch) == {1280} and rows.seed.nunique() == 3
    assert rows.kept.min() > 0.98 and set(rows["values"]) == {"raw", "whitened"}
    assert rows[rows.layout.str.startswith("bilinear")].kept.min() > 0.995  # "nearly all"


def test_training_as_published_is_shown_by_rate_once_there_are_two(monkeypatch):
    rows = usable_published.table()
    rows = rows[(rows.lr == 3e-3) & (rows.schedule == "attention-first") & (rows.d == 64)]
    monkeypatch.setattr(usable_published, "table", lambda: rows)
    assert "attention-first, learning rate 0.003, means of 3 draws" in usable_published.said().data
    assert usable_published.shown().index.names == ["recall [%]"] and "draws" not in usable_published.shown()
    both = pd.concat([rows, rows[rows.seed > 0].assign(lr=2e-4, recall=0.5)])
    monkeypatch.setattr(usable_published, "table", lambda: both)
    recall = usable_published.shown().recall.unstack("rate")
    assert usable_published.shown().draws.groupby("rate").max().to_dict() == {"0.003": 3, "0.0002": 2}
    expected = 100 * rows.groupby(rows.layout.str.replace("'", "’")).recall.mean()[recall.index]
    assert (recall["0.0002"] == 50).all() and recall["0.003"].tolist() == pytest.approx(expected.tolist(), abs=0.051)


def test_noise_floor_says_what_its_tables_hold():
    rows, left = noise_floor.prepared(laptop("noise_floor")), laptop("noise_junk")
    white = rows[rows.memory == "hebbian"]
    fixed, usual = (white[white.width == width] for width in (noise_floor.FIXED, noise_floor.USUAL))
    assert (fixed[["random", "worst"]].min(axis=1) >= fixed.claimed).all()
    middle = usual.groupby(["n_facts", "d"])[["random", "claimed"]].median()  # what the figure draws
    assert (middle.random >= middle.claimed).all()
    worst = usual.groupby(["n_facts", "d"])[["worst", "claimed"]].median().reset_index()
    assert (worst.worst < worst.claimed)[worst.n_facts <= 2 * worst.d].all()  # "small beside d"
    assert (worst.worst > worst.claimed)[worst.n_facts >= 8 * worst.d].all()
    assert (white.worst < white.claimed)[white.width == "1 ×"].all()  # "at the smallest all do"
    times = fixed.groupby(["n_facts", "d"])[["random", "claimed"]].median().loc[(512, 64)]
    assert times.random == pytest.approx(4 * times.claimed, rel=0.1)  # exercise 1
    narrow = (white.random / white.worst).groupby(white.width).median()
    assert narrow.min() > 1.9 and narrow.idxmax() == "1 ×"  # "about two or more"
    slopes = noise_floor.exponents(rows).exponent.str.replace("−", "-").str.split().str[0].astype(float)
    assert slopes[noise_floor.USUAL].abs().max() < 0.1 < 0.2 < slopes[noise_floor.FIXED].min()
    assert slopes[noise_floor.FIXED].max() < 0.5  # "more slowly than the form"
    floors = noise_floor.by_width(rows)
    hard, convex, stalled = (floors.loc[name] for name in ("hard buckets", figures.LABELS["block-convex"], DEPENDENT))
    assert (floors.drop(index=["hard buckets", figures.LABELS["trained"]])["8 ×"] > 5 * hard["8 ×"]).all()
    assert convex["8 ×"] > 2 * floors.loc[figures.LABELS["max-margin"], "2 ×"]  # with as many parameters
    cheap = noise_floor._meeting(rows).groupby(["memory", "width"])[["per_fact", "random"]].median()
    by_size = {name: cheap.loc[name].sort_values("per_fact") for name in noise_floor.DRAWN}
    at_20 = {name: np.interp(np.log(20), np.log(rows.per_fact), rows.random) for name, rows in by_size.items()}
    first, second, third, *_ = sorted(at_20, key=at_20.get, reverse=True)
    assert {first, second} == {"block-convex", "trained"} and at_20[second] > 1.5 * at_20[third]  # "cheapest"
    assert max(by_size["buckets"].random) < 0.3  # "never reached"
    told = {name: int(price) for price, name in re.findall(r"(\d+) \((.*?)\)", *noise_floor.prices(rows))}
    named = {noise_floor.NAMES.get(name, name): part for name, part in by_size.items()}
    assert set(named) - set(told) == {"hard buckets"} and list(told.values()) == sorted(told.values())
    for name, price in told.items():
        within, beyond = (named[name][side].per_fact for side in (named[name].random < 0.3, named[name].random > 0.3))
        assert within.max() < price < beyond.min()
    assert stalled["4 ×"] < 1.3 * stalled["1 ×"] < stalled["8 ×"] / 2
    solved, trained = (left[left.attention == how] for how in ("solved", "trained"))
    assert set(map(tuple, trained[["n_facts", "d", "run"]].to_numpy())) == {
        (n, d, 2**k) for n, d in noise_floor.PUBLISHED for k in range(1, 8)
    }
    assert solved.worst.max() < 1e-4
    level = solved.groupby(["d", "run"]).worst.median().unstack()
    assert (level.max(axis=1) < 3 * level.min(axis=1)).all()  # "level at every length"
    middle = trained.groupby(["d", "run"])[["mean", "worst"]].median()
    rise = middle["mean"].xs(128, level="run") / middle["mean"].xs(2, level="run")
    assert rise[64] > 2 > rise[90] > 1.2 > 1.1 > rise[128]  # "rises at 512 facts, less at 1,012 and not at 2,048"
    assert middle["mean"].between(0.01, 0.1).all()  # "a few hundredths"
    assert (middle.worst.unstack().loc[:, 8:] > 1).all(axis=None)  # "another key": random keys lie √2 apart


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("units", [256, 1024, 4096])
def test_the_steepness_of_a_raw_memory_is_what_the_formula_says(n, units):
    assert noise_floor.steepness(n, 64, units) == pytest.approx(1, abs=0.15)


def test_block_facts_says_what_its_table_holds():
    rows = laptop("block_facts")
    solved = block_facts_shown.prices(rows)["attention solved for"].drop(index=figures.LABELS["max-margin"])
    through = rows.groupby(["d", "n_facts"]).through_solved.min()
    assert (through[64].loc[:256] == 1).all() and through[64, 512] < 1  # "as long as every sequence gets through"
    assert solved[["64", "128", "256"]].astype(float).max().max() <= 1.05
    wide = rows[rows.d == 64].assign(each=rows.n_params / rows.n_facts)
    each = wide.groupby(["n_facts", "method"]).each.median().unstack()
    assert set(each.idxmin(axis=1)) <= {"block-convex", "trained"}  # "stay cheapest"
    served = block_facts_shown.served(rows)["attention trained"][128]
    assert (served == 3).all()  # "with 128 facts every memory in all three"
    found = block_facts_shown.served(rows)
    ours, papers = (found.loc[block_facts_shown.SHOWN_AS[name]] for name in ("encoder-decoder", "paper-codes"))
    assert (ours - papers).to_dict() == {cell: float(cell == ("attention trained", 32)) for cell in found}
    small = rows[rows.d == 32].pivot(
        index=["n_facts", "seed"], columns="method", values=["n_params", "n_params_solved"]
    )
    there = small.notna().stack("method", future_stack=True).unstack("method")
    ours, papers = (there.xs(name, level="method", axis=1) for name in ("encoder-decoder", "paper-codes"))
    assert (papers & ~ours).sum().sum() == 0 and (ours & ~papers).sum().sum() == 1  # "where ours is, but for one"
    most = found["attention trained"].sum(axis=1)
    assert most.idxmax() == figures.LABELS["block-convex"] and most.nlargest(2).iloc[1] < most.max()
    assert block_facts_shown.prices(rows)["attention trained"].replace("–", 0).astype(float).stack().idxmax() == (
        DEPENDENT,
        "64",
    )
    many = block_facts_shown.ratios(rows, "data-dependent", "trained").query("n_facts >= 128")
    factor = (
        block_facts_shown.ratios(rows, "data-dependent", "trained")["attention trained"].groupby("n_facts").median()
    )
    assert (
        factor[64] > 3 * factor[[128, 256]].max()
        and (many.loc[256, "attention trained"] < many.loc[256, "alone"]).all()
    )
    assert many["attention solved for"].min() > 3  # "stays large"
    alone = wide[wide.method == "data-dependent"].set_index(["n_facts", "seed"])
    price = (alone.n_params / alone.n_params_alone).unstack()
    assert (
        price.loc[256:].max().max() < 1.1 and (price.loc[128] < 1.25).sum() == 2
    )  # "in every draw", "in two of three"
    assert 8 <= price.loc[128].max() < 9 and price.loc[64].min() > 5  # "eight times its size alone"
    few = block_facts_shown.ratios(rows, "data-dependent", "trained").query("n_facts == 64")
    assert few["attention trained"].min() > 3
    assert block_facts_shown.ratios(rows, "encoder-decoder", "data-dependent").max().max() < 63
    slopes = block_facts_shown.exponents(rows)[["attention solved for", "attention trained"]].map(
        lambda x: x.split()[0]
    )
    grows = (slopes.map(lambda x: float(x.replace("−", "-"))) > 1).all(axis=1)
    assert list(grows[grows].index) == [block_facts_shown.SHOWN_AS[name] for name in ("encoder-decoder", "paper-codes")]
    lows = (
        block_facts_shown.exponents(rows)["attention trained"]
        .str.extract(r"\((\S+) to")[0]
        .str.replace("−", "-")
        .astype(float)
    )
    assert (lows[grows] < 1).all()  # "open for both"
    units = wide[wide.method.isin(["block-convex", "trained"])].n_params_alone / (3 * 64)
    assert units.max() < 20  # "a few units"


def test_memories_behind_published_attention_are_shown_once_they_are_there(monkeypatch):
    rows = [
        {"method": method, "n_facts": n, "d": 64, "seed": seed, "n_params_alone": 4 * n}
        | {"n_params_solved": 5 * n, "n_params": 6 * n if seed < found else np.nan}
        for method, found in (("paper-codes", 2), ("trained", 1))
        for n in (256, 128)
        for seed in range(3)
    ]
    monkeypatch.setattr(store, "stored", lambda name, profile: pd.DataFrame(rows))
    table = block_published.shown()
    assert table.loc["256", "trained"].tolist() == ["4.0", "5.0", "–", 3]  # not usable in two draws of three
    assert table.loc["128", block_facts_shown.SHOWN_AS["paper-codes"]].tolist() == ["4.0", "5.0", "6.0", 3]
    monkeypatch.setattr(store, "stored", lambda name, profile: None)
    assert "not run yet" in block_published.shown().data


def test_frontier_says_what_its_table_holds():
    rows = frontier.prepared(laptop("frontier"))
    ratio = frontier.cheapest(rows, "kept").pipe(lambda costs: costs / costs.loc["plain"])
    block, noisy = ratio.loc["block-convex"], ratio.loc["block-convex, noisy copies"]
    assert (ratio.drop(index="block-convex, noisy copies").min() == block).all()
    assert (noisy < block).all()  # "make it smaller"
    assert block.max() < 1
    assert ratio.loc["max-margin, ridge 1"].to_numpy() == pytest.approx(ratio.loc["max-margin"].to_numpy(), rel=0.1)
    stored = rows[rows.recall_alone == 1]
    assert stored.solved_kept.min() > 0.999 and stored.sharp_kept.min() > 0.99  # "nearly the same"
    gated = rows[rows.kind == "bilinear gates"]
    assert gated[["per_fact", "tolerance_5"]].corr("spearman").iloc[0, 1] > 0.9
    others = stored[~stored.kind.isin(["step buckets", "ReLU buckets"])]
    assert others[["tolerance_5", "kept"]].corr("spearman").iloc[0, 1] > 0.8  # "more than the kind of memory"
    cheap = rows[rows.per_fact <= 10].groupby(["kind", "setting"])[["per_fact", "kept"]].median()
    usable_there = cheap[cheap.kept > 0.99].per_fact
    assert set(usable_there.index.get_level_values("kind")) == {"block-convex, noisy copies"}
    assert sorted(usable_there) == [7.5, 8.25, 9]  # "in 7.5 to 9"
    assert 0.989 < cheap.loc["block-convex"].kept.max() < 0.99  # "just above 1%"
    white = frontier.ladder(rows)
    assert white["kept [%]"].iloc[-1] >= white["kept [%]"].iloc[0]
    assert white[frontier.LIPSCHITZ].iloc[-1] < 1.15 * white[frontier.LIPSCHITZ].iloc[0]


def test_code_dimension_says_what_its_table_holds():
    rows = laptop("code_dimension")
    kinds = code_dimension.KINDS
    assert all((rows[few] <= rows[many]).all() for many, few in zip(kinds, kinds[1:]))
    assert (rows.rho > 0).all() and (rows.rho_optimised > 2e-3).all()  # decodable, clear of the least margin
    laws, whole = ({kind: code_dimension.fits(rows, kind, most=most) for kind in kinds} for most in (0.5, 1.0))
    assert all(law["law_r2"] < 0 and law["a"] <= 1 for law in laws.values())
    assert laws["projected"]["free_r2"] > 0.5
    long = rows[rows.projected > rows.d / 2]
    assert (long.geometry == "spiked 8").sum() == (rows.geometry == "spiked 8").sum()  # "all draws of spiked 8"
    assert (
        round(5 * whole["projected"]["law_r2"]) == 1 and whole["projected"]["law_r2"] < code_dimension.FITS
    )  # "a fifth"
    assert -whole["projected"]["a"] == pytest.approx(-1, abs=0.1)
    assert (rows.projected * rows.rho**2 / np.log(rows.v)).max() < 2.32
    sphere = code_dimension.examples(rows).filter(like="sphere").T
    assert sphere[code_dimension.NAMES["projected"]].is_monotonic_increasing
    assert sphere[code_dimension.NAMES["optimised"]].is_monotonic_decreasing
    saved = [(rows[a] - rows[b]).median() for a, b in zip(kinds[1:], kinds[2:])]
    assert saved[0] > saved[1] and (rows.projected / rows.optimised).median() > 4


def test_the_law_s_fit_finds_a_law():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame([{"geometry": f"g{g}", "v": v, "d": 10**6} for g in range(4) for v in (64, 256, 1024)] * 3)
    rows = rows.assign(rho=rng.uniform(0.2, 0.8, len(rows)))
    rows["projected"] = 3 * np.log(rows.v) / rows.rho**2
    law = code_dimension.fits(rows, "projected", draws=20)
    assert (law["c"], law["a"], law["b"]) == pytest.approx((3, 2, 1)) and law["law_r2"] == pytest.approx(1)
    flat = code_dimension.fits(rows.assign(projected=7 * np.log(rows.v)), "projected", draws=20)
    assert (flat["a"], flat["b"]) == pytest.approx((0, 1), abs=1e-8) and flat["law_r2"] < 0


def test_precision_says_what_its_table_holds():
    rows = precision.prepared(laptop("precision"))
    assert (rows.bits.dropna() >= np.log2(rows.n)[rows.bits.notna()]).all()  # no network is below the floor
    best = precision.fewest(rows)
    floor = np.log2(rows.n.iloc[0])
    near = [figures.LABELS[method] for method in ("trained", "block-convex")]
    assert list(best.index[:2]) == near and (best["bits"][:2] / floor).between(3, 8).all()
    roomy = best.index[best["width"] != "1 ×"]
    assert figures.LABELS["max-margin"] in roomy and len(roomy) < len(best) / 2  # "seldom"
    tight = rows[rows.room == 1]
    parameters = tight.groupby("method").per_fact.median()
    order = tight.groupby("method").bits.median()
    assert parameters["encoder-decoder"] < parameters["one-hot"] and order["encoder-decoder"] > order["one-hot"]
    formats = tight.groupby("method").scheme.agg(set)
    assert formats["block-convex"] <= {"int6", "int8"} and formats["one-hot"] == {"int3"}
    assert all(formats[method] <= {"fp16", "bf16", "fp32"} for method in ("trained", "encoder-decoder"))
    assert (tight.recall_fp8 <= tight.recall_int8)[tight.method != "encoder-decoder"].all()

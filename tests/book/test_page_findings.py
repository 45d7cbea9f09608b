"""What the pages on transformers, codes and bits say of their stored tables holds in these tables."""

import numpy as np
import pandas as pd
import pytest

from factbook import (
    block_facts,
    code_dimension,
    figures,
    frontier,
    noise_floor,
    precision,
    store,
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
    assert usable_shown.prediction(rows).iloc[:, 0].idxmax() == "angle tolerated / attention's noise"
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
    first = curves.xs("attention-first", level="schedule")
    assert (first > curves.xs("insert-first", level="schedule").loc[first.index]).all().all()


def test_usable_says_what_training_as_published_leaves():
    rows = usable_published.table()
    rows = rows[(rows.schedule == "attention-first") & rows.layout.str.startswith(usable_published.PAPERS)]
    lost = (rows.through - rows.recall).groupby(rows.layout.str.removeprefix(usable_published.PAPERS)).max()
    assert lost[["bilinear gates", "SiLU gates"]].max() < 0.006 and lost["buckets"] > 0.05  # "nearly all", "do not"
    assert rows.through.max() < 1  # "no training gets there"


def test_noise_floor_says_what_its_tables_hold():
    rows, left = noise_floor.prepared(laptop("noise_floor")), laptop("noise_junk")
    white = rows[rows.memory == "hebbian"]
    fixed, usual = (white[white.width == width] for width in (noise_floor.FIXED, noise_floor.USUAL))
    assert (fixed[["random", "worst"]].min(axis=1) >= fixed.claimed).all()
    middle = usual.groupby(["n_facts", "d"])[["random", "claimed"]].median()  # what the figure draws
    assert (middle.random >= middle.claimed).all()
    assert (usual.worst < usual.claimed).any() and (white[white.width == "1 ×"].worst < white.claimed.min()).any()
    slopes = noise_floor.exponents(rows).exponent.str.split().str[0].astype(float)
    assert slopes[noise_floor.USUAL].abs().max() < 0.1 < 0.2 < slopes[noise_floor.FIXED].min()
    assert slopes[noise_floor.FIXED].max() < 0.5  # "more slowly than the form"
    floors = noise_floor.by_width(rows)
    hard, convex, stalled = (floors.loc[name] for name in ("hard buckets", figures.LABELS["block-convex"], DEPENDENT))
    assert (floors.drop(index=["hard buckets", figures.LABELS["trained"]])["8 ×"] > 5 * hard["8 ×"]).all()
    assert convex["8 ×"] > 2 * floors.loc[figures.LABELS["max-margin"], "2 ×"]  # with as many parameters
    assert stalled["4 ×"] < 1.3 * stalled["1 ×"] < stalled["8 ×"] / 2
    assert left[left.attention == "solved"].worst.max() < 1e-4 and left[left.attention == "trained"].worst.max() > 1


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("units", [256, 1024, 4096])
def test_the_steepness_of_a_raw_memory_is_what_the_formula_says(n, units):
    assert noise_floor.steepness(n, 64, units) == pytest.approx(1, abs=0.15)


def test_block_facts_says_what_its_table_holds():
    rows = laptop("block_facts")
    solved = block_facts.prices(rows)["attention solved for"].drop(index=figures.LABELS["max-margin"])
    through = rows.groupby(["d", "n_facts"]).through_solved.min()
    assert (through[64].loc[:256] == 1).all() and through[64, 512] < 1  # "as long as every sequence gets through"
    assert solved[["64", "128", "256"]].astype(float).max().max() <= 1.05
    wide = rows[rows.d == 64].assign(each=rows.n_params / rows.n_facts)
    each = wide.groupby(["n_facts", "method"]).each.median().unstack()
    assert set(each.idxmin(axis=1)) <= {"block-convex", "trained"}  # "stay cheapest"
    served = block_facts.served(rows)["attention trained"][128]
    assert (served.drop(index=figures.LABELS["paper-codes"]) == 3).all()  # "found for the same draws"
    assert block_facts.prices(rows)["attention trained"].replace("–", 0).astype(float).stack().idxmax() == (
        DEPENDENT,
        "64",
    )
    many = block_facts.ratios(rows, "data-dependent", "trained").query("n_facts >= 128")
    factor = block_facts.ratios(rows, "data-dependent", "trained")["attention trained"].groupby("n_facts").median()
    assert (
        factor[64] > 3 * factor[[128, 256]].max()
        and (many.loc[256, "attention trained"] < many.loc[256, "alone"]).all()
    )
    assert many["attention solved for"].min() > 3  # "stays large"
    few = block_facts.ratios(rows, "data-dependent", "trained").query("n_facts == 64")
    assert few["attention trained"].min() > 3
    assert block_facts.ratios(rows, "encoder-decoder", "data-dependent").max().max() < 63
    slopes = block_facts.exponents(rows)[["attention solved for", "attention trained"]].map(lambda x: x.split()[0])
    grows = (slopes.astype(float) > 1).all(axis=1)
    assert list(grows[grows].index) == [figures.LABELS[name] for name in ("encoder-decoder", "paper-codes")]


def test_frontier_says_what_its_table_holds():
    rows = frontier.prepared(laptop("frontier"))
    ratio = frontier.cheapest(rows, "kept").pipe(lambda costs: costs / costs.loc["plain"])
    block, noisy = ratio.loc["block-convex"], ratio.loc["block-convex, noisy copies"]
    assert (ratio.drop(index="block-convex, noisy copies").min() == block).all() and (noisy <= block).all()
    assert block.max() < 1
    assert ratio.loc["max-margin, ridge 1"].to_numpy() == pytest.approx(ratio.loc["max-margin"].to_numpy(), rel=0.1)
    stored = rows[rows.recall_alone == 1]
    assert stored.solved_kept.min() > 0.999 and stored.sharp_kept.min() > 0.99  # "nearly the same"
    gated = rows[rows.kind == "bilinear gates"]
    assert gated[["per_fact", "tolerance_5"]].corr("spearman").iloc[0, 1] > 0.9
    others = stored[~stored.kind.isin(["step buckets", "ReLU buckets"])]
    assert others[["tolerance_5", "kept"]].corr("spearman").iloc[0, 1] > 0.8  # "more than the kind of memory"
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

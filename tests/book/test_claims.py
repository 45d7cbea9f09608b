"""Claims against tables written here, in which the truth is known, for every word that a verdict can be."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factbook import claims, scaling

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import claim_pages  # noqa: E402

ROWS = {row.find.__name__: row for row in claims.CLAIMS}
PROVENANCE = {"device": "cpu x1", "torch": "2", "commit": "abc1234", "seconds": 1.0}


def write(folder, name, rows, profile="laptop"):
    (folder / profile).mkdir(exist_ok=True)
    pd.DataFrame(rows).assign(**PROVENANCE).to_csv(folder / profile / f"{name}.csv", index=False, na_rep="nan")


def axis(
    folder, *, noise=0.01, seeds=3, alphas=(1 / 16, 1 / 8, 1 / 4), sizes=(32, 64, 128, 256), profile="laptop", **laws
):
    """A table on the papers' axis in which every method follows n_params = law(n), but for noise."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "method": method.replace("_", "-"),
            "alpha": alpha,
            "d": d,
            "tied": True,
            "seed": s,
            "n_facts": int(alpha * d * d),
        }
        | {"width": 1, "n_params": law(int(alpha * d * d)) * np.exp(noise * rng.standard_normal()), "recall": 1.0}
        for method, law in laws.items()
        for alpha in alphas
        for d in sizes
        for s in range(seeds)
    ]
    write(folder, "scaling", rows, profile)
    return pd.DataFrame(rows)


def judged(name, folder):
    return claims.evaluate(ROWS[name], folder)


def verdict(name, folder):
    return judged(name, folder).finding.verdict


@pytest.mark.parametrize("name", ROWS)
def test_without_tables_nothing_is_claimed(name, tmp_path):
    found = judged(name, tmp_path)
    assert found.finding.verdict == "not testable here" and found.profile == "" and found.tables == ()
    assert found.finding.number and (ROWS[name].needs in found.finding.number)


def test_every_claim_of_a_paper_says_what_would_test_it():
    for row in claims.CLAIMS:
        assert row.source in claims.SOURCES and row.rule and (row.source == "ours" or row.needs), row.says
        assert row.source == "ours" or row.protocol or row.source == "related", row.says


@pytest.mark.parametrize(
    "power, noise, word",
    [
        (1.0, 0.01, "reproduced"),
        (1.3, 0.01, "differs"),
        (0.7, 0.01, "differs"),
        (1.1, 0.01, "undecided"),
        (1.0, 2.0, "undecided"),
    ],
)
def test_exponents_on_the_axis(tmp_path, power, noise, word):
    axis(tmp_path, noise=noise, paper_codes=lambda n: 80 * n**power, trained=lambda n: 4.0 * n, ntk=lambda n: 600.0 * n)
    assert verdict("scales_as_training", tmp_path) == word
    if noise < 1:
        better = {0.7: "reproduced", 1.0: "undecided"}.get(power, "differs")
        assert verdict("scales_better_than_ntk", tmp_path) == better


@pytest.mark.parametrize(
    "power, bound, theta",
    [(0.0, "reproduced", "reproduced"), (-0.4, "reproduced", "differs"), (0.4, "differs", "differs")],
)
def test_slower_growth_than_the_bound_is_no_difference(tmp_path, power, bound, theta):
    law = lambda n: n * np.log2(n) * n**power  # noqa: E731
    axis(tmp_path, paper_codes=law, hebbian=law)
    assert (verdict("grows_as_the_bound", tmp_path), verdict("hebbian_growth", tmp_path)) == (bound, theta)


def test_where_alphas_disagree_the_claim_is_undecided_and_each_is_told(tmp_path):
    split = axis(tmp_path, paper_codes=lambda n: 80.0 * n, trained=lambda n: 4.0 * n)
    steep = split.assign(
        n_params=split.n_params
        * np.where((split.alpha == 1 / 16) & (split.method == "paper-codes"), split.n_facts**0.5, 1)
    )
    write(tmp_path, "scaling", steep)
    finding = judged("scales_as_training", tmp_path).finding
    assert finding.verdict == "undecided"
    assert "0.50 at α = 1/16" in finding.number and "0.00 at α = 1/4" in finding.number.replace("−", "")


def test_a_method_that_stores_nothing_is_infinitely_dear_and_not_lost(tmp_path):
    """The order holds at sizes where NTK stores nothing; a range of ratios is unknown there."""
    laws = {"paper_codes": lambda n: 80.0 * n, "trained": lambda n: 4.0 * n, "data_dependent": lambda n: 8.0 * n}
    table = axis(tmp_path, ntk=lambda n: 600.0 * n, **laws)
    assert verdict("order_of_the_three_curves", tmp_path) == "reproduced"
    assert verdict("hebbian_against_ntk", tmp_path) == "reproduced"
    none = (table.method == "ntk") & (table.alpha == 1 / 4)
    write(tmp_path, "scaling", table.assign(n_params=np.where(none, np.inf, table.n_params)))
    assert verdict("order_of_the_three_curves", tmp_path) == "reproduced"
    assert verdict("hebbian_against_ntk", tmp_path) == "undecided"
    found = scaling.exponents(table.assign(n_params=np.where(none, np.inf, table.n_params)), "ntk", None)
    assert list(found.alpha) == [1 / 16, 1 / 8]


@pytest.mark.parametrize(
    "ours, order, cheaper",
    [
        (80, "reproduced", "reproduced"),
        (4.6, "reproduced", "differs"),
        (2, "differs", "differs"),
        (5, "reproduced", "undecided"),
    ],
)
def test_order_and_distance_of_the_curves(tmp_path, ours, order, cheaper):
    axis(tmp_path, paper_codes=lambda n: ours * n, trained=lambda n: 4.0 * n, ntk=lambda n: 600.0 * n)
    assert (verdict("order_of_the_three_curves", tmp_path), verdict("trained_is_cheaper", tmp_path)) == (order, cheaper)


@pytest.mark.parametrize(
    "times, word, ours", [(5, "reproduced", "differs"), (20, "differs", "differs"), (1.5, "differs", "reproduced")]
)
def test_distance_to_training(tmp_path, times, word, ours):
    law = lambda n: 4.0 * times * n  # noqa: E731
    axis(tmp_path, trained=lambda n: 4.0 * n, block_convex=law, data_dependent=law)
    assert verdict("hebbian_against_trained", tmp_path) == word
    assert verdict("closest_to_trained", tmp_path) == ours


def test_bits_that_drift_are_not_about_two(tmp_path):
    axis(tmp_path, trained=lambda n: n * np.log2(n) / 2)
    assert verdict("bits_per_parameter", tmp_path) == "reproduced"
    axis(tmp_path, trained=lambda n: n * np.log2(n) / (0.4 + 2.2 * np.log2(n / 64) / 8))
    assert verdict("bits_per_parameter", tmp_path) == "undecided"
    axis(tmp_path, trained=lambda n: n * np.log2(n) / 5)
    assert verdict("bits_per_parameter", tmp_path) == "differs"


def test_the_paper_profile_goes_first_and_too_little_of_it_falls_back(tmp_path):
    laws = {"paper_codes": lambda n: 80.0 * n, "trained": lambda n: 4.0 * n}
    axis(tmp_path, **laws)
    axis(tmp_path, profile="paper", sizes=(64, 128), **laws)
    assert judged("scales_as_training", tmp_path).profile == "laptop"
    axis(tmp_path, profile="paper", sizes=(64, 128, 256), **laws)
    found = judged("scales_as_training", tmp_path)
    assert (found.profile, found.tables) == ("paper", ("scaling.csv at abc1234",))


def test_one_share_alone_decides_nothing(tmp_path):
    laws = {"paper_codes": lambda n: 80.0 * n, "trained": lambda n: 4.0 * n}
    axis(tmp_path, alphas=(1 / 16, 1 / 4), **laws)
    assert verdict("scales_as_training", tmp_path) == "not testable here"
    axis(tmp_path, **laws)
    assert verdict("scales_as_training", tmp_path) == "reproduced"


def test_sensitivity_names_the_draw_that_carries_a_verdict(tmp_path):
    table = axis(tmp_path, paper_codes=lambda n: 80.0 * n, trained=lambda n: 4.0 * n)
    odd = (table.seed == 2) & (table.method == "paper-codes")
    write(tmp_path, "scaling", table.assign(n_params=table.n_params * np.where(odd, (table.n_facts / 1024) ** 0.6, 1)))
    finding = judged("scales_as_training", tmp_path).finding
    assert finding.verdict == "differs" or finding.verdict == "undecided"
    assert "reproduced without draw 2" in finding.sensitivity and "no test untied" in finding.sensitivity


def shapes(rng, slope, *, lost=0, code=20, whitened=1.0):
    """Costs that follow rho^slope over 17 geometries; the first of them lose their facts."""
    rows = []
    for at in range(17):
        for values in ("raw", "whitened"):
            for seed in range(3):
                rho = float(rng.uniform(0.1, 0.8))
                cost = 1000 * rho**slope * (whitened if values == "whitened" else 1)
                cost = np.inf if at < lost else cost
                rows.append(
                    {"geometry": f"g{at}", "values": values, "n": 64, "d": 64, "seed": seed, "rho": rho, "code": code}
                )
                rows[-1] |= {"buckets": cost, "random_gates": cost}
    return rows


@pytest.mark.parametrize(
    "slope, lost, words",
    [
        (-1.0, 0, ("reproduced", "reproduced", "reproduced")),
        (-3.0, 0, ("reproduced", "reproduced", "differs")),
        (0.5, 2, ("differs", "differs", "reproduced")),
    ],
)
def test_decodability_claims(tmp_path, slope, lost, words):
    write(tmp_path, "shapes", shapes(np.random.default_rng(0), slope, lost=lost))
    names = ("stores_what_is_feasible", "rho_foretells_construction", "inverse_square_of_rho")
    assert tuple(verdict(name, tmp_path) for name in names) == words


def test_what_cannot_vary_is_no_test(tmp_path):
    rows = shapes(np.random.default_rng(0), -1.0, code=60)  # of 64: capped by d
    write(tmp_path, "shapes", rows)
    assert verdict("inverse_square_of_rho", tmp_path) == "not testable here"
    write(tmp_path, "shapes", [row | {"code": 20, "rho": 0.5 + row["rho"] / 10} for row in rows])
    assert verdict("inverse_square_of_rho", tmp_path) == "not testable here"


@pytest.mark.parametrize("factor, word", [(0.5, "reproduced"), (2.0, "differs"), (1.0, "undecided")])
def test_whitening_counts_costs_of_the_same_geometry(tmp_path, factor, word):
    rows = shapes(np.random.default_rng(1), 0.0, whitened=factor)
    rows = [
        row | {"buckets": row["buckets"] * np.exp(0.05 * np.random.default_rng(k).standard_normal())}
        for k, row in enumerate(rows)
    ]
    write(tmp_path, "shapes", rows)
    assert verdict("whitening_raises_capacity", tmp_path) == word


@pytest.mark.parametrize(
    "params, kept, word", [(1.0, 1.02, "not testable here"), (0.6, 0.8, "reproduced"), (0.6, 1.1, "differs")]
)
def test_no_trade_off_where_whitening_saves_nothing(tmp_path, params, kept, word):
    rng = np.random.default_rng(0)
    rows = [
        {"setting": f"t = {t}", "n_facts": 64, "d": 32, "seed": s, "n_params": 7680 * params**t}
        | {
            "lipschitz": 8 * 1.5**t * np.exp(0.01 * rng.standard_normal()),
            "kept": 0.9 * kept**t * np.exp(0.01 * rng.standard_normal()),
        }
        for t in (0.0, 0.5, 1.0)
        for s in range(3)
    ]
    write(tmp_path, "frontier", rows)
    assert verdict("capacity_against_usability", tmp_path) == word


@pytest.mark.parametrize("times, word", [(1.5, "reproduced"), (0.5, "differs"), (0.8, "undecided")])
def test_the_noise_floor_is_a_bound(tmp_path, times, word):
    rng = np.random.default_rng(0)
    rows = [
        {"memory": "hebbian", "width": width, "n_facts": n, "d": d, "seed": s, "worst": 0.01}
        | {"random": times * (d / (n * np.log(n))) ** 0.5 * np.exp(0.03 * rng.standard_normal())}
        for width in ("4 ×", "16 d")
        for n in (64, 256, 1024)
        for d in (32, 64)
        for s in range(3)
    ]
    write(tmp_path, "noise_floor", rows)
    finding = judged("noise_floor", tmp_path).finding
    assert finding.verdict == word
    assert ("differs worst directions" in finding.sensitivity) == (word != "differs")


@pytest.mark.parametrize(
    "by_size, word",
    [({64: 2, 128: 2}, "reproduced"), ({64: 5, 128: 6}, "differs"), ({64: 12, 128: 1.6, 256: 1.9}, "undecided")],
)
def test_within_three_times_must_hold_at_every_size(tmp_path, by_size, word):
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "n_facts": n, "d": 64, "seed": s, "n_params": n * (factor if method != "trained" else 1)}
        | {"n_params_solved": 7.0 * n * np.exp(0.01 * rng.standard_normal())}
        for method in ("trained", "data-dependent", "paper-codes")
        for n, factor in by_size.items()
        for s in range(3)
    ]
    rows = [row | {"n_params": row["n_params"] * np.exp(0.02 * rng.standard_normal())} for row in rows]
    write(tmp_path, "block_facts", rows)
    finding = judged("hebbian_in_a_block", tmp_path).finding
    assert finding.verdict == word and f"times at n = {max(by_size)}" in finding.number
    assert verdict("hebbian_below_the_construction", tmp_path) == "differs"


def published(recalls, schedule="attention-first", **change):
    return [
        {
            "layout": "the paper's codes, SiLU gates",
            "schedule": schedule,
            "lr": 2e-4,
            "steps": 16000,
            "batch": 1280,
            "n_facts": 256,
            "d": 64,
        }
        | {"seed": s, "recall": recall}
        | change
        for s, recall in enumerate(recalls)
    ]


@pytest.mark.parametrize(
    "rows, word",
    [
        (published([0.995, 0.996, 0.994]) + published([0.1, 0.2, 0.1], "insert-first"), "reproduced"),
        (published([0.93, 0.94, 0.92]) + published([0.1, 0.2, 0.1], "insert-first"), "differs"),
        (published([0.97, 0.999, 0.95]) + published([0.1, 0.2, 0.1], "insert-first"), "undecided"),
        (published([0.93, 0.94, 0.92]) + published([1.0, 1.0, 1.0], layout="block-convex, 12 a fact"), "differs"),
        (published([0.999, 0.999, 0.999], steps=1500, batch=512), "not testable here"),
    ],
)
def test_use_in_a_transformer_needs_the_published_training_and_one_layout(tmp_path, rows, word):
    write(tmp_path, "usable_published", rows)
    assert verdict("transformers_use_them", tmp_path) == word


def edits(swap, best, alpha, crowd=32, **change):
    rng = np.random.default_rng(0)
    wobble = lambda: np.exp(0.02 * rng.standard_normal())  # noqa: E731
    return [
        {"method": method, "per_unit": crowd, "share": 0.1, "seed": s, "values_of": "permuted", "told": "one"}
        | {"score": min(1.0, score * wobble())}
        | change
        for s in range(3)
        for method, score in (("swap", swap), ("memit", best), ("alphaedit", alpha), ("rome", 0.1))
    ]


@pytest.mark.parametrize(
    "rows, words",
    [
        (edits(0.999, 0.5, 0.5), ("reproduced", "reproduced")),
        (edits(0.999, 0.9, 0.9), ("differs", "differs")),
        (edits(0.999, 0.5, 0.5, crowd=8), ("not testable here",) * 2),
        (edits(0.999, 0.63, 0.44), ("undecided", "undecided")),
    ],
)
def test_editing_is_judged_at_the_published_crowd(tmp_path, rows, words):
    write(tmp_path, "editing_crowded", rows)
    assert tuple(verdict(name, tmp_path) for name in ("editing_by_swap", "score_of_the_swap")) == words


def test_an_encoder_exists_if_one_run_stores(tmp_path):
    rows = [{"n_facts": 64, "d": 16, "seed": s, "closed": 800, "gradient": np.nan} for s in range(3)]
    write(tmp_path, "encoder_gradient", rows)
    assert verdict("gradient_encoder", tmp_path) == "undecided"
    rows[1]["gradient"] = 400.0
    write(tmp_path, "encoder_gradient", rows)
    finding = judged("gradient_encoder", tmp_path).finding
    assert finding.verdict == "reproduced" and finding.number.startswith("1 of 3 runs stored, with 0.50 times")
    assert "undecided without draw 1" in finding.sensitivity


def test_a_layer_cut_short_is_no_test(tmp_path):
    row = {"data": "MLP layer", "values": "raw", "method": "data-dependent", "n": 256, "seed": 0, "per_fact": np.nan}
    for d, word in ((32, "not testable here"), (384, "undecided")):
        write(tmp_path, "real", [row | {"d": d}])
        assert verdict("real_layers", tmp_path) == word
    write(tmp_path, "real", [row | {"d": 384}, row | {"d": 384, "seed": 1, "per_fact": 30.0}])
    assert verdict("real_layers", tmp_path) == "reproduced"


def test_every_row_is_in_the_page_with_a_known_verdict():
    page = claim_pages.markdown()
    table = [line for line in page.splitlines() if line.startswith("| ") and "| **" in line]
    assert len(table) == len(claims.CLAIMS)
    for line, row in zip(table, sorted(claims.CLAIMS, key=lambda row: list(claims.SOURCES).index(row.source))):
        assert row.says in line and row.rule in line
        assert any(f"| **{name}** |" in line for name in claims.VERDICTS)
        if "not testable here" not in line:
            assert f"(../notebooks/{row.page}.ipynb)" in line and (ROOT / "notebooks" / f"{row.page}.py").is_file()
            assert ".csv at " in line
    counted = page.splitlines()[0]
    assert counted.startswith(f"Of {sum(row.source != 'ours' for row in claims.CLAIMS)} claims of papers")


@pytest.mark.parametrize("x, text", [(21.44, "21.4"), (0.00123, "0.00123"), (12345.6, "12,346"), (0, "0"), (3, "3.00")])
def test_numbers_have_three_figures(x, text):
    assert claims.about(x) == text


@pytest.mark.parametrize("ours, verdict_", [(31000, "differs"), (900, "reproduced")])
def test_the_challenge_is_decided_by_the_least_draw_against_the_best_training(tmp_path, ours, verdict_):
    row = {"rung": "one", "d": 128, "share": 1.0, "seed": 42, "n_facts": ours, "recall": 1.0}
    trained = row | {"rung": "trained", "n_facts": 20000}
    write(
        tmp_path, "challenge", [row, row | {"seed": 43, "n_facts": ours + 500}, row | {"n_facts": 60000, "recall": 0.9}]
    )
    assert claims.evaluate(ROWS["hand_coded_against_training"], tmp_path).finding.verdict == "not testable here"
    write(tmp_path, "challenge", [row, row | {"seed": 43, "n_facts": ours + 500}, trained])
    finding, profile, _ = claims.evaluate(ROWS["hand_coded_against_training"], tmp_path)
    assert (finding.verdict, profile) == (verdict_, "laptop")
    assert finding.number.startswith(f"{ours:,} facts, {ours / 25600:.2f} times the best published (25,600) and")
    assert finding.interval == f"least of 2 draws, one linear system: {ours:,}"

"""The table "paper against ours": verdicts follow their rules, on tables made up here, and missing tables say so."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factbook import claims

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import claim_pages  # noqa: E402

ROWS = {row.find.__name__: row for row in claims.CLAIMS}
PROVENANCE = {"device": "cpu x1", "torch": "2", "commit": "0", "seconds": 1.0}


def write(folder, name, rows, profile="laptop"):
    (folder / profile).mkdir(exist_ok=True)
    pd.DataFrame(rows).assign(**PROVENANCE).to_csv(folder / profile / f"{name}.csv", index=False, na_rep="nan")


def ladder(folder, *, profile="laptop", sizes=(64, 128, 256, 512), **laws):
    """A capacity table in which every rung follows n_params = law(n, seed) exactly."""
    key = lambda rung: rung.replace("_", "-")  # noqa: E731
    rows = [
        {"rung": key(rung), "n_facts": n, "d": 64, "seed": s, "width": 1, "n_params": law(n) * (1 + 0.01 * s)}
        for rung, law in laws.items()
        for n in sizes
        for s in range(3)
    ]
    write(folder, "capacity", rows, profile)


def verdict(name, folder):
    finding, profile = claims.evaluate(ROWS[name], folder)
    return finding.verdict, profile


@pytest.mark.parametrize("name", ROWS)
def test_without_tables_nothing_is_claimed(name, tmp_path):
    assert claims.evaluate(ROWS[name], tmp_path) == (claims.Finding("no result table yet", "", "not tested"), "")


@pytest.mark.parametrize(
    "growth, scales, bound",
    [(1.0, "reproduced", "reproduced"), (1.5, "differs", "differs"), (0.8, "reproduced", "reproduced")],
)
def test_exponents_decide_the_claims_on_scaling(tmp_path, growth, scales, bound):
    ladder(tmp_path, paper_codes=lambda n: 80 * n**growth, trained=lambda n: 4.0 * n, ntk=lambda n: 600.0 * n)
    assert verdict("scales_as_training", tmp_path) == (scales, "laptop")
    assert verdict("grows_as_the_bound", tmp_path)[0] == bound
    better = "reproduced" if growth < 1 else "differs"
    assert verdict("scales_better_than_ntk", tmp_path)[0] == better


@pytest.mark.parametrize(
    "ours, order, cheaper", [(80, "reproduced", "reproduced"), (5, "reproduced", "differs"), (3, "differs", "differs")]
)
def test_order_and_distance_of_the_curves(tmp_path, ours, order, cheaper):
    ladder(tmp_path, paper_codes=lambda n: ours * n, trained=lambda n: 4 * n, ntk=lambda n: 600 * n)
    assert verdict("order_of_the_three_curves", tmp_path)[0] == order
    assert verdict("trained_is_cheaper", tmp_path)[0] == cheaper


@pytest.mark.parametrize("times, expected", [(1.5, "stronger"), (5, "reproduced"), (20, "differs")])
def test_distance_to_training(tmp_path, times, expected):
    ladder(
        tmp_path, trained=lambda n: 4 * n, block_convex=lambda n: 4 * times * n, data_dependent=lambda n: 4 * times * n
    )
    assert verdict("closest_to_trained", tmp_path)[0] == expected
    finding, _ = claims.evaluate(ROWS["hebbian_against_trained"], tmp_path)
    assert finding.verdict == expected and finding.number.startswith(f"{times:.3g}"[:3])


def test_the_paper_profile_goes_first_and_too_little_of_it_falls_back(tmp_path):
    laws = {"paper_codes": lambda n: 80 * n, "trained": lambda n: 4 * n}
    ladder(tmp_path, **laws)
    ladder(tmp_path, profile="paper", sizes=(64, 128), **laws)
    assert verdict("trained_is_cheaper", tmp_path) == ("reproduced", "laptop")
    ladder(tmp_path, profile="paper", sizes=(1024, 2048, 4096), **laws)
    assert verdict("trained_is_cheaper", tmp_path) == ("reproduced", "paper")


def geometry(rng, slope, *, lost=0):
    """Costs that follow rho^slope; the other predictors are noise."""
    noise = lambda: float(rng.uniform(0.2, 0.8))  # noqa: E731
    rows = []
    for at in range(12):
        for values in ("raw", "whitened"):
            rho = noise()
            cost = 1000 * rho**slope * (0.5 if values == "whitened" else 1)
            guesses = {name: noise() for name in ("median_rho", "coherence", "effective_rank", "nearest")}
            costs = {"encoder_decoder": cost if at >= lost else np.nan, "trained": cost, "condition": 1 + noise()}
            named = {"geometry": f"g{at}", "values": values, "n": 64, "d": 16, "seed": 0, "rho": rho}
            rows.append(named | guesses | costs | {"outcome": "stored" if at >= lost else "construction fell short"})
    return rows


def test_decodability_claims(tmp_path):
    write(tmp_path, "geometry", geometry(np.random.default_rng(0), slope=-2.0))
    expected = {
        "stores_what_is_feasible": "reproduced",
        "rho_foretells_construction": "reproduced",
        "rho_foretells_training": "reproduced",
    }
    assert {name: verdict(name, tmp_path)[0] for name in expected} == expected
    write(tmp_path, "geometry", geometry(np.random.default_rng(0), slope=0.5, lost=2))
    assert {verdict(name, tmp_path)[0] for name in (*expected, "inverse_square_of_rho")} == {"differs"}


def test_whitening_counts_costs_of_the_same_geometry(tmp_path):
    rows = geometry(np.random.default_rng(1), slope=0.0)
    write(tmp_path, "geometry", rows)
    finding, _ = claims.evaluate(ROWS["whitening_raises_capacity"], tmp_path)
    assert finding.verdict == "reproduced" and finding.number.startswith("0.50 times the cost; lower in 12 of 12")


@pytest.mark.parametrize("exponent, expected", [(0.5, "reproduced"), (0.05, "differs"), (0.9, "differs")])
def test_the_exponent_of_the_noise_floor_decides(tmp_path, exponent, expected):
    rng = np.random.default_rng(0)
    rows = [
        {"memory": memory, "width": width, "n_facts": n, "d": d, "seed": s, "random": 0.9}
        | {"worst": wanted * (d / (n * np.log(n))) ** power * rng.uniform(0.97, 1.03)}
        for memory, width, wanted, power in (
            ("hebbian", "4 ×", 1.1, exponent),
            ("hebbian", "1 ×", 0.1, 0.5),
            ("hebbian", "16 d", 1.1, 0.5),
        )
        for n in (64, 256, 1024)
        for d in (32, 64)
        for s in range(3)
    ]
    write(tmp_path, "noise_floor", rows)
    finding, _ = claims.evaluate(ROWS["noise_floor"], tmp_path)
    assert finding.verdict == expected and finding.number.startswith(f"exponent {exponent:.1f}"[:11])
    assert "16 d 0.5" in finding.number
    assert f"holds in {18 if exponent <= 0.5 else 0} of 18 runs, at 16 d in 18 of 18" in finding.number


@pytest.mark.parametrize("times, below, verdicts", [(2, 80, ("reproduced",) * 2), (5, 3, ("differs",) * 2)])
def test_hebbian_memories_in_a_block_by_the_median_of_the_draws(tmp_path, times, below, verdicts):
    rows = [
        {"method": method, "n_facts": n, "d": d, "seed": s, "n_params": factor * n * (9 if s == 2 else 1) ** odd}
        | {"n_params_solved": 7.0 * factor * n}
        for method, factor, odd in (
            ("trained", 4, 0),
            ("data-dependent", 4 * times, 1),
            ("encoder-decoder", 4 * times * below, 1),
        )
        for n in (64, 128)
        for d in (32, 64)
        for s in range(3)
    ]
    rows[0]["n_params"] = np.nan  # at the smaller d: not looked at
    write(tmp_path, "block_facts", rows)
    names = ("hebbian_in_a_block", "hebbian_below_the_construction")
    assert tuple(verdict(name, tmp_path)[0] for name in names) == verdicts
    finding, _ = claims.evaluate(ROWS[names[0]], tmp_path)
    assert finding.number.startswith(f"{times}.00 times as many at n = 64, {times}.00 times as many at n = 128")
    assert finding.interval == f"all runs: {times}.00 to {claims.about(9 * times)} times"


def test_the_gradient_encoder_must_store_in_every_run(tmp_path):
    rows = [{"n_facts": 64, "d": 16, "seed": s, "closed": 800, "gradient": 400.0} for s in range(3)]
    write(tmp_path, "encoder_gradient", rows)
    finding, _ = claims.evaluate(ROWS["gradient_encoder"], tmp_path)
    assert finding.verdict == "reproduced" and finding.number.startswith("3 of 3 runs stored, with 0.50 times")
    rows[1]["gradient"] = np.nan
    write(tmp_path, "encoder_gradient", rows)
    assert verdict("gradient_encoder", tmp_path) == ("differs", "laptop")


def test_every_row_is_in_the_page_with_a_known_verdict():
    page = claim_pages.markdown()
    table = [line for line in page.splitlines() if line.startswith("| ") and "| **" in line]
    assert len(table) == len(claims.CLAIMS)
    for line, row in zip(table, sorted(claims.CLAIMS, key=lambda row: list(claims.SOURCES).index(row.source))):
        assert row.says in line and row.rule in line
        assert any(f"| **{name}** |" in line for name in claims.VERDICTS)
        if "not tested" not in line:
            assert f"(../notebooks/{row.page}.ipynb)" in line and (ROOT / "notebooks" / f"{row.page}.py").is_file()


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
    assert verdict("hand_coded_against_training", tmp_path) == ("not tested", "")
    write(tmp_path, "challenge", [row, row | {"seed": 43, "n_facts": ours + 500}, trained])
    finding, profile = claims.evaluate(ROWS["hand_coded_against_training"], tmp_path)
    assert (finding.verdict, profile) == (verdict_, "laptop")
    assert finding.number.startswith(f"{ours:,} facts, {ours / 25600:.2f} times the best published (25,600) and")
    assert finding.interval == f"least of 2 draws, one linear system: {ours:,}"

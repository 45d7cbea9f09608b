"""Claims against tables written here, in which the truth is known, for every word that a verdict can be."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from claim_tables import ROWS, axis, judged, verdict, write

from factbook import claims, scaling

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import claim_pages  # noqa: E402


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
    [(0.0, "reproduced", "reproduced"), (-0.4, "reproduced", "differs"), (0.4, "undecided", "differs")],
)
def test_slower_growth_is_no_difference_and_one_kind_of_embeddings_refutes_nothing(tmp_path, power, bound, theta):
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


def test_the_side_whose_runs_are_lost_is_not_favoured(tmp_path):
    """Where NTK stores nothing, what it costs at the least must lead to the same word as leaving these runs out."""
    laws = {"paper_codes": lambda n: 80.0 * n, "ntk": lambda n: 600 * n**0.7}
    table = axis(tmp_path, sizes=(16, 32, 64, 128, 256), **laws)
    assert verdict("scales_better_than_ntk", tmp_path) == "differs"
    dear = (table.method == "ntk") & (table.d == 256)
    law = (table.n_params / (3 * table.d)).round().astype(int)
    for units, word in (
        (law, "differs"),
        (10**7, "undecided"),
    ):  # the widest that lost facts: as dear as the law, or very
        lost = table.assign(n_params=table.n_params.where(~dear, np.inf), width=table.width.where(~dear, units))
        write(tmp_path, "scaling", lost)
        assert verdict("scales_better_than_ntk", tmp_path) == word
    write(tmp_path, "scaling", lost.assign(width=0))  # none was built
    finding = judged("scales_better_than_ntk", tmp_path).finding
    assert finding.verdict == "undecided" and "9 of 45 runs left out" in finding.number


def test_codes_capped_by_d_are_no_size_for_an_exponent(tmp_path):
    table = axis(tmp_path, sizes=(16, 32, 64, 128, 256), paper_codes=lambda n: 80.0 * n, trained=lambda n: 4.0 * n)
    for d, word in ((16, "reproduced"), (64, "not testable here"), (128, "not testable here")):
        capped = (table.method == "paper-codes") & (table.d <= d)
        longest = 0.95 * table.d * np.ceil(table.n_facts / table.d)
        write(tmp_path, "scaling", table.assign(width=table.width.where(~capped, longest)))
        found = judged("scales_as_training", tmp_path).finding
        assert found.verdict == word


def test_sizes_that_disagree_are_named(tmp_path):
    table = axis(tmp_path, paper_codes=lambda n: 80.0 * n, trained=lambda n: 4.0 * n, ntk=lambda n: 600.0 * n)
    cheap = (table.method == "paper-codes") & (table.d == 64) & (table.alpha == 1 / 8)
    write(tmp_path, "scaling", table.assign(n_params=table.n_params.where(~cheap, 2.0 * table.n_facts)))
    finding = judged("trained_is_cheaper", tmp_path).finding
    assert finding.verdict == "undecided" and "1 differs at α = 1/8, d = 64" in finding.number
    assert "α = 1/8, d = 64" in judged("order_of_the_three_curves", tmp_path).finding.interval


def test_untied_embeddings_are_compared_at_their_own_share(tmp_path):
    table = axis(tmp_path, paper_codes=lambda n: 80.0 * n, trained=lambda n: 4.0 * n)
    steep = (table.alpha != 1 / 4) & (table.method == "paper-codes")
    table = table.assign(n_params=table.n_params * np.where(steep, table.n_facts**0.5, 1.0))
    untied = table[table.alpha == 1 / 4].assign(tied=False)
    write(tmp_path, "scaling", pd.concat([table, untied]))
    assert judged("scales_as_training", tmp_path).finding.sensitivity.count(
        "at α = 1/4 alone reproduced tied, same untied"
    )


def test_bits_that_drift_are_not_about_two(tmp_path):
    axis(tmp_path, trained=lambda n: n * np.log2(n) / 2)
    assert verdict("bits_per_parameter", tmp_path) == "reproduced"
    axis(tmp_path, trained=lambda n: n * np.log2(n) / (0.4 + 2.2 * np.log2(n / 64) / 8))
    assert verdict("bits_per_parameter", tmp_path) == "undecided"
    axis(tmp_path, trained=lambda n: n * np.log2(n) / 5)
    assert verdict("bits_per_parameter", tmp_path) == "differs"


def test_the_paper_profile_goes_first_and_too_little_of_it_falls_back(tmp_path):
    def block(sizes, profile="laptop"):
        row = {"method": "encoder-decoder", "d": 64, "n_params_solved": 9.0}
        rows = [row | {"n_facts": n, "seed": s, "n_params": 30.0 * n} for n in sizes for s in range(3)]
        write(tmp_path, "block_facts", rows, profile)

    block((64, 128, 256))
    block((512, 1024), "paper")
    assert judged("our_facts_in_a_block", tmp_path).profile == "laptop"
    block((512, 1024, 2048), "paper")
    found = judged("our_facts_in_a_block", tmp_path)
    assert (found.profile, found.tables) == ("paper", ("block_facts.csv at abc1234",))


def test_rows_on_the_papers_axis_from_a_gpu_join_those_of_the_laptop(tmp_path):
    laws = {"paper_codes": lambda n: 80.0 * n, "trained": lambda n: 4.0 * n}
    axis(tmp_path, sizes=(32, 64), **laws)
    assert verdict("scales_as_training", tmp_path) == "not testable here"
    axis(tmp_path, sizes=(64, 128), profile="paper", **laws)
    found = judged("scales_as_training", tmp_path)
    assert found.finding.verdict == "reproduced" and "d = 32 to 128" in found.finding.scale
    assert found.profile == "laptop and paper"


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


def test_every_row_is_in_the_page_with_a_known_verdict():
    page = claim_pages.markdown()
    table = [line for line in page.splitlines() if line.startswith("| ") and "| **" in line]
    assert len(table) == len(claims.CLAIMS)
    for line, row in zip(table, sorted(claims.CLAIMS, key=lambda row: list(claims.SOURCES).index(row.source))):
        assert row.says in line and row.rule in line and row.protocol in line
        assert any(f"| **{name}** |" in line for name in claims.VERDICTS)
        if "not testable here" not in line:
            assert f"(../notebooks/{row.page}.ipynb)" in line and (ROOT / "notebooks" / f"{row.page}.py").is_file()
            assert ".csv at " in line
    counted = page.splitlines()[0]
    assert counted.startswith(f"Of {sum(row.source != 'ours' for row in claims.CLAIMS)} claims of papers")


@pytest.mark.parametrize("x, text", [(21.44, "21.4"), (0.00123, "0.00123"), (12345.6, "12,346"), (0, "0"), (3, "3.00")])
def test_numbers_have_three_figures(x, text):
    assert claims.about(x) == text


def test_an_alpha_at_which_nothing_is_stored_is_named(tmp_path):
    laws = {"paper_codes": lambda n: 80.0 * n, "ntk": lambda n: 600 * n**0.7}
    table = axis(tmp_path, alphas=(1 / 32, 1 / 16, 1 / 8, 1 / 4), **laws)
    lost = (table.method == "ntk") & (table.alpha == 1 / 4)
    write(tmp_path, "scaling", table.assign(n_params=table.n_params.where(~lost, np.inf)))
    found = judged("scales_better_than_ntk", tmp_path).finding
    assert found.verdict == "undecided" and "12 of 48 runs left out" in found.number
    assert "too few are left at α = 1/4, undecided there" in found.number and "1/8" in found.number.split(";")[0]

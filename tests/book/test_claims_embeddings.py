"""Claims on values, codes and encoders, against tables in which the truth is known."""

import numpy as np
import pandas as pd
import pytest
from claim_tables import judged, verdict, write

from factbook import fit


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


def test_lost_runs_take_part_in_orders(tmp_path):
    """Sets of small ρ store nothing: ρ foretells that, and a rank over the rest alone would see nothing."""
    rng = np.random.default_rng(0)
    rows = [row | {"buckets": 1000 * np.exp(0.1 * rng.standard_normal())} for row in shapes(rng, 0.0)]
    write(tmp_path, "shapes", rows)
    assert verdict("rho_foretells_construction", tmp_path) == "differs"
    write(tmp_path, "shapes", [row | ({"buckets": np.inf} if row["rho"] < 0.5 else {}) for row in rows])
    finding = judged("rho_foretells_construction", tmp_path).finding
    assert finding.verdict == "reproduced" and "runs that store nothing rank as the dearest" in finding.number


def test_dimensions_are_not_mixed(tmp_path):
    """In each d the cost rises with ρ; the larger d has larger ρ and lower costs, which would turn the sign."""
    rows = shapes(np.random.default_rng(0), 0.5)
    other = [row | {"d": 128, "rho": row["rho"] + 1, "buckets": row["buckets"] / 100} for row in rows]
    write(tmp_path, "shapes", rows + other)
    assert verdict("rho_foretells_construction", tmp_path) == "differs"


def test_what_is_capped_does_not_flatten_the_law(tmp_path):
    """Noise in the code at every ρ: to leave out capped draws alone would leave a cost that hardly grows."""
    rng, rows = np.random.default_rng(0), []
    for row in shapes(rng, -3.0):
        code = 0.3 * row["rho"] ** -3 * np.exp(0.7 * rng.standard_normal())
        rows.append(row | {"code": min(64, 1 + int(code)), "buckets": 3.0 * 64 * min(64, code), "seed": len(rows)})
    write(tmp_path, "shapes", rows)
    kept = [row for row in rows if row["code"] <= 0.9 * 64]
    alone = fit.predictive_power(pd.DataFrame(kept), "rho", "buckets", cluster="geometry", within="n").slope
    found = judged("inverse_square_of_rho", tmp_path).finding
    assert float(found.number.split()[1].replace("−", "-")) < alone.value - 0.1


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
    if (
        factor == 2.0
    ):  # raw values that store nothing are infinitely dear: no clear word then, not one against whitening
        lost = [
            row | ({"buckets": np.inf} if row["values"] == "raw" and row["geometry"] < "g2" else {}) for row in rows
        ]
        write(tmp_path, "shapes", lost)
        assert verdict("whitening_raises_capacity", tmp_path) == "undecided"


def lengths(law, sizes=((128, 64), (256, 64), (512, 64))):
    return [
        {"geometry": "sphere", "v": v, "d": d, "seed": s, "rho": 0.5, "projected": law(v, d, s)}
        for v, d in sizes
        for s in range(3)
    ]


def test_code_lengths_are_judged_at_every_d_and_capped_sizes_go_whole(tmp_path):
    good = lambda v, d, s: 4 * np.log(v) + 0.01 * s  # noqa: E731
    write(tmp_path, "code_dimension", lengths(good))
    assert verdict("code_length", tmp_path) == "reproduced"
    more = tuple((v, d) for d in (64, 128) for v in (128, 256, 512))
    write(tmp_path, "code_dimension", lengths(lambda v, d, s: good(v, d, s) if d == 64 else v**0.7, more))
    finding = judged("code_length", tmp_path).finding
    assert finding.verdict == "undecided" and "at d = 128" in finding.number
    write(tmp_path, "code_dimension", lengths(lambda v, d, s: 63 if (v, s) == (512, 0) else good(v, d, s)))
    assert verdict("code_length", tmp_path) == "not testable here"


def test_an_encoder_exists_if_every_draw_of_one_size_stores(tmp_path):
    rows = [{"n_facts": n, "d": 16, "seed": s, "closed": 800, "gradient": np.nan} for n in (64, 128) for s in range(3)]
    write(tmp_path, "encoder_gradient", rows)
    assert verdict("gradient_encoder", tmp_path) == "undecided"
    rows[1]["gradient"] = rows[2]["gradient"] = 400.0
    write(tmp_path, "encoder_gradient", rows)
    finding = judged("gradient_encoder", tmp_path).finding
    assert finding.verdict == "undecided" and finding.number.startswith("2 of 6 runs stored, with 0.50 times")
    assert "reproduced without draw 0" in finding.sensitivity  # a lucky choice of draws
    rows[0]["gradient"] = 400.0
    write(tmp_path, "encoder_gradient", rows)
    assert verdict("gradient_encoder", tmp_path) == "reproduced"

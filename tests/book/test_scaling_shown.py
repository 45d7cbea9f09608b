"""What the page on the papers' axis shows, on laws written here and on the committed table."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from factbook import scaling, store
from factbook import scaling_shown as shown


def made_up(alphas=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0), untied: float = 1.5) -> pd.DataFrame:
    """Training at 4 parameters per fact, the Hebbian memory at 40 n^0.3, NTK at 400 n^0.05, nowhere at d = 32."""
    rows = []
    for alpha in alphas:
        for d in (32, 64, 128, 256):
            n = int(alpha * d * d)
            costs = {"trained": 4.0 * n, "hebbian": 40 * n**1.3, "ntk": np.inf if d == 32 else 400.0 * n**1.05}
            for method, cost in costs.items():
                row = {"method": method, "alpha": alpha, "d": d, "tied": True, "seed": 0, "n_facts": n, "width": d // 8}
                rows += [row | {"n_params": cost}, row | {"tied": False, "n_params": untied * cost}]
    return pd.DataFrame(rows)


def test_exponents_are_those_of_the_laws_and_at_most_four_columns():
    table = shown.exponents(made_up())
    assert list(table.columns) == ["α = 1/32", "α = 1/8", "α = 1/4", "α = 1", "runs left out"]
    assert table.loc[shown.NAMES["hebbian"], "α = 1"] == "0.30 ± 0.00" and table.loc["NTK", "runs left out"] == 6
    assert "Too few" in shown.exponents(made_up()[lambda rows: rows.d < 100]).data


def test_costs_and_findings_are_at_the_largest_alpha_with_most_methods():
    rows = made_up()
    rows = rows[(rows.method != "hebbian") | (rows.alpha < 1)]
    assert shown.chosen(shown.slopes(rows)) == 1 / 2
    costs = shown.costs(rows)
    assert costs.loc["NTK", "d = 32"] == "∞" and costs.loc["NTK", "d = 64"] == f"{400 * 2048**0.05:.1f}"
    assert set(costs.loc["trained"]) == {"4.0"}
    assert shown.costs(rows[(rows.d < 256) | (rows.method != "trained")]).loc["trained", "d = 256"] == "–"
    first, second, third = shown.findings(rows)
    assert (
        "α = 1/2, d = 32 to 256" in first and "1 of 2 methods lie above 0.1 with their whole interval (Hebbian" in first
    )
    assert "those of 1 within ± 0.1 (NTK)" in first
    assert (
        second.endswith(f"trained 4.0; NTK {400 * 32768**0.05:.1f}; Hebbian, whitened 905.1.")
        and "1.50 to 1.50" in third
    )
    codes = rows[rows.method == "trained"].assign(method="paper-codes")
    dearer = codes.assign(n_params=codes.n_params * np.where(codes.alpha > 1 / 8, codes.n_facts**0.2, 1))
    first, *others = shown.findings(pd.concat([rows, dearer]))
    assert "than those of training at 3 of 6 α**" in first and len(others) == 3
    assert "At α = 1/32 and 1/16 trained networks have 4 to 32 units" in first
    slow = rows.assign(n_params=rows.n_params * np.where(rows.method == "ntk", rows.n_facts**-0.3, 1))
    assert "those of 1 below −0.1 (NTK); those of 0 are open" in shown.findings(slow)[0]


def test_how_far_each_method_went_and_networks_of_given_widths(tmp_path, monkeypatch):
    table = shown.reached(made_up())
    assert table["run to"].unique().tolist() == ["65,536"] and table.loc["trained", "asked for"] == "4,096"
    assert list(table.index) == ["NTK", shown.NAMES["hebbian"], "trained"]
    jobs = scaling.jobs(["ntk"])
    assert list(jobs[0]) == ["method", "alpha", "d", "tied", "seed"]
    both = pd.DataFrame(jobs).assign(n_facts=64)
    assert shown.reached(both)["runs missing"].tolist() == ["0"]
    assert shown.reached(both[3:])["runs missing"].tolist() == ["3"]
    monkeypatch.setenv("FACTCORE_RESULTS", str(tmp_path))
    assert "None has been run yet" in shown.given_widths().data
    job = {"method": "trained", "per_fact": 4.0, "alpha": 0.25, "d": 128, "seed": 0}
    run = {"n_facts": 4096, "width": 43, "n_params": 16512, "recall": 0.9875}
    store.resume(store.results_file("scaling_widths", "paper"), [job], lambda **job: run)
    assert shown.given_widths().to_dict("list") == {
        "facts": ["4,096"],
        "d": [128],
        "units": [43],
        "per fact": [4.03],
        "stored [%]": [98.75],
    }


def test_the_table_has_the_alpha_that_the_findings_speak_of():
    rows = made_up()
    for largest in (1 / 16, 1 / 8, 1 / 2, 1.0):
        table = shown.exponents(rows[(rows.method != "hebbian") | (rows.alpha <= largest)])
        assert f"α = {shown.share(largest)}" in table and table.shape[1] <= 5


def test_no_exponent_is_minus_nothing_and_none_beyond_one_is_drawn():
    assert shown._with_reach(-0.004, 0.07) == "0.00 ± 0.07"
    rows = made_up()
    steep = rows[rows.method == "hebbian"].assign(method="ntk", n_params=4.0 * rows.n_facts**2.5)
    drawn = shown.figure(pd.concat([rows[rows.method != "ntk"], steep]))
    heights = [y for bars in drawn.axes[0].containers for y in bars[0].get_ydata()]
    assert len(heights) == 6 and max(heights) < 1
    plt.close(drawn)


def test_the_page_says_what_its_table_holds():
    rows = store.stored("scaling", "laptop")
    costs = shown.per_fact(rows, shown.chosen(shown.slopes(rows))).dropna(subset="trained")
    order = costs.rank(axis=1)
    assert (order[["trained", "block-convex"]].max(axis=1) <= 2).all() and costs.idxmax(axis=1).isin(
        ["ntk", "ntk-relu"]
    ).all()

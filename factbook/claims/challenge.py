"""The memorisation challenge: what its post says of weights written by hand, and what our linear systems store."""

import pandas as pd

from factbook.challenge import PUBLISHED, largest
from factbook.claims.judging import Finding, NoTable, Tables, claim, holds, sensitivity, signed, without_draws

D = 128  # of the claim
PROTOCOL = "theirs: pairs, labels, widths and score of the post; its training by its description"


@claim(
    "related",
    "Pairs of tokens: the post's own weights, written by hand, store 27 times fewer facts than training at $d = 128$ "
    "{cite:p}`handcoding2026`.",
    rule="ratio of facts, training over the post's construction: 27, band 1.25 ×",
    page="challenge",
    protocol=PROTOCOL,
    needs="the post's construction, rebuilt; our linear systems have a row among ours",
)
def hand_coded_against_training(tables: Tables) -> Finding:
    raise NoTable("the post's construction is not rebuilt here")


@claim(
    "ours",
    "Pairs of tokens: weights from linear systems store more facts than training at $d = 128$, one system and several.",
    rule="exact: the least over the draws exceeds the best training there, published or run here",
    page="challenge",
    protocol=PROTOCOL,
)
def linear_systems_against_training(tables: Tables) -> Finding:
    best = largest(tables("challenge"))
    best = best[best.d == D]
    ours, trained = best[best.rung.isin(("one", "several"))], best[best.rung == "trained"].n_facts.max()
    if not len(ours) or not trained > 0:
        raise NoTable(f"no network of ours, or none trained, at d = {D}")
    bars = {"the best published, of 5,000 epochs": PUBLISHED[1.0][D], "the best trained here": int(trained)}
    bar = max(bars.values())

    def judge(rows: pd.DataFrame) -> str:
        return holds(bool((rows.groupby("rung").n_facts.min() > bar).all()))

    names = {"one": "one linear system", "several": "several"}
    least = ours.groupby("rung").n_facts.min()
    number = "; ".join(
        f"{names[rung]}: {n:,} facts, "
        + " and ".join(f"{signed(n / facts)} times {name} ({facts:,})" for name, facts in bars.items())
        for rung, n in least.items()
    )
    verdict = judge(ours)
    changes = sensitivity(verdict, judge, {name: (rows,) for name, rows in without_draws(ours).items()})
    return Finding(number, f"least of {ours.seed.nunique()} draws", verdict, f"d = {D}", changes)

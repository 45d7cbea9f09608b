"""The memorisation challenge: what its post says of weights written by hand."""

from __future__ import annotations

from factbook.challenge import PUBLISHED, largest
from factbook.claims.judging import Finding, NoTable, Tables, claim, holds, signed


@claim(
    "related",
    "Pairs of tokens: weights written by hand store 27 times fewer facts than training at $d = 128$ "
    "{cite:p}`handcoding2026`.",
    rule="our linear systems store fewer than the best training there, published or run here",
    page="challenge",
    protocol="theirs: pairs, labels, widths and score of the post; its training by its description",
    needs="networks of ours and trained ones at d = 128",
)
def hand_coded_against_training(tables: Tables) -> Finding:
    best = largest(tables("challenge"))
    best = best[best.d == 128]
    ours, trained = best[best.rung.isin(("one", "several"))], best[best.rung == "trained"].n_facts.max()
    if not len(ours) or not trained > 0:
        raise NoTable("no network of ours, or none trained, at d = 128")
    bars = {"the best published": PUBLISHED[1.0][128], "the best trained here": int(trained)}
    least = ours.groupby("rung").n_facts.min()
    number = f"{least.max():,} facts, "
    number += " and ".join(f"{signed(least.max() / bar)} times {name} ({bar:,})" for name, bar in bars.items())
    names = {"one": "one linear system", "several": "several"}
    each = ", ".join(f"{names[rung]}: {n:,}" for rung, n in least.items())
    return Finding(number, f"least of {ours.seed.nunique()} draws, {each}", holds(least.max() < max(bars.values())))

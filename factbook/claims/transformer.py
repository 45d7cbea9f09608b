"""Inside a transformer, and editing. A row that raises `NoTable` at once is not tested yet."""

from __future__ import annotations

import numpy as np
import pandas as pd

from factbook import fit
from factbook.claims.judging import Finding, NoTable, Tables, about, claim, holds, interval, reach, signed, span


@claim(
    "paper",
    "Transformers can use the constructed MLPs: above 99% recall on a synthetic task.",
    rule="with trained attention the best constructed MLP has a recall of at least 99% for every seed",
    page="usable",
)
def transformers_use_them(tables: Tables) -> Finding:
    table = tables("usable")
    built = table[~table.memory.str.startswith("trained")]
    best = built[built.memory == built.groupby("memory").recall.min().idxmax()]
    number = f"our shorter training: at most {best.recall.min():.1%} ({best.memory.iloc[0]}), as attention itself lets "
    number += f"only {best.reached.min():.1%} to {best.reached.max():.1%} of sequences through; solved for: at least "
    worst = built.groupby("memory")[["solved_recall", "solved_certified"]].min().min()
    number += f"{worst.solved_recall:.1%} for every memory, proved for {worst.solved_certified:.1%} of the keys"
    spread = f"trained, all draws: {best.recall.min():.1%} to {best.recall.max():.1%}"
    return Finding(number, spread, holds(best.recall.min() >= 0.99))


@claim(
    "paper",
    "Facts per parameter inside a transformer scale comparably to language models.",
    rule="the exponent in the number of facts has an interval that reaches 1",
    page="block_facts",
)
def facts_in_a_block(tables: Tables) -> Finding:
    table = tables("block_facts").dropna(subset="n_params")
    rows = table[(table.method == "encoder-decoder") & (table.d == table.d.max())]
    if rows.n_facts.nunique() < 3:
        raise NoTable("fewer than three numbers of facts")
    law = fit.power_law(rows, "n_facts", "n_params")
    number = f"parameters of the encoder-decoder grow with exponent {signed(law.exponent)}, {reach(rows)}"
    return Finding(number, interval(law), holds(law.low <= 1 <= law.high))


@claim(
    "paper",
    "Capacity and usability trade off: whitening raises the Lipschitz constant and hurts use in a transformer.",
    rule="whitened values give a larger median Lipschitz constant and a smaller share of sequences kept than raw ones",
    page="frontier",
)
def capacity_against_usability(tables: Tables) -> Finding:
    table = tables("frontier")
    rows = table[table.setting.astype(str).str.startswith("t = ")]
    ends = rows.assign(t=rows.setting.str[4:].astype(float)).groupby("t")[["lipschitz", "kept"]].median()
    if len(ends) < 2:
        raise NoTable("fewer than two degrees of whitening")
    raw, white = ends.iloc[0], ends.iloc[-1]
    number = f"raw to whitened: Lipschitz {about(raw.lipschitz)} to {about(white.lipschitz)}, "
    number += f"kept in the transformer {raw.kept:.1%} to {white.kept:.1%}"
    truth = white.lipschitz > raw.lipschitz and white.kept < raw.kept
    return Finding(number, f"kept, {span(rows.kept)}", holds(truth))


@claim(
    "hebbian",
    "Recall in a block survives while the attention noise stays below about $\\sqrt{d / (n \\log n)}$.",
    rule="whitened, 4 times the smallest width, worst directions: the noise at which recall falls below 99% has an "
    "exponent in $d / (n \\ln n)$ whose interval covers 0.5",
    page="noise_floor",
)
def noise_floor(tables: Tables) -> Finding:
    table = tables("noise_floor")
    table = table[table.memory == "hebbian"].assign(share=table.d / (table.n_facts * np.log(table.n_facts)))
    rows, fixed = table[(table.width == "4 ×") & (table.worst > 0)], table[table.width == "16 d"]
    if rows.share.nunique() < 3:
        raise NoTable("fewer than three sizes")
    law, apart = (fit.power_law(rows, "share", column) for column in ("worst", "random"))
    at_width = fit.power_law(fixed, "share", "worst").exponent
    bound = [f"{int((part.worst >= part.share**0.5).sum())} of {len(part)}" for part in (rows, fixed)]
    number = (
        f"exponent {signed(law.exponent)} (random directions {signed(apart.exponent)}; worst ones at a fixed width of "
    )
    number += f"16 d {signed(at_width)}); as a bound it holds in {bound[0]} runs, at 16 d in {bound[1]}"
    return Finding(number, interval(law), holds(law.low <= 0.5 <= law.high))


def in_a_block(tables: Tables, over: str, under: str) -> tuple[pd.DataFrame, pd.Series, str]:
    """Ratios of parameters of two methods behind trained attention, their medians by number of facts, and in words."""
    table = tables("block_facts")
    table = table[table.d == table.d.max()]
    parts = [table[table.method == name] for name in (over, under)]
    both = parts[0].merge(parts[1], on=["n_facts", "d", "seed"], suffixes=("", "_under"))
    solved = (both.n_params_solved / both.n_params_solved_under).median()
    both = both.assign(ratio=both.n_params / both.n_params_under).dropna(subset="ratio")
    if both.empty:
        raise NoTable(f"{over} and {under} are nowhere usable together")
    medians = both.groupby("n_facts").ratio.median()
    words = ", ".join(f"{about(times)} times as many at n = {n:,}" for n, times in medians.items())
    return both, medians, f"{words}; with attention solved for {about(solved)} times"


@claim(
    "hebbian",
    "In a transformer the data-dependent memory is within 3 times of trained …",
    rule="behind trained attention the median of the draws is at most 3 times trained at the largest number of facts",
    page="block_facts",
)
def hebbian_in_a_block(tables: Tables) -> Finding:
    both, medians, number = in_a_block(tables, "data-dependent", "trained")
    return Finding(number, span(both.ratio, " times"), holds(medians.iloc[-1] <= 3))


@claim(
    "hebbian",
    "… and 63 times below the encoder-decoder.",
    rule="behind trained attention the median of the draws is at least 63 at the largest number of facts",
    page="block_facts",
)
def hebbian_below_the_construction(tables: Tables) -> Finding:
    both, medians, number = in_a_block(tables, "encoder-decoder", "data-dependent")
    number = f"the encoder-decoder, at its cheapest usable layout, needs {number}"
    return Finding(number, span(both.ratio, " times"), holds(medians.iloc[-1] >= 63))


@claim(
    "paper",
    "Facts are edited by swapping the whole MLP, about twice as well as by the best weight update at 10% edited.",
    rule="the ratio of scores reaches 2 in one of the runs",
    page="editing",
)
def editing_by_swap(tables: Tables) -> Finding:
    table = tables("editing")
    tenth = table[(table.share == 0.1) & (table.width == table.width.min())]
    scores = tenth.pivot_table(index="seed", columns="method", values="score", aggfunc="max")
    editors = [name for name in ("rome", "memit", "alphaedit") if name in scores]
    if len(editors) < 3 or scores[["swap", *editors]].isna().any().any():
        raise NoTable("fewer than three editors")
    ratio = scores.swap / scores[editors].max(axis=1)
    number = f"{ratio.median():.2f} times the best of ROME, MEMIT and AlphaEdit"
    return Finding(number, span(ratio, " times"), holds(ratio.max() >= 2))


@claim(
    "hebbian",
    "Swapping scores 0.999 at 10% edits, AlphaEdit 0.550.",
    rule="swapping scores at least 0.99 in every run",
    page="editing",
)
def score_of_the_swap(tables: Tables) -> Finding:
    table = tables("editing")
    tenth = table[(table.share == 0.1) & (table.width == table.width.min())]
    swap, alpha = (tenth[tenth.method == name].groupby("seed").score.max() for name in ("swap", "alphaedit"))
    if swap.empty or alpha.empty:
        raise NoTable("no swap or no AlphaEdit")
    number = f"swap {swap.median():.3f}, AlphaEdit {alpha.median():.3f}"
    return Finding(number, span(swap), holds(swap.min() >= 0.99))

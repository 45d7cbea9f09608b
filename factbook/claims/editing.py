"""Editing: what both papers claim, and the same of the networks that this book edits and swaps.

The published memory has 32 facts per hidden unit and 24 parameters a fact at once, by a dimension that ours has not.
Ours has the one or the other, so a claim is tested at both ends (`rules.bracketed`).
"""

import pandas as pd

from factbook import fit
from factbook.claims import rules
from factbook.claims.judging import Finding, NoTable, Tables, about, claim, listed, sensitivity, signed
from factbook.editing.crowded import OURS, THEIRS

EDITED = 0.1  # of the facts
ENDS = {32: "32 facts a unit", 8: "24 parameters a fact"}  # facts per hidden unit of ours, and what is as published
EDITORS = ("rome", "memit", "alphaedit")
PROTOCOL = (
    "256 airports, a tenth edited, values permuted among them, one sentence a fact; as published at 32 facts a hidden "
    "unit (6 parameters a fact), and at the published 24 parameters a fact (8 facts a unit)"
)
PROTOCOL_OF_THEIRS = (
    "a SwiGLU trained by Adam until every fact decodes and no further, on the cross-entropy for their squared error; "
    f"{PROTOCOL}; the best of one grid for all networks"
)
NEEDS = "the same edits of an MLP that is trained, as theirs, at 8 and 32 facts per hidden unit, 3 draws"


def scores(tables: Tables, construction: str) -> pd.DataFrame:
    """Best score of every method (columns) by protocol and draw, a tenth edited; both ends must be there."""
    table = tables("editing_crowded")
    others = set(table.construction)
    table = table[(table.construction == construction) & (table.share == EDITED)]
    if table.empty:
        raise NoTable(f"no edits of a {construction} network, only of {', '.join(sorted(others)) or 'none'}")
    table = table.assign(score=table.score.fillna(0.0))  # an edit that broke the model scores nothing
    wide = table.pivot_table(
        index=["values_of", "told", "per_unit", "seed"], columns="method", values="score", aggfunc="max"
    )
    if not {"swap", *EDITORS} <= set(wide.columns):
        raise NoTable("not every editor has been run")
    return wide.dropna(subset=["swap", *EDITORS]).reset_index()


def theirs(table: pd.DataFrame, values_of: str = "permuted", told: str = "one") -> pd.DataFrame:
    return table[(table.values_of == values_of) & (table.told == told)]


def ratio_at(table: pd.DataFrame, crowd: int, over: pd.Series, under: pd.Series | float) -> fit.Estimate:
    """The ratio of two scores at so many facts a unit; one of a score of 0 is infinite."""
    return fit.mean_ratio((over / under)[table.per_unit == crowd])


def swap_over_best(table: pd.DataFrame, crowd: int) -> fit.Estimate:
    return ratio_at(table, crowd, table.swap, table[list(EDITORS)].max(axis=1))


def variants(table: pd.DataFrame) -> dict[str, tuple]:
    """One thing changed at a time: the crowd, what values are drawn from and what is told, a draw left out."""
    rows = theirs(table)
    changed = {f"at {crowd} a unit alone": (rows, (crowd,)) for crowd in sorted(rows.per_unit.unique())}
    for values_of, told in sorted(set(zip(table.values_of, table.told)) - {("permuted", "one")}):
        part = theirs(table, values_of, told)
        changed[f"values {values_of}, told {told}"] = (part, tuple(sorted(part.per_unit.unique())))
    return changed | {f"without draw {draw}": (rows[rows.seed != draw],) for draw in sorted(rows.seed.unique())}


def twice_the_best(tables: Tables, construction: str) -> Finding:
    table = scores(tables, construction)

    def judge(rows: pd.DataFrame, crowds: tuple[int, ...] = tuple(ENDS)) -> str:
        return rules.bracketed((swap_over_best(rows, crowd) for crowd in crowds), 2.0, 2.0)

    rows = both_ends(table)
    found = {crowd: swap_over_best(rows, crowd) for crowd in ENDS}
    verdict = judge(rows)
    number = listed(f"{about(mean.value)} times the best at {ENDS[crowd]}" for crowd, mean in found.items())
    ends = "95%: " + listed(f"{signed(mean.low)} to {signed(mean.high)}" for mean in found.values())
    return Finding(number, ends, verdict, scale(rows), sensitivity(verdict, judge, variants(table)))


def both_ends(table: pd.DataFrame) -> pd.DataFrame:
    """The rows by the published protocol; NoTable without two draws at either end."""
    rows = theirs(table)
    for crowd, words in ENDS.items():
        if (rows.per_unit == crowd).sum() < rules.LEAST_DRAWS:
            raise NoTable(f"fewer than two draws by the published protocol at {words}")
    return rows


def scale(rows: pd.DataFrame) -> str:
    return f"256 facts, {rows.seed.nunique()} draws"


@claim(
    "paper",
    "Facts are edited by swapping the whole MLP, about twice as well as by the best weight update at 10% edited.",
    rule="ratio of scores, swap over the best of ROME, MEMIT and AlphaEdit, each at its best: 2, band 1.25 ×, at both "
    "ends of the published setting",
    page="editing",
    protocol=PROTOCOL_OF_THEIRS,
    needs=NEEDS,
)
def editing_by_swap(tables: Tables) -> Finding:
    return twice_the_best(tables, THEIRS)


@claim(
    "hebbian",
    "Swapping scores 0.999 at 10% edits, AlphaEdit 0.550.",
    rule="both scores within 1.25 × of those published, at both ends of the published setting",
    page="editing",
    protocol=PROTOCOL_OF_THEIRS,
    needs=NEEDS,
)
def score_of_the_swap(tables: Tables) -> Finding:
    table = scores(tables, THEIRS)

    def judge(rows: pd.DataFrame, crowds: tuple[int, ...] = tuple(ENDS)) -> str:
        each = (("swap", 0.999), ("alphaedit", 0.550))
        parts = [(ratio_at(rows, crowd, rows[name], value) for crowd in crowds) for name, value in each]
        return rules.both(*(rules.bracketed(part, 1.0, 1.0) for part in parts))

    rows = both_ends(table)
    verdict = judge(rows)
    medians = rows.groupby("per_unit")[["swap", "alphaedit"]].median()
    number = listed(
        f"swap {medians.swap[crowd]:.3f}, AlphaEdit {medians.alphaedit[crowd]:.3f} at {words}"
        for crowd, words in ENDS.items()
    )
    changes = sensitivity(verdict, judge, variants(table))
    return Finding(number, "", verdict, scale(rows), changes)


@claim(
    "ours",
    "Swapping a block-convex MLP edits about twice as well as the best weight update of one at 10% edited.",
    rule="ratio of scores, swap over the best of ROME, MEMIT and AlphaEdit, each at its best: 2, band 1.25 ×, at both "
    "ends of the published setting",
    page="editing",
    protocol=PROTOCOL,
)
def editing_ours_by_swap(tables: Tables) -> Finding:
    return twice_the_best(tables, OURS)

"""What a claim is, how a verdict is reached, and the words for its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from factbook import fit
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = ("reproduced", "stronger", "differs", "not tested")
SOURCES = {
    "paper": "Constructing Efficient Fact-Storing MLPs for Transformers",
    "hebbian": "MLPs are Hebbians",
    "related": "Earlier and related work",
}


class NoTable(Exception):
    """The table that a row needs is not there, or holds too little."""


class Finding(NamedTuple):
    """What the tables say about one claim: our number, its interval (or range), and the verdict by the row's rule."""

    number: str
    interval: str
    verdict: str


Tables = Callable[[str], pd.DataFrame]


class Claim(NamedTuple):
    source: str
    says: str
    rule: str
    page: str
    find: Callable[[Tables], Finding]


CLAIMS: list[Claim] = []


def claim(source: str, says: str, *, rule: str, page: str):
    """Make the function below it a row: whose claim, what it says, when it holds, and the notebook that shows it."""

    def add(find: Callable[[Tables], Finding]):
        CLAIMS.append(Claim(source, says, rule, page, find))
        return find

    return add


def holds(truth: bool, *, stronger: bool = False) -> str:
    """The verdict: "stronger" or "reproduced" where the claim holds, "differs" where it does not."""
    return ("stronger" if stronger else "reproduced") if truth else "differs"


def interval(estimate) -> str:
    """The 95% bootstrap interval of anything with ``low`` and ``high``, in words."""
    return f"95%: {signed(estimate.low)} to {signed(estimate.high)}"


def signed(x: float) -> str:
    return f"{x:.2f}".replace("-", "−")


def about(x: float) -> str:
    """Three figures, without an exponent: 21.4, 0.00123, 12,300."""
    if x == 0 or not np.isfinite(x):
        return f"{x:g}"
    return f"{x:,.{max(0, 2 - int(np.floor(np.log10(abs(x)))))}f}"


def span(values: pd.Series, unit: str = "") -> str:
    return f"all runs: {about(values.min())} to {about(values.max())}{unit}"


def reach(rows: pd.DataFrame, n: str = "n_facts") -> str:
    """Over which sizes: "n = 64 to 1,024, d = 64"."""
    return f"n = {rows[n].min():,} to {rows[n].max():,}, d = {rows.d.iloc[0]}"


def ladder(tables: Tables, *rungs: str) -> list[pd.DataFrame]:
    """The rows of these rungs in the capacity table at the d with most sizes; no failed runs."""
    table = tables("capacity").dropna(subset="n_params")
    table = table[table.d == table.groupby("d").n_facts.nunique().idxmax()]
    parts = [table[table.rung == rung] for rung in rungs]
    if any(part.n_facts.nunique() < 3 for part in parts):
        raise NoTable(f"fewer than three sizes of {rungs}")
    return [part.assign(floor=part.n_facts * np.log2(part.n_facts)) for part in parts]


def ratios(over: pd.DataFrame, under: pd.DataFrame) -> pd.DataFrame:
    """n_params of ``over`` for one of ``under``, matched by size and seed; the last rows have the largest n."""
    both = over.merge(under, on=["n_facts", "d", "seed"], suffixes=("", "_under")).sort_values("n_facts")
    return both.assign(ratio=both.n_params / both.n_params_under)


def at_largest(both: pd.DataFrame) -> float:
    return both[both.n_facts == both.n_facts.max()].ratio.median()


def beyond_the_floor(rows: pd.DataFrame) -> fit.PowerLaw:
    """How parameters over n log n grow with n: exponent 0 is the order of the information-theoretic bound."""
    return fit.power_law(rows.assign(excess=rows.n_params / rows.floor), "n_facts", "excess")


def evaluate(row: Claim, results: Path = ROOT / "results") -> tuple[Finding, str]:
    """The finding of a row and the profile whose tables it rests on ('' where there are none)."""
    for profile in ("paper", "laptop"):

        def tables(name: str, folder: Path = results / profile) -> pd.DataFrame:
            path = folder / f"{name}.csv"
            if not path.is_file():
                raise NoTable(name)
            return read_table(path)

        try:
            return row.find(tables), profile
        except NoTable:
            continue
    return Finding("no result table yet", "", "not tested"), ""

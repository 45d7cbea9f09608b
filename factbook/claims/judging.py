"""What a claim is, where its numbers come from, and the words for them; the rules are in `factbook.claims.rules`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from factbook import both
from factbook.claims import rules
from factbook.fit import TooLittle
from factbook.provenance import caption
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = rules.VERDICTS
SOURCES = {
    "paper": "Constructing Efficient Fact-Storing MLPs for Transformers",
    "hebbian": "MLPs are Hebbians",
    "related": "Earlier and related work",
    "ours": "What this book adds",
}


class NoTable(Exception):
    """There is no test: the table is not there, holds too little, or holds what cannot vary; the text says which."""


class Finding(NamedTuple):
    """What the tables say about one claim: our number, its interval, the verdict by its rule, and over what it goes."""

    number: str
    interval: str
    verdict: str
    scale: str = ""  # n, d, draws
    sensitivity: str = ""  # what becomes of the verdict when one thing is changed


Tables = Callable[[str], pd.DataFrame]


class Claim(NamedTuple):
    source: str
    says: str
    rule: str
    page: str
    find: Callable[[Tables], Finding]
    protocol: str  # theirs or ours, and in what they differ
    needs: str  # the size, protocol or table that would test it where ours do not


class Judged(NamedTuple):
    """A finding, the profile it rests on ('' for none) and its tables with their commits."""

    finding: Finding
    profile: str
    tables: tuple[str, ...] = ()


CLAIMS: list[Claim] = []


def claim(source: str, says: str, *, rule: str, page: str, protocol: str = "", needs: str = ""):
    """Make the function below it a row: whose claim, what it says, when it holds, and the notebook that shows it."""

    def add(find: Callable[[Tables], Finding]):
        CLAIMS.append(Claim(source, says, rule, page, find, protocol, needs))
        return find

    return add


def evaluate(row: Claim, results: Path = ROOT / "results") -> Judged:
    """The finding of a row: from the paper profile where its tables allow a test, from the laptop profile otherwise.

    Tables of `both.JOBS` are read with the laptop's rows as well. A table that holds too little for an interval
    (`NoTable`, `TooLittle` of a fit) is no test, and says why.
    """
    reason = ""
    for profile in ("paper", "laptop"):
        read: dict[str, str] = {}

        def tables(name: str, folder: Path = results / profile, read: dict[str, str] = read) -> pd.DataFrame:
            path = folder / f"{name}.csv"
            if not path.is_file():
                raise NoTable(f"no table {name}.csv yet")
            table = both.read(name, results) if name in both.JOBS else read_table(path)
            read[name] = caption(table, name)
            return table

        try:
            found = row.find(tables)
            beside = "laptop and " if profile == "paper" and set(read) & set(both.JOBS) else ""
            return Judged(found, beside + profile, tuple(read.values()))
        except (NoTable, TooLittle) as none:
            reason = str(none) or reason
    needs = f"; a test: {row.needs}" if row.needs else ""
    return Judged(Finding(f"{reason}{needs}", "", "not testable here"), "")


def sensitivity(verdict: str, judge: Callable[..., str], variants: dict[str, tuple]) -> str:
    """What ``judge(*arguments)`` says in each variant: "same without draw 0, untied; undecided without draw 1".

    A variant that allows no test (`NoTable`, ValueError) is named as such.
    """
    words: dict[str, list[str]] = {}
    for name, arguments in variants.items():
        try:
            other = judge(*arguments)
        except (NoTable, ValueError):
            other = "no test"
        words.setdefault("same" if other == verdict else other, []).append(name)
    order = ["same", *rules.VERDICTS, "no test"]
    return "; ".join(f"{word} {', '.join(words[word])}" for word in order if word in words)


def without_draws(table: pd.DataFrame, column: str = "seed") -> dict[str, pd.DataFrame]:
    """The table without each of its draws in turn, named."""
    draws = sorted(table[column].unique())
    return {f"without draw {draw}": table[table[column] != draw] for draw in draws} if len(draws) > 1 else {}


def holds(truth: bool) -> str:
    """The verdict of what is exact: a count, a proof."""
    return "reproduced" if truth else "differs"


def interval(estimate: rules.Interval, unit: str = "") -> str:
    return f"95%: {signed(estimate.low)} to {signed(estimate.high)}{unit}"


def signed(x: float) -> str:
    return "∞" if x == np.inf else f"{x:z.2f}".replace("-", "−")


def about(x: float) -> str:
    """Three figures, without an exponent: 21.4, 0.00123, 12,300."""
    if x == 0 or not np.isfinite(x):
        return "∞" if x == np.inf else f"{x:g}"
    return f"{x:,.{max(0, 2 - int(np.floor(np.log10(abs(x)))))}f}"


def share(alpha: float) -> str:
    """α in words: 1/16."""
    return f"1/{round(1 / alpha)}" if alpha < 1 else f"{alpha:g}"


def listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def span(values: pd.Series, unit: str = "") -> str:
    return f"all runs: {about(values.min())} to {about(values.max())}{unit}"


def reach(rows: pd.DataFrame, n: str = "n_facts", draws: str = "seed") -> str:
    """Over which sizes and draws: "n = 64 to 1,024, d = 64, 3 draws"."""

    def ends(column: str) -> str:
        low, high = rows[column].min(), rows[column].max()
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return f"n = {ends(n)}, d = {ends('d')}, {rows[draws].nunique()} draws"

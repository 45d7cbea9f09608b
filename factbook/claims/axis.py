"""Claims on the papers' axis, n = α d² with d growing: exponents and ratios, α by α."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from factbook import fit, scaling
from factbook.claims import rules
from factbook.claims.judging import (
    Finding,
    NoTable,
    Tables,
    about,
    interval,
    listed,
    reach,
    sensitivity,
    share,
    signed,
    without_draws,
)

Rule = Callable[[rules.Interval], str]


def exponents(table: pd.DataFrame, method: str, over: str | None, tied: bool = True) -> pd.DataFrame:
    """`scaling.exponents`; NoTable without an α that has enough d, or when a method is missing."""
    for name in filter(None, (method, over)):
        if name not in set(table.method):
            raise NoTable(f"no runs of {name} on the papers' axis yet")
    found = scaling.exponents(table, method, over, tied=tied, least_sizes=rules.LEAST_SIZES)
    if found.empty:
        raise NoTable(f"{method} has fewer than {rules.LEAST_SIZES} sizes d at every α")
    return found


def verdict_of(found: pd.DataFrame, rule: Rule) -> str:
    return rules.everywhere(rule(row) for row in found.itertuples())


def at_fixed_d(tables: Tables, method: str, over: str | None) -> fit.Estimate:
    """The same exponent from the capacity table, at the d with most sizes."""
    table = tables("capacity")
    table = table[table.d == table.groupby("d").n_facts.nunique().idxmax()].dropna(subset="n_params")
    as_axis = table.rename(columns={"rung": "method"}).assign(alpha=1.0, tied=False)
    pairs = scaling.paired(as_axis, method, over, tied=False)
    return fit.line(pairs, "n_facts", "ratio")


def exponent_claim(
    tables: Tables,
    method: str,
    over: str | None,
    rule: Rule,
    *,
    others: dict[str, tuple[str, str | None]] | None = None,
) -> Finding:
    """A claim about the exponent in n of ``method`` over ``over`` (None: over n log₂ n), by ``rule`` at each α.

    ``others``: pairs of methods to put in their place in the column on sensitivity, by what is said of them.
    """
    table = tables("scaling")

    def judge(rows: pd.DataFrame, pair: tuple[str, str | None] = (method, over), tied: bool = True) -> str:
        return verdict_of(exponents(rows, *pair, tied), rule)

    found = exponents(table, method, over)
    if len(found) < rules.LEAST_SHARES:
        raise NoTable(f"exponents at {len(found)} α only: fewer than {rules.LEAST_SHARES} have enough d yet")
    verdict = verdict_of(found, rule)
    number = "exponent " + listed(f"{signed(row.exponent)} at α = {share(row.alpha)}" for row in found.itertuples())
    if lost := int(found.left_out.sum()):
        number += f"; {lost} runs that store nothing left out"
    pairs = scaling.paired(table, method, over)
    variants: dict[str, tuple] = {name: (rows,) for name, rows in without_draws(table).items()}
    variants |= {"from d = 64 on": (table[table.d >= 64],), "untied": (table, (method, over), False)}
    variants |= {name: (table, pair) for name, pair in (others or {}).items()}
    changes = sensitivity(verdict, judge, variants)
    ends = listed(f"{signed(row.low)} to {signed(row.high)}" for row in found.itertuples())
    return Finding(number, f"95%: {ends}", verdict, reach(pairs), changes + _fixed(tables, method, over, rule, verdict))


def _fixed(tables: Tables, method: str, over: str | None, rule: Rule, verdict: str) -> str:
    try:
        slope = at_fixed_d(tables, method, over)
    except (NoTable, ValueError):
        return ""
    word = rule(slope)
    return f"; at fixed d {'same' if word == verdict else word} ({signed(slope.value)}, {interval(slope)})"


def ratios(table: pd.DataFrame, over: str, under: str, tied: bool = True) -> pd.DataFrame:
    """Per α and d: the mean ratio of parameters with low and high; NoTable without two draws somewhere."""
    for name in (over, under):
        if name not in set(table.method):
            raise NoTable(f"no runs of {name} on the papers' axis yet")
    pairs = scaling.paired(table, over, under, tied=tied).dropna(subset="ratio")  # both infinite: nothing is known
    counts = pairs.groupby(["alpha", "d"]).ratio.count() if len(pairs) else pd.Series(dtype=int)
    if not (counts >= rules.LEAST_DRAWS).any():
        raise NoTable(f"{over} and {under} have no size with {rules.LEAST_DRAWS} draws in common")
    found = fit.mean_ratios(pairs, ["alpha", "d"], "ratio")
    return pd.DataFrame([{"alpha": alpha, "d": d} | mean._asdict() for (alpha, d), mean in found.items()])


def ratio_claim(tables: Tables, over: str, under: str, rule: Rule, *, others: dict[str, tuple[str, str]] | None = None):
    """A claim about how many times the parameters ``over`` needs, by ``rule`` at each size."""
    table = tables("scaling")

    def judge(rows: pd.DataFrame, pair: tuple[str, str] = (over, under), tied: bool = True) -> str:
        return rules.everywhere(rule(row) for row in ratios(rows, *pair, tied).itertuples())

    found = ratios(table, over, under)
    verdict = judge(table)
    words = pd.Series([rule(row) for row in found.itertuples()])
    counts = listed(f"{count} {word}" for word, count in words.value_counts().items())
    finite = found.value[np.isfinite(found.value)]
    number = f"{about(found.value.min())} to {about(found.value.max())} times over {len(found)} sizes ({counts})"
    if len(finite) < len(found):
        number += f"; {len(found) - len(finite)} sizes without a cost for {over}"
    last = found.sort_values(["d", "alpha"]).iloc[-1]
    ends = f"at α = {share(last.alpha)}, d = {last.d:.0f}: {about(last.value)}, 95% "
    ends += f"{about(last.low)} to {about(last.high)}"
    variants: dict[str, tuple] = {"from d = 64 on": (table[table.d >= 64],), "untied": (table, (over, under), False)}
    variants |= {f"at α = {share(alpha)}": (table[table.alpha == alpha],) for alpha in sorted(table.alpha.unique())}
    variants |= {name: (table, pair) for name, pair in (others or {}).items()}
    scale = reach(scaling.paired(table, over, under))
    return Finding(number, ends, verdict, scale, sensitivity(verdict, judge, variants))

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
from factbook.figures import NAMES

Rule = Callable[[rules.Interval], str]


def exponents(table: pd.DataFrame, method: str, over: str | None, tied: bool = True) -> pd.DataFrame:
    """`scaling.exponents`; NoTable without an α that has enough d, or when a method is missing."""
    for name in filter(None, (method, over)):
        if name not in set(table.method):
            raise NoTable(f"no runs of {name} on the papers' axis yet")
    found = scaling.exponents(uncapped(table), method, over, tied=tied, least_sizes=rules.LEAST_SIZES)
    if found.empty:
        raise NoTable(f"{method} has fewer than {rules.LEAST_SIZES} sizes d at every α")
    return found


def uncapped(table: pd.DataFrame) -> pd.DataFrame:
    """Without the sizes at which a code of an encoder-decoder is longer than `rules.MOST_OF_D` of d in any draw.

    The length is the width over ⌈n/d⌉, which overstates it where buckets are not full.
    """
    coded = table.method.map(lambda name: scaling.METHODS_HERE[name][0] == "encoder-decoder")
    capped = coded & np.isfinite(table.n_params)
    capped &= table.width > rules.MOST_OF_D * table.d * np.ceil(table.n_facts / table.d)
    size = pd.MultiIndex.from_frame(table[["method", "alpha", "d"]])
    return table[~size.isin(size[capped.to_numpy()])]


def at_the_least(table: pd.DataFrame) -> pd.DataFrame:
    """A run that stores nothing costs more than the widest network that was tried: its parameters in the place of ∞."""
    lost = ~np.isfinite(table.n_params) & (table.width > 0)
    return table.assign(n_params=table.n_params.where(~lost, 3.0 * table.d * table.width))


def verdict_of(table: pd.DataFrame, method: str, over: str | None, rule: Rule, tied: bool = True) -> str:
    """The rule at every α; where runs that store nothing are left out, it must say the same with them at the least.

    An α at which too few are left for an exponent, for that reason, is undecided.
    """
    found = exponents(table, method, over, tied)
    fallen = ["undecided"] if fallen_out(table, method, over, found, tied) else []
    if not found.left_out.any():
        return rules.everywhere([rule(row) for row in found.itertuples()] + fallen)
    least = exponents(at_the_least(table), method, over, tied).set_index("alpha")
    words = []
    for row in found.itertuples():
        bound = next(least.loc[[row.alpha]].itertuples())
        agreed = not row.left_out or (bound.left_out == 0 and rule(bound) == rule(row))
        words.append(rule(row) if agreed else "undecided")
    return rules.everywhere(words + fallen)


def fallen_out(table: pd.DataFrame, method: str, over: str | None, found: pd.DataFrame, tied: bool) -> list[float]:
    """The α with enough d that are not in ``found``, as runs there store nothing."""
    pairs = scaling.paired(uncapped(table), method, over, tied=tied)
    enough = pairs.groupby("alpha").d.nunique() >= rules.LEAST_SIZES
    lost = set(pairs[~scaling.stored(pairs)].alpha) - set(found.alpha)
    return sorted(alpha for alpha in lost if enough[alpha])


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
        return verdict_of(rows, *pair, rule, tied)

    found = exponents(table, method, over)
    if len(found) < rules.LEAST_SHARES:
        raise NoTable(f"exponents at {len(found)} α only: fewer than {rules.LEAST_SHARES} have enough d yet")
    verdict = judge(table)
    number = f"over {NAMES[over]}: " if over else ""
    number += "exponent " + listed(f"{signed(row.exponent)} at α = {share(row.alpha)}" for row in found.itertuples())
    pairs = scaling.paired(table, method, over)
    used = scaling.paired(uncapped(table), method, over)
    lost = used[~scaling.stored(used)]
    if len(lost):
        number += f"; {len(lost)} of {len(used)} runs left out, in which one of the two stores nothing"
        beyond = fallen_out(table, method, over, found, True)
        number += f": too few are left at α = {', '.join(map(share, beyond))}, undecided there" if beyond else ""
    variants: dict[str, tuple] = {name: (rows,) for name, rows in without_draws(table).items()}
    variants |= {"from d = 64 on": (table[table.d >= 64],)}
    variants |= {name: (table, pair) for name, pair in (others or {}).items()}
    changes = sensitivity(verdict, judge, variants) + untied(table, judge)
    ends = listed(f"{signed(row.low)} to {signed(row.high)}" for row in found.itertuples())
    return Finding(number, f"95%: {ends}", verdict, reach(pairs), changes + _fixed(tables, method, over, rule, verdict))


def untied(table: pd.DataFrame, judge: Callable[..., str]) -> str:
    """Untied embeddings, measured at one α, and tied ones there: "; at α = 1/4 alone differs tied, same untied"."""
    part = table[table.alpha == scaling.UNTIED]
    try:
        apart, together = (judge(part, tied=tied) for tied in (False, True))
    except (NoTable, ValueError):
        return "; no test untied"
    return f"; at α = {share(scaling.UNTIED)} alone {together} tied, {'same' if apart == together else apart} untied"


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


def sizes(rows: pd.DataFrame, most: int = 6) -> str:
    """Sizes in words, the first few: "α = 1/4, d = 32; α = 1, d = 64"."""
    named = [f"α = {share(row.alpha)}, d = {row.d:.0f}" for row in rows.itertuples()]
    return "; ".join(named[:most]) + (" …" if len(named) > most else "")


def ratio_claim(tables: Tables, over: str, under: str, rule: Rule, *, others: dict[str, tuple[str, str]] | None = None):
    """A claim about how many times the parameters ``over`` needs, by ``rule`` at each size."""
    table = tables("scaling")

    def judge(rows: pd.DataFrame, pair: tuple[str, str] = (over, under), tied: bool = True) -> str:
        return rules.everywhere(rule(row) for row in ratios(rows, *pair, tied).itertuples())

    found = ratios(table, over, under)
    verdict = judge(table)
    words = pd.Series([rule(row) for row in found.itertuples()], index=found.index)
    counted = words.value_counts()
    each = [f"{count} {word}" for word, count in counted.items()]
    each[1:] = [f"{text} at {sizes(found[words == word])}" for text, word in zip(each[1:], counted.index[1:])]
    number = f"{about(found.value.min())} to {about(found.value.max())} times over {len(found)} sizes"
    number += f" ({listed(each)})"
    for name, lost in ((over, np.isinf(found.value)), (under, found.value == 0)):
        number += (
            f"; {lost.sum()} size{'s' * int(lost.sum() > 1)} without a cost for {NAMES[name]}" if lost.any() else ""
        )
    last = found.sort_values(["d", "alpha"]).iloc[-1]
    ends = f"at α = {share(last.alpha)}, d = {last.d:.0f}: {about(last.value)}, 95% "
    ends += f"{about(last.low)} to {about(last.high)}"
    draws = without_draws(table) if table.seed.nunique() > rules.LEAST_DRAWS else {}
    variants: dict[str, tuple] = {name: (rows,) for name, rows in draws.items()}
    variants |= {"from d = 64 on": (table[table.d >= 64],)}
    variants |= {f"at α = {share(alpha)}": (table[table.alpha == alpha],) for alpha in sorted(table.alpha.unique())}
    variants |= {name: (table, pair) for name, pair in (others or {}).items()}
    scale = reach(scaling.paired(table, over, under))
    return Finding(number, ends, verdict, scale, sensitivity(verdict, judge, variants) + untied(table, judge))

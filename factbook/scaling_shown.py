"""What the page on the papers' axis shows: stored runs of `factbook.scaling`, their exponents, figure and tables."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import both, figures, scaling, store
from factbook.claims.judging import share
from factbook.claims.rules import EXPONENT_BAND as EQUAL

DRAWN = ("paper-codes", "encoder-decoder", "ntk", "hebbian", "block-convex", "trained")
NAMES = figures.NAMES


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """The stored runs, those of ``make paper`` among them; in the smoke profile a few of its own."""
    path = store.results_file("scaling", profile)
    if profile != "smoke":
        rows = both.read("scaling")
        return store.read_table(path) if rows is None else rows
    methods = ["paper-codes", "encoder-decoder", "hebbian"]
    jobs = scaling.jobs(methods, seeds=1, dimensions=(8, 12, 16), alphas=(1 / 4, 1 / 2))
    return store.resume(path, jobs, partial(scaling.cost, device=device), device=device)


def bar(rows: pd.DataFrame) -> str | None:
    """What exponents are compared with: training where it was run, else n log n."""
    return "trained" if (rows.method == "trained").any() else None


def slopes(rows: pd.DataFrame) -> pd.DataFrame:
    """`scaling.exponents` of every method but the bar, with the column method."""
    names = [name for name in scaling.METHODS_HERE if name in set(rows.method) and name != bar(rows)]
    found = {name: scaling.exponents(rows, name, bar(rows)) for name in names}
    return pd.concat([part.assign(method=name) for name, part in found.items() if len(part)] or [pd.DataFrame()])


def later(rows: pd.DataFrame) -> pd.DataFrame:
    """The runs of the larger half of the dimensions."""
    dimensions = sorted(rows.d.unique())
    return rows[rows.d >= dimensions[len(dimensions) // 2 - 1]]


def chosen(found: pd.DataFrame) -> float:
    """The largest α at which most methods have an exponent."""
    counts = found.groupby("alpha").method.nunique()
    return float(counts[counts == counts.max()].index.max())


def per_fact(rows: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Parameters per fact of the tied runs at one α: medians over the draws, a row a dimension."""
    rows = rows[rows.tied.astype(bool) & (rows.alpha == alpha)]
    rows = rows.assign(each=rows.n_params / rows.n_facts)
    names = [name for name in scaling.METHODS_HERE if name in set(rows.method)]
    return rows.pivot_table(index="d", columns="method", values="each", aggfunc="median")[names]


def untied(rows: pd.DataFrame) -> pd.Series:
    """Parameters with a table of its own for keys and for values over those with one for both: means by method."""
    is_tied = rows.tied.astype(bool)
    pairs = rows[~is_tied].merge(rows[is_tied], on=["method", "alpha", "d", "seed"], suffixes=("", "_tied"))
    pairs = pairs[np.isfinite(pairs.n_params) & np.isfinite(pairs.n_params_tied)]
    return (pairs.n_params / pairs.n_params_tied).groupby(pairs.method).mean()


def reached(rows: pd.DataFrame) -> pd.DataFrame:
    """How many facts each method was run to, how many were asked for, and how many of `scaling.jobs` are missing."""
    most = rows.groupby("method").n_facts.max()
    names = [name for name in scaling.METHODS_HERE if name in most]
    asked = pd.Series({name: scaling.METHODS_HERE[name][2] for name in names})
    key = both.JOBS["scaling"]
    done = set(rows.astype({"tied": bool})[key].itertuples(index=False, name=None))
    left = {name: [job for job in scaling.jobs([name]) if tuple(job[k] for k in key) not in done] for name in names}
    missing = pd.Series(left).map(len)
    found = pd.DataFrame({"run to": most[names], "asked for": asked, "runs missing": missing}).map("{:,}".format)
    return found.rename(index=NAMES).rename_axis(index=None, columns="facts")


def given_widths() -> pd.DataFrame | Markdown:
    """Beyond the searches: networks of given sizes (`factbook.paper.stored`), and the share of facts stored."""
    rows = store.stored("scaling_widths")
    if rows is None:
        return Markdown("None has been run yet: `make paper DEVICE=cuda` begins with them.")
    rows = rows.sort_values(["method", "n_facts", "per_fact"])
    columns = {"facts": rows.n_facts.map("{:,}".format), "d": rows.d, "units": rows.width}
    columns |= {"per fact": rows.n_params / rows.n_facts, "stored [%]": 100 * rows.recall}
    return pd.DataFrame(columns).round(2).set_axis(rows.method.map(NAMES).rename(None))


def findings(rows: pd.DataFrame) -> list[str]:
    """The page's sentences, from the table scaling."""
    found = slopes(rows)
    alpha = chosen(found)
    at = found[found.alpha == alpha].set_index("method")
    level, dearer, slower = at[(at.low > -EQUAL) & (at.high < EQUAL)], at[at.low > EQUAL], at[at.high < -EQUAL]
    other = len(at) - len(level) - len(dearer) - len(slower)
    costs = per_fact(rows, alpha)
    costs = costs[costs.trained.notna()].iloc[-1]
    ratio = untied(rows)
    codes = found[found.method == "paper-codes"]
    first = [
        "**As facts and dimension grow together, n = α d², the parameters of the paper's codes grow clearly faster "
        f"than those of training at {(codes.low > EQUAL).sum()} of {len(codes)} α**: by an exponent above {EQUAL} with "
        f"its whole interval. {_bent(rows)}"
    ]
    return (first if len(codes) else []) + [
        f"**At α = {share(alpha)}, d = {at.d_least.min()} to {at.d_most.max()}, or from where a method stores them**, "
        f"the exponents over training of {len(dearer)} of {len(at)} methods lie above {EQUAL} with their whole "
        f"interval ({_listed(dearer)}), those of {len(level)} within ± {EQUAL} ({_listed(level)}), those of "
        f"{len(slower)} below −{EQUAL} ({_listed(slower)}); those of {other} are open.",
        f"**Parameters per fact at α = {share(alpha)}, d = {costs.name}**: "
        + "; ".join(f"{NAMES[name]} {cost:.1f}" for name, cost in costs.dropna().sort_values().items())
        + ".",
        "**Whether keys and values share a table** changes the parameters of a method, where it stores both, by a "
        f"factor of {ratio.min():.2f} to {ratio.max():.2f} in the mean.",
    ]


def _bent(rows: pd.DataFrame) -> str:
    """How few units the bar has at the two smallest α."""
    trained = rows[(rows.method == "trained") & rows.tied.astype(bool) & np.isfinite(rows.n_params)]
    few = sorted(trained.alpha.unique())[:2]
    width = trained[trained.alpha.isin(few)].width
    return (
        f"At α = {' and '.join(map(share, few))} trained networks have {width.min()} to {width.max()} units, so that "
        "the bar itself bends."
    )


def _listed(methods: pd.DataFrame) -> str:
    return "; ".join(NAMES[name] for name in methods.index) or "none"


def exponents(rows: pd.DataFrame) -> pd.DataFrame | Markdown:
    """Exponents by method, at four α at most, the chosen one among them, with half their 95% intervals, and how many
    runs all α leave out.
    """
    found = slopes(rows)
    if found.empty:
        return Markdown("Too few of the larger dimensions have been run.")
    found = found.assign(shown=[_with_reach(*ends) for ends in zip(found.exponent, found.high)])
    wide = found.pivot(index="method", columns="alpha", values="shown").reindex(found.method.unique()).fillna("–")
    here, spread = wide.columns.get_loc(chosen(found)), [round(k * (wide.shape[1] - 1) / 3) for k in range(4)]
    spread[min(range(4), key=lambda k: abs(spread[k] - here))] = here
    wide = wide.iloc[:, sorted(set(spread))]
    wide.columns = [f"α = {share(alpha)}" for alpha in wide.columns]
    pairs = {name: scaling.paired(rows, name, bar(rows)) for name in wide.index}
    wide["runs left out"] = [int((~scaling.stored(pairs[name])).sum()) for name in wide.index]
    return wide.rename(index=NAMES).rename_axis(index=None, columns="exponent in n")


def _with_reach(exponent: float, high: float) -> str:
    return f"{exponent:z.2f} ± {high - exponent:.2f}".replace("-", "−")


def costs(rows: pd.DataFrame) -> pd.DataFrame:
    """`per_fact` at the chosen α as it is read: a row a method, ∞ where nothing is stored, – where nothing was run."""
    alpha = chosen(slopes(rows))
    shown = per_fact(rows, alpha).T.map(lambda x: "–" if x != x else "∞" if np.isinf(x) else f"{x:.1f}")
    return shown.rename(index=NAMES, columns="d = {}".format).rename_axis(index=None, columns=f"α = {share(alpha)}")


def tied_or_not(rows: pd.DataFrame) -> pd.DataFrame:
    """`untied` as it is read."""
    return untied(rows).sort_values().rename(NAMES).round(2).rename_axis(None).to_frame("untied / tied")


def look(name: str) -> dict[str, Any]:
    """Colour and marker of a method; a variant takes those of what it varies, hollow."""
    base = scaling.DRAWN_AS.get(name, name)
    return {"color": figures.COLOURS[base], "marker": figures.MARKERS[base], "capsize": 3}


def figure(rows: pd.DataFrame) -> Figure:
    """Left exponents up to ± 1 against α with intervals, right parameters per fact against d at one α."""
    found = slopes(rows)
    alpha, drawn = chosen(found), [name for name in DRAWN if name in set(found.method)]
    made, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4))
    for shift, name in zip(np.linspace(0.92, 1.08, len(drawn)), drawn):
        part = found[(found.method == name) & (found.exponent.abs() <= 1)]
        bars = [part.exponent - part.low, part.high - part.exponent]
        left.errorbar(part.alpha * shift, part.exponent, yerr=bars, linestyle="none", **look(name))
    left.axhspan(-EQUAL, EQUAL, color="grey", alpha=0.2)
    left.axhline(0, color="grey", linewidth=1)
    alphas = sorted(found.alpha.unique())
    left.set_xscale("log", base=2)
    left.set_xticks(alphas, [share(a) for a in alphas])
    left.set(xlim=(alphas[0] / 1.5, alphas[-1] * 1.5), ylim=(max(-1, left.get_ylim()[0]), min(1, left.get_ylim()[1])))
    left.set(xlabel="α = n / d²", ylabel="exponent in n", title=f"over {'training' if bar(rows) else 'n log₂ n'}")
    tied, ends = rows[rows.tied.astype(bool) & (rows.alpha == alpha) & np.isfinite(rows.n_params)], []
    for name in (name for name in DRAWN if (tied.method == name).any()):
        part = tied[tied.method == name]
        by = (part.n_params / part.n_facts).groupby(part.d).agg(["min", "median", "max"])
        bars = [by["median"] - by["min"], by["max"] - by["median"]]
        right.errorbar(by.index, by["median"], yerr=bars, **look(name))
        ends.append((by.index[-1], by["median"].iloc[-1], NAMES[name], figures.COLOURS[name]))
    right.set(xscale="log", yscale="log", xlabel="dimension d", ylabel="parameters per fact (dense)")
    right.set_title(f"α = {share(alpha)}")
    right.set_xticks(dimensions := sorted(tied.d.unique()), list(map(str, dimensions)))
    low, high = right.get_ylim()
    right.set_yticks(ticks := [t for t in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if low < t < high])
    right.set_yticklabels(f"{t:,}" for t in ticks)
    for axes in (left, right):
        axes.minorticks_off()
    figures.label_ends(right, ends)
    return made

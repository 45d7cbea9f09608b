"""The page on the facts that a block can store: the searches behind either attention, tables, figures, findings."""

from functools import lru_cache, partial
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, fit, store
from factbook import noise as us
from factbook.attended import attended
from factcore.constructions.encoder_decoder import units_per_coordinate

SIZES = {  # n, d
    "smoke": [(8, 32), (16, 32)],
    "laptop": [(64, 64), (128, 64), (256, 64), (512, 64), (32, 32), (64, 32), (128, 32)],
    "paper": [(256, 128), (512, 128), (1024, 128), (2048, 128)],
}
TRAINING: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 60, "batch": 64},
    "laptop": {"batch": 256},
    "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3},
}
METHODS = ["encoder-decoder", "max-margin", "block-convex", "data-dependent", "trained"]
CODES = {"encoder-decoder": "separators", "paper-codes": "projected"}
USABLE = 0.99  # of the sequences that get through attention
SLOW = 256  # facts beyond which max-margin and training are left out
DEARER = ("data-dependent", "trained")  # of these, the larger dimension only
BUILT: dict[str, tuple[str, dict[str, Any], int]] = {
    # method: construct's name for it, its options, and parameters per fact at which the search begins (0: alone)
    "max-margin": ("max-margin", {"ridge": 1.0}, 12),
    "block-convex": ("block-convex", {}, 5),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}, 12),
    "trained": ("trained", {}, 0),
}
WHERE = {"n_params_alone": "alone", "n_params_solved": "attention solved for", "n_params": "attention trained"}
PAIRS = (("data-dependent", "trained"), ("encoder-decoder", "data-dependent"))


# --- the searches, one row each ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _handed(kind: str, n_facts: int, d: int, seed: int, profile: str, device: str) -> us.Arrivals:
    """What attention, trained or solved for, hands to the MLP."""
    return us.arrivals(attended(kind, n_facts, d, seed, device, **TRAINING[profile]))


def _largest(method: str, profile: str) -> int:
    """Parameters per fact where a search gives up; the data-dependent memory gains beyond the number of facts."""
    return (30 if profile == "smoke" else 200) * (3 if method == "data-dependent" else 1)


def smallest_encoder_decoder(facts: fc.FactSet, codes: str, arrived: us.Arrivals, seed: int, largest: int) -> float:
    """Fewest parameters of a usable one, over layouts and, for each, code lengths from short to long."""
    alone = fc.construct(facts, codes=codes, seed=seed)  # as it is stored alone: buckets, the shortest codes
    shortest = 3
    if codes == "projected":  # shorter than what decodes alone is no use, and there are many lengths to d
        full = fc.construct(facts, codes=codes, fill=1.0, strict=False, seed=seed)
        shortest = full.width // units_per_coordinate(facts)
    least = alone.n_params if us.kept(alone, facts, arrived) >= USABLE else float("inf")
    layouts: list[dict[str, Any]] = [{"fill": 1.0}]  # full buckets, then bilinear gates with more and more room
    layouts += [{"encoder": "random-gates", "gate": "identity", "fill": fill} for fill in (1.0, 0.7, 0.5, 0.35)]
    for layout in layouts:
        for m in range(shortest, facts.d + 1):
            width = m * units_per_coordinate(facts, **layout)
            if 3 * facts.d * width >= min(least, largest * len(facts)):
                break
            mlp = fc.construct(facts, codes=codes, code_dim=m, strict=False, seed=seed, **layout)
            if us.kept(mlp, facts, arrived) >= USABLE:
                least = min(least, mlp.n_params)  # the builder may have made more room than asked for
                break
    return least if least < float("inf") else float("nan")


@lru_cache(maxsize=64)
def _of_width(method: str, width: int, n_facts: int, d: int, seed: int, device: str) -> fc.GatedMLP:
    """The same network for either attention."""
    name, options, _ = BUILT[method]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    return fc.construct(facts, name, width=width, seed=seed, strict=False, **options)


def smallest_built(
    facts: fc.FactSet, method: str, arrived: us.Arrivals, least: int, seed: int, largest: int, device: str
) -> float:
    """Fewest parameters of a usable one, the width grown by tenths from far too small, or from ``least`` parameters."""
    n_facts, d = len(facts), facts.d
    width = -(-BUILT[method][2] * n_facts // (3 * d)) or least // (3 * d)
    while 3 * d * width <= largest * n_facts:
        mlp = _of_width(method, width, n_facts, d, seed, device)
        if us.kept(mlp, facts, arrived) >= USABLE:
            return mlp.n_params
        width = max(width + 1, round(1.1 * width))
    return float("nan")


def alone(facts: fc.FactSet, method: str, seed: int) -> int:
    """Fewest parameters that store the facts, as a search by bisection finds them."""
    begin = {"max-margin": 11, "block-convex": 5}.get(method)
    start = max(1, begin * len(facts) // (3 * facts.d)) if begin else None
    name, options, _ = BUILT.get(method, ("encoder-decoder", {"codes": CODES.get(method)}, 0))
    options = {} if method == "max-margin" else options  # its ridge of 1 is for noise
    return fc.smallest_width(facts, name, seed=seed, tries=1, start=start, **options).n_params


def cost(method: str, n_facts: int, d: int, seed: int, *, profile: str, device: str) -> dict[str, Any]:
    """Parameters that n facts cost behind either attention (NaN: more than the limit a fact) and alone."""
    facts, largest = fc.spherical_facts(n_facts, d, seed=seed).to(device), _largest(method, profile)
    row: dict[str, Any] = {"device": facts.keys.device}
    least = alone(facts, method, seed)
    for kind, end in (("trained", ""), ("solved", "_solved")):
        arrived = _handed(kind, n_facts, d, seed, profile, device)
        row[f"through{end}"] = float(arrived.through.double().mean())
        if method in CODES:
            row[f"n_params{end}"] = smallest_encoder_decoder(facts, CODES[method], arrived, seed, largest)
        else:
            row[f"n_params{end}"] = smallest_built(facts, method, arrived, least, seed, largest, device)
    return row | {"n_params_alone": least}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """All searches, three draws of facts each."""
    sizes = SIZES[profile]
    methods = ["encoder-decoder", "data-dependent"] if profile == "smoke" else [*METHODS, "paper-codes"]
    widest = max(d for _, d in sizes)
    jobs = [
        {"method": method, "n_facts": n, "d": d, "seed": s}
        for n, d in sizes
        for s in store.draws(profile, seed)
        for method in methods
        if (method not in ("max-margin", "trained") or n <= SLOW) and (method not in DEARER or d == widest)
    ]
    run = partial(cost, profile=profile, device=device)
    return store.resume(store.results_file("block_facts", profile), jobs, run, device=device)


# --- what the page shows ----------------------------------------------------------------------------------------------


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.d == rows.d.max()]


def findings() -> str:
    """The findings in Markdown, their numbers from the stored laptop table."""
    rows = store.stored("block_facts", "laptop")
    if rows is None:
        return figures.NOT_STORED
    wide, price = _wide(rows), prices(rows)
    whole = wide.groupby("n_facts").through_solved.min()
    n, last = whole[whole == 1].index.max(), whole.index.max()
    free = price["attention solved for"].drop(index=figures.LABELS["max-margin"])[
        [f"{k:,}" for k in whole[whole == 1].index]
    ]
    free, dear = (part.replace("–", None).astype(float).stack() for part in (free, price["attention trained"]))
    many, over = (ratios(rows, *pair) for pair in PAIRS)
    many, over = (found[found.index.get_level_values("n_facts") >= 128] for found in (many, over))
    return f"""
- **Behind attention that is solved for, usability is free as long as every sequence gets through**: up to {n} facts
  at d = {wide.d.iloc[0]} a memory costs {free.min():.1f} to {free.max():.1f} times what its facts cost alone
  (max-margin more, for its larger ridge).
- **Behind trained attention usability has a price**: {dear.min():.1f} to {dear.max():.1f} times the cost alone.
- **Attention has a ceiling of its own**: of {last} facts trained attention lets
  {wide[wide.n_facts == last].through.median():.1%} of the sequences through, solved-for attention
  {wide[wide.n_facts == last].through_solved.median():.1%}; at d = {rows.d.min()} it falls much sooner.
- **The Hebbian paper's factors**: from 128 facts on a data-dependent memory behind trained attention takes
  {many["attention trained"].min():.1f} to {many["attention trained"].max():.1f} times the parameters of trained MLPs
  (published: at most 3), and {many["attention solved for"].min():.1f} to {many["attention solved for"].max():.1f} times
  where attention is solved for. The encoder-decoder takes {over["attention trained"].min():.1f} to
  {over["attention trained"].max():.1f} times those of the data-dependent memory (published: 63), with our short codes.
"""


def prices(rows: pd.DataFrame) -> pd.DataFrame:
    """Parameters over those of the same facts alone, at the larger dimension: medians of the draws."""
    wide, found = _wide(rows), {}
    for column in ("n_params_solved", "n_params"):
        times = wide.assign(times=wide[column] / wide.n_params_alone)
        found[WHERE[column]] = times.pivot_table(index="method", columns="n_facts", values="times", aggfunc="median")
    whole = pd.concat(found, axis=1).loc[[m for m in METHODS if (wide.method == m).any()]]
    whole.columns = whole.columns.map(lambda at: (at[0], f"{at[1]:,}"))
    return (
        whole.rename(index=figures.LABELS)
        .rename_axis(index=None, columns=["", "facts"])
        .map(lambda x: f"{x:.1f}" if x > 0 else "–")
    )


def served(rows: pd.DataFrame) -> pd.DataFrame:
    """At the smaller dimension: draws, of three, in which a usable memory was found within the limit."""
    small = rows[rows.d == rows.d.min()]
    by = small.groupby(["method", "n_facts"])
    found = pd.concat({WHERE[c]: by[c].count().unstack() for c in ("n_params_solved", "n_params")}, axis=1)
    return found.rename(index=figures.LABELS).rename_axis(index=None, columns=["", "facts"])


def ratios(rows: pd.DataFrame, over: str, under: str) -> pd.DataFrame:
    """Parameters of one method over another's for the same draws, every draw a row."""
    key = ["n_facts", "d", "seed"]
    both = rows[rows.method == over].merge(rows[rows.method == under], on=key).set_index(key)
    return pd.DataFrame({where: both[f"{c}_x"] / both[f"{c}_y"] for c, where in WHERE.items()})


def beside(rows: pd.DataFrame) -> pd.DataFrame:
    """The ratios of `PAIRS` as ranges over the draws."""
    found = {}
    for over, under in PAIRS:
        for n, part in ratios(rows, over, under).groupby("n_facts"):
            found[f"{over} over {under}", n] = part.agg(lambda c: f"{c.min():.1f} to {c.max():.1f}")
    return pd.DataFrame(found).T.rename_axis(["parameters of", "facts"]) if found else pd.DataFrame()


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """Exponents of parameters in the number of facts at the larger dimension, with 95% bootstrap intervals."""
    found: dict[str, dict[str, str]] = {}
    for method, part in _wide(rows).groupby("method", sort=False):
        for column, where in WHERE.items():
            usable = part.dropna(subset=column)
            law = fit.power_law(usable, "n_facts", column) if usable.n_facts.nunique() > 1 else None
            words = f"{law.exponent:.2f} ({law.low:.2f} to {law.high:.2f})" if law else "–"
            found.setdefault(figures.LABELS[str(method)], {})[where] = words
    return pd.DataFrame(found).T


def costs(rows: pd.DataFrame) -> Figure:
    """Parameters per fact against facts at the larger dimension: alone, and behind either attention."""
    wide = _wide(rows)
    figure, panels = plt.subplots(1, 3, figsize=(10, 4.4), sharey=True)
    for axes, (column, title) in zip(panels, WHERE.items()):
        for method in dict.fromkeys(wide.method):
            part = wide[wide.method == method].dropna(subset=column)
            figures.plot_spread(axes, part.assign(each=part[column] / part.n_facts), "n_facts", "each", str(method))
        axes.set(xscale="log", yscale="log", xlabel="facts", title=title)
        axes.set_xticks(counts := sorted(wide.n_facts.unique()), labels=list(map(str, counts)))
        axes.set_yticks(ticks := [5, 10, 20, 50, 100, 200], labels=list(map(str, ticks)))
        axes.minorticks_off()
    panels[0].set_ylabel(f"parameters per fact, d = {wide.d.iloc[0]}")
    figures.legend_below(figure, panels[0])
    return figure


def ceiling(rows: pd.DataFrame) -> Figure:
    """The share of sequences whose key gets through attention, trained and solved for, at both dimensions."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for (d, part), look in zip(rows.groupby("d"), ("trained", "encoder-decoder")):
        for column, dash, where in (("through", "-", "trained"), ("through_solved", "--", "solved for")):
            label = f"d = {d}, {where}"
            figures.plot_spread(axes, part.assign(percent=100 * part[column]), "n_facts", "percent", look,
                                linestyle=dash, label=label)  # fmt: skip
    axes.set(xscale="log", xlabel="facts", ylabel="sequences that get through attention [%]")
    axes.set_xticks(counts := sorted(rows.n_facts.unique()), labels=list(map(str, counts)))
    axes.minorticks_off()
    axes.legend(loc="lower right")
    return figure

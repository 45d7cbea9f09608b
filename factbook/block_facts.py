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
SHOWN = {
    "three constructions": ["encoder-decoder", "max-margin", "block-convex"],
    "Hebbian and trained": ["data-dependent", "trained"],
}
NAMES = {"data-dependent": "data-dependent\nHebbian"}
MANY = 128  # facts from which on the Hebbian paper's factors are asked for
PAIRS = (("data-dependent", "trained"), ("encoder-decoder", "data-dependent"))


# --- the searches, one row each ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _handed(
    kind: str, n_facts: int, d: int, seed: int, device: str, training: tuple[tuple[str, Any], ...]
) -> us.Arrivals:
    """What attention, trained or solved for, hands to the MLP."""
    return us.arrivals(attended(kind, n_facts, d, seed, device, **dict(training)))


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


def cost(
    method: str, n_facts: int, d: int, seed: int, *, profile: str, device: str, training: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Parameters that n facts cost behind either attention (NaN: more than the limit a fact) and alone."""
    training = TRAINING[profile] if training is None else training
    facts, largest = fc.spherical_facts(n_facts, d, seed=seed).to(device), _largest(method, profile)
    row: dict[str, Any] = {"device": facts.keys.device}
    least = alone(facts, method, seed)
    for kind, end in (("trained", ""), ("solved", "_solved")):
        arrived = _handed(kind, n_facts, d, seed, device, tuple(sorted(training.items())))
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


def findings(rows: pd.DataFrame) -> list[str]:
    """The page's sentences, from the table block_facts."""
    wide, d = _wide(rows), rows.d.max()
    solved, trained = (_times(rows, column) for column in ("n_params_solved", "n_params"))
    whole = wide.groupby("n_facts").through_solved.min() == 1
    free = solved.drop(index="max-margin")[whole[whole].index].stack()
    last = wide[wide.n_facts == wide.n_facts.max()]
    small = rows[(rows.d == rows.d.min()) & (rows.n_facts == rows[rows.d == rows.d.min()].n_facts.max())]
    many, over = (ratios(rows, *pair).query(f"n_facts >= {MANY}") for pair in PAIRS)
    return [
        "**Behind attention that is solved for, usability costs next to nothing while every sequence gets through**: "
        f"up to {whole[whole].index.max()} facts at d = {d} a memory costs {_range(free)} times what its facts cost "
        "alone (max-margin more, for its larger ridge).",
        f"**Behind trained attention usability has a price**: {_range(trained.stack())} times the cost alone.",
        f"**Attention has a ceiling of its own**: of {last.n_facts.iloc[0]} facts at d = {d} trained "
        f"attention lets {last.through.median():.1%} of the sequences through, solved-for attention "
        f"{last.through_solved.median():.1%}; of {small.n_facts.iloc[0]} at d = {rows.d.min()} "
        f"{small.through.median():.1%} and {small.through_solved.median():.1%}.",
        f"**The encoder-decoder beside the data-dependent Hebbian memory**: with our short codes, from {MANY} facts on "
        f"and behind trained attention, it takes {_range(over[WHERE['n_params']])} times the parameters (published, "
        "with the paper's codes: 63).",
        "**The data-dependent memory beside trained MLPs**: behind trained attention it takes "
        f"{_range(many[WHERE['n_params']])} times the parameters (published: at most 3), and "
        f"{_range(many[WHERE['n_params_solved']])} times where attention is solved for.",
    ]


def _times(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Parameters in ``column`` over those of the same facts alone, at the larger dimension: medians of the draws."""
    wide = _wide(rows)
    times = wide.assign(times=wide[column] / wide.n_params_alone)
    return times.pivot_table(index="method", columns="n_facts", values="times", aggfunc="median")


def _range(column: pd.Series) -> str:
    return f"{column.min():.1f} to {column.max():.1f}" if column.notna().any() else "–"


def prices(rows: pd.DataFrame) -> pd.DataFrame:
    """Parameters over those of the same facts alone, at the larger dimension: medians of the draws."""
    found = {WHERE[column]: _times(rows, column) for column in ("n_params_solved", "n_params")}
    whole = pd.concat(found, axis=1).loc[[m for m in METHODS if (rows.method == m).any()]]
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
            found[f"{over} over {under}", n] = part.agg(_range)
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
    """Parameters per fact against facts, the larger dimension: alone (dashed), behind trained attention (solid)."""
    wide = _wide(rows)
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 4.6), sharey=True)
    for axes, (title, methods) in zip(panels, SHOWN.items()):
        for method in (m for m in methods if (wide.method == m).any()):
            part = wide[wide.method == method]
            alone = part.assign(each=part.n_params_alone / part.n_facts).groupby("n_facts").each.median()
            look: dict[str, Any] = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method]}
            axes.plot(alone.index, alone, linestyle="--", linewidth=1, fillstyle="none", **look)
            usable = part.dropna(subset="n_params")
            figures.plot_spread(axes, usable.assign(each=usable.n_params / usable.n_facts), "n_facts", "each", method)
        axes.set(xscale="log", yscale="log", xlabel="facts", title=title)
        axes.set_xticks(counts := sorted(wide.n_facts.unique()), labels=list(map(str, counts)))
        axes.set_yticks(ticks := [5, 10, 20, 50, 100, 200], labels=list(map(str, ticks)))
        axes.minorticks_off()
    panels[0].set_ylabel(f"parameters per fact, d = {wide.d.iloc[0]}")
    lines = [panels[0].plot([], [], dash, color="#595959")[0] for dash in ("-", "--")]
    panels[0].legend(lines, ["behind trained attention", "alone"], loc="upper right", fontsize=9)
    for axes, methods in zip(panels, SHOWN.values()):  # once the panels share their final height
        if ends := [end for method in methods if (end := _end(wide, method))]:
            figures.label_ends(axes, ends)
    return figure


def _end(wide: pd.DataFrame, method: str) -> tuple[float, float, str, str] | None:
    """Where the line of a method behind trained attention ends, its name and its colour."""
    usable = wide[wide.method == method].dropna(subset="n_params")
    each = (usable.n_params / usable.n_facts).groupby(usable.n_facts).median()
    name = NAMES.get(method, method)
    return (float(each.index[-1]), float(each.iloc[-1]), name, figures.COLOURS[method]) if len(each) else None


def ceiling(rows: pd.DataFrame) -> Figure:
    """The share of sequences whose key gets through attention, trained and solved for, at both dimensions."""
    figure, axes = plt.subplots(figsize=(7, 4))
    ways = (("through", "trained", "-", "^"), ("through_solved", "solved for", "--", "o"))
    for (d, part), colour in zip(rows.groupby("d"), ("#7F7F7F", "#000000")):
        for column, where, dash, mark in ways:
            shown = part.assign(percent=100 * part[column])
            look = {"linestyle": dash, "label": f"d = {d}, {where}", "color": colour, "marker": mark}
            figures.plot_spread(axes, shown, "n_facts", "percent", "trained", **look)
    axes.set(xscale="log", xlabel="facts", ylabel="sequences that get through attention [%]")
    axes.set_xticks(counts := sorted(rows.n_facts.unique()), labels=list(map(str, counts)))
    axes.minorticks_off()
    axes.legend(loc="lower right")
    return figure

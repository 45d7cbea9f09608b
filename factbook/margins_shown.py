"""What the page on margins runs and shows: sizes, tables, figures and findings of `factbook.margins`."""

from functools import partial
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures, store
from factbook import margins as us
from factbook.prose import span

Fits = dict[str, tuple[list[float], float]]  # sweep → constants of the form, R²
SMOKE: dict[str, Any] = {"facts": 32, "features": 64, "spiked": 24, "noisy": 32, "points": 3}
USUAL: dict[str, Any] = {"facts": 256, "features": 512, "spiked": 128, "noisy": 256}
POINTS = {"laptop": 9, "paper": 30}
WIDE = {"smoke": (16, 16), "laptop": (512, 64), "paper": (2048, 128)}  # n, d of the trained MLPs
WIDTHS = (2, 3, 4, 8, 16, 32)  # sixteenths of d
STEPS = {"smoke": 50, "laptop": 500, "paper": 4000}  # of the attention's training
SPIKE = 1.5  # strength where costs are compared
LEAST = 2.0  # C = 2 / δ of the proof, δ a probability
LABELS = {name: figures.LABELS[name].split(",")[0] for name in ("block-convex", "trained")}
LABELS = figures.LABELS | LABELS


# --- the runs ---------------------------------------------------------------------------------------------------------


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """The four sweeps over five draws of facts, in the smoke profile two."""
    smoke = profile == "smoke"
    settings = us.sweeps(**(SMOKE if smoke else USUAL | {"points": POINTS[profile]}))
    seeds = range(seed, seed + (2 if smoke else 5))
    jobs = [setting | {"d": 16 if smoke else 64, "seed": s} for s in seeds for setting in settings]

    def measure(study: str, **where: Any) -> dict[str, Any]:
        return us.smallest_margin(**where, device=device)

    return store.resume(store.results_file("margins", profile), jobs, measure, device=device)


def _draws(profile: str, seed: int) -> range:
    return range(seed, seed + (2 if profile == "smoke" else 3))


def widths(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Margins of all keys of trained MLPs of several widths."""
    n, d = WIDE[profile]
    units = [8, 16] if profile == "smoke" else [d * k // 16 for k in WIDTHS]
    jobs = [{"width": w, "n_facts": n, "d": d, "seed": s} for s in _draws(profile, seed) for w in units]
    run = partial(us.trained_margins, device=device, attention_steps=STEPS[profile])
    return store.resume(store.results_file("margins_width", profile), jobs, run, device=device)


def costs(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Fewest parameters with a spike on keys and values, and without."""
    smoke = profile == "smoke"
    sizes, ladder = ([24], ["hebbian", "encoder-decoder"]) if smoke else ([128, 256], list(us.LADDER))
    jobs = [
        {"method": m, "strength": b, "n_facts": n, "d": 16 if smoke else 64, "seed": s}
        for s in _draws(profile, seed)
        for n in sizes
        for m in ladder
        for b in (0.0, SPIKE)
    ]
    run = partial(us.cost, device=device)
    return store.resume(store.results_file("margins_cost", profile), jobs, run, device=device)


# --- words and tables -------------------------------------------------------------------------------------------------


def _of(rows: pd.DataFrame, study: str) -> pd.DataFrame:
    return rows[rows.study == study]


def fits(rows: pd.DataFrame) -> Fits:
    """The form of the bound fitted to each clean sweep alone, to both, and with noise to the noisy one."""
    clean = {"features": _of(rows, "features"), "facts": _of(rows, "facts")}
    clean["together"] = rows[rows.study.isin(["features", "facts"])]
    found = {name: us.fitted(part, us.clean_form, [1, 4, 1]) for name, part in clean.items()}
    return found | {"noise": us.fitted(_of(rows, "noise"), us.noisy_form, [1, 0.1])}


def constants(rows: pd.DataFrame) -> pd.DataFrame:
    """The fitted constants of the clean sweeps, and to both with the least C that the proof allows."""
    lines = {name: fit for name, fit in fits(rows).items() if name != "noise"}
    (signal, crosstalk), r2 = us.fitted(
        rows[rows.study.isin(["features", "facts"])], lambda part, s, x: us.clean_form(part, s, LEAST, x), [1, 1]
    )
    lines["together, C held"] = [signal, LEAST, crosstalk], r2
    shown = {
        name: {"Cₛ": f"{s:.2f}", "Cₓ": f"{x:.2f}", "C": f"{c:.2g}", "R²": f"{r2:.3f}"}
        for name, ((s, c, x), r2) in lines.items()
    }
    return pd.DataFrame(shown).T.rename_axis("fitted to")


def findings(rows: pd.DataFrame, wide: pd.DataFrame, cost: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables margins, margins_width and margins_cost."""
    (*_, ((_, inside, _), r2), _), clean = fits(rows).values(), rows[rows.study.isin(["features", "facts"])]
    bounds = [us.stated_bound(row.n_facts, row.d, row.features) for row in clean.itertuples()]
    turned = us.spike_summary(_of(rows, "spike")).negative_from
    noise = us.averaged(_of(rows, "noise"), ["noise"])
    calm = noise[noise.smallest > 0.9 * noise.smallest.iloc[0]].noise.max()
    by = wide.groupby("width")[["q0", "recall", "in_transformer"]].median()
    fits_at, most = by.index[(by.recall == 1)].min(), by.index.max()
    ratio = changes(cost).ratio.groupby("method", sort=False).agg(["min", "max"])
    each = "; ".join(f"{method} {span(f'{low:.2f}', f'{high:.2f}')}" for method, low, high in ratio.itertuples())
    low, high = (f"{bound:.1f}".replace("-", "−") for bound in (min(bounds), max(bounds)))
    return [
        f"**The bound's form describes isotropic facts**: one set of constants fits both sweeps (R² {r2:.2f}), with "
        f"C = {inside:.2g} far below the proof's, which is at least {LEAST:.0f}. The bound itself, with the constants "
        f"of its proof, lies between {low} and {high} at these sizes: "
        f"{'below zero everywhere,' if max(bounds) < 0 else 'where below zero'} it promises nothing.",
        "**A spike costs little at first, then everything**: the mean smallest margin is negative from β = "
        f"{turned['both']:.1f} on with a spike on both, {turned['keys']:.1f} on keys and {turned['values']:.1f} on "
        "values alone, with a wide spread between draws.",
        f"**Noise does little up to {calm:.2f} key lengths**, where nine tenths of the smallest margin are left; then "
        "the steepness itself grows.",
        f"**Margins of trained MLPs rise with width**: the smallest is {by.q0[fits_at]:.3f} at {fits_at} units, where "
        f"all facts just fit, and {by.q0[most]:.2f} at {most}. Behind attention these MLPs recall "
        f"{by.in_transformer[fits_at]:.0%} and {by.in_transformer[most]:.0%}.",
        f"**A spike of β = {SPIKE} on keys and values** multiplies the fewest parameters by: {each}.",
    ]


def changes(cost: pd.DataFrame) -> pd.DataFrame:
    """Median fewest parameters per fact with the spike and without, and their ratio."""
    cost = cost.assign(method=cost.method.map(LABELS)).rename(columns={"n_facts": "facts"})
    by = cost.pivot_table(
        index=["facts", "method"], columns="strength", values="per_fact", aggfunc="median", sort=False
    )
    by.columns = [f"β = {strength:g}" for strength in by.columns]
    return by.assign(ratio=by.iloc[:, 1] / by.iloc[:, 0])


def spike_costs(cost: pd.DataFrame) -> pd.DataFrame:
    """`changes` as the page shows it: parameters to one decimal, their ratio to two."""
    by = changes(cost)
    return by.round(1).assign(ratio=by.ratio.round(2))


def cheaper(cost: pd.DataFrame) -> list[str]:
    """The ratios below 1 in hidden units, beside how far the draws without a spike lie apart."""
    units = cost.groupby(["method", "n_facts", "strength"], sort=False).width.agg(["min", "median", "max"])
    found = []
    for (method, n), by in units.groupby(["method", "n_facts"], sort=False):
        without, spiked = (by.xs(strength, level="strength").iloc[0] for strength in (0.0, SPIKE))
        if spiked["median"] < without["median"]:
            apart = span(f"{without['min']:.0f}", f"{without['max']:.0f}")
            now = f"from {without['median']:.0f} to {spiked['median']:.0f} units"
            found.append(f"{LABELS[method]} at {n} facts {now} (draws without a spike: {apart})")
    return [f"What a ratio below 1 saves is less than draws differ by themselves: {'; '.join(found)}."] if found else []


def by_width(wide: pd.DataFrame) -> pd.DataFrame:
    """Means over the draws: margins in some quantiles, and recall alone and behind attention."""
    names = {
        "q0": "smallest margin",
        "q5": "margin at 5%",
        "q50": "median margin",
        "recall": "recall",
        "in_transformer": "in a transformer",
    }
    shown = us.averaged(wide, ["width"]).set_index("width")[list(names)].rename(columns=names)
    for column in ("recall", "in a transformer"):
        shown[column] = shown[column].map("{:.1%}".format)
    return shown.round(3).rename_axis("hidden units")


# --- figures ----------------------------------------------------------------------------------------------------------


def _panels() -> tuple[Figure, Any]:
    return plt.subplots(1, 2, figsize=(8.8, 4.2))


def clean(rows: pd.DataFrame) -> Figure:
    """Smallest margin against features and against facts, with the fitted forms."""
    figure, panels = _panels()
    found = fits(rows)
    for axes, study, x, label in zip(panels, ("features", "facts"), ("features", "n_facts"), ("features h", "facts n")):
        part, (fitted, r2) = _of(rows, study), found[study]
        us.plot_form(axes, part, x, us.clean_form, fitted, f"fitted form, R² = {r2:.3f}")
        fixed = f"n = {part.n_facts.iloc[0]}" if study == "features" else f"h = {part.features.iloc[0]}"
        axes.set(xlabel=label, ylabel="smallest margin", title=f"{fixed}, d = {part.d.iloc[0]}")
        axes.legend()
    return figure


def uneven(rows: pd.DataFrame) -> Figure:
    """Smallest margin against the strength of a spike, and against the noise of the query."""
    figure, panels = _panels()
    spike, noise = _of(rows, "spike"), _of(rows, "noise")
    for (on, part), look, aside in zip(spike.groupby("on"), ("hebbian", "data-dependent", "trained"), (-0.07, 0, 0.07)):
        part = part.assign(strength=part.strength + aside)  # bars would lie on each other
        figures.plot_spread(panels[0], part, "strength", "smallest", look, label=f"spike on {on}")
    panels[0].axhline(0, color="grey", linestyle=":")
    panels[0].set(xlabel="strength of the spike β", ylabel="smallest margin")
    fitted, r2 = fits(rows)["noise"]
    us.plot_form(panels[1], noise, "noise", us.noisy_form, fitted, f"fitted form, R² = {r2:.3f}")
    panels[1].set(xlabel="noise of the query ε [key lengths]", ylabel="smallest margin")
    for axes, part in zip(panels, (spike, noise)):
        axes.set_title(f"n = {part.n_facts.iloc[0]}, h = {part.features.iloc[0]}, d = {part.d.iloc[0]}")
        axes.legend()
    return figure


def against_width(wide: pd.DataFrame) -> Figure:
    """Margins of all keys against width, and recall of the MLP alone and in a transformer."""
    figure, panels = _panels()
    us.plot_violins(panels[0], wide, figures.COLOURS["trained"])
    size = f"trained, n = {wide.n_facts.iloc[0]}, d = {wide.d.iloc[0]}"
    panels[0].set(ylabel="margin of a key (outputs of norm 1)", title=size)
    us.plot_recall(panels[1], wide)
    panels[1].set_title("recall of the same MLPs")
    return figure


def spiked(cost: pd.DataFrame) -> Figure:
    """Fewest parameters per fact with the spike against those without, a mark per method and a panel per size."""
    sizes = sorted(cost.n_facts.unique())
    figure, panels = plt.subplots(1, len(sizes), figsize=(8.8, 5.2), squeeze=False, sharex=True, sharey=True)
    ends = cost.per_fact.min() / 1.3, cost.per_fact.max() * 1.3
    ticks = [t for t in (5, 10, 30, 100, 300, 1000) if ends[0] < t < ends[1]]
    for axes, n in zip(panels[0], sizes):
        part = cost[cost.n_facts == n]
        for method, rows in part.groupby("method", sort=False):
            by = rows.groupby("strength").per_fact.agg(["min", "median", "max"])
            x, y = ([[row["median"] - row["min"]], [row["max"] - row["median"]]] for _, row in by.iterrows())
            look = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method], "label": LABELS[method]}
            axes.errorbar(*by["median"], xerr=x, yerr=y, linestyle="none", capsize=3, **look)
        axes.axline(*zip(ends, ends), color="grey", linestyle=":", label="as much as without", zorder=0)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title=f"n = {n}, d = {part.d.iloc[0]}")
        axes.set(xlabel="parameters per fact, isotropic", ylabel=f"parameters per fact, spike of β = {SPIKE}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks, [f"{t:,}" for t in ticks])
            axis.set_ticks([], minor=True)
    figures.legend_below(figure, panels[0, 0])
    return figure

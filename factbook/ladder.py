"""The ladder: the fewest parameters at 100% recall of every way to store facts, on the same facts.

The width of each grows or shrinks until it straddles 100% recall, then bisection cuts the interval to 4%. A width
counts as too small after one failed try (NTK: two draws); the encoder-decoder finds its own shortest code.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, fit, store
from factbook.prose import with_ends

SIZES = {
    "smoke": [(n, 16) for n in (16, 32)],
    "laptop": [(n, 64) for n in (64, 128, 256, 512, 1024, 2048)],
    "paper": [(n, 128) for n in (2**k for k in range(6, 15))],
}
LARGER = {"smoke": 16, "laptop": 256, "paper": 512}  # from here on widths are no handful of units
PROPORTIONAL = {  # n = α d², α from 1/4 to 4
    "smoke": [(16, 8)],
    "laptop": [
        (int(a * d * d), d)
        for d in (16, 32, 64)
        for a in (0.25, 0.5, 1, 2, 4)
        if a * d * d <= 1024 or (a, d) == (0.5, 64)
    ],
    "paper": [(int(a * d * d), d) for d in (32, 64, 128, 256) for a in (0.25, 1, 4) if a * d * d <= 2**14],
}
GATES = {"smoke": [(16, 16)], "laptop": [(n, 64) for n in (256, 512, 1024)] + [(506, 90), (1012, 90)]}
GATES["paper"] = GATES["laptop"] + [(2025, 90), (1024, 128), (2048, 128)]
STEPS = {"smoke": 60, "laptop": 2000, "paper": 4000}
DRAWN = ("ntk", "hebbian", "paper-codes", "encoder-decoder", "block-convex", "trained")  # the others: the comparison
COMPARED = ("paper-codes", "encoder-decoder", "block-convex")  # in the findings, exponent by exponent
EQUAL = 0.1  # exponents are called equal within this (book/rules.md)
LEAVE = ("none of the three leaves", "one of the three leaves", "two of the three leave", "all three leave")
SAID = {"paper-codes": "the paper's codes", "encoder-decoder": "our shorter codes", "block-convex": "block-convex"}
BETWEEN = ("paper-codes", "encoder-decoder", "block-convex-2", "block-convex")  # between NTK and training


def methods(profile: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each rung: construct's method and its options."""
    steps: dict[str, Any] = {"steps": STEPS[profile]} | ({"descent": "adam"} if profile == "smoke" else {})
    return {
        "one-hot": ("one-hot", {}),
        "ntk": ("ntk", {"tries": 2}),
        "hebbian": ("hebbian", {}),
        "data-dependent": ("hebbian", {"variant": "data-dependent"}),
        "paper-codes": ("encoder-decoder", {"codes": "projected"}),
        "encoder-decoder": ("encoder-decoder", {}),
        "max-margin": ("max-margin", {"ridge": 1.0} if profile == "smoke" else {}),
        "block-convex-2": ("block-convex", {"solves": 2}),
        "block-convex": ("block-convex", {"solves": 5}),
        "trained": ("trained", steps),
        "block-convex, SiLU": ("block-convex", {"solves": 5, "gate": "silu"}),
        "trained, SiLU": ("trained", steps | {"gate": "silu"}),
    }


# --- the runs ---------------------------------------------------------------------------------------------------------


def cost(rung: str, n_facts: int, d: int, seed: int, *, profile: str, device: str) -> dict[str, Any]:
    """Fewest parameters at which this rung stores these facts; NaN where no width that was tried does.

    A bilinear network has every map that it can have with as many units as there are products of two coordinates. With
    more than twice as many facts, whether training stores them at all is settled at that width first.
    """
    method, options = methods(profile)[rung]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    try:
        if method == "encoder-decoder":
            found: Any = fc.construct(facts, seed=seed, **options)
            share, worked = fc.recall(found, facts), found.down.device
        else:
            products = d * (d + 1) // 2
            if rung == "trained" and n_facts > 2 * products:
                fc.construct(facts, method, width=products, seed=seed, **options)
            options = {"tries": 1, "resolution": 0.04} | options
            found = fc.smallest_width(facts, method, seed=seed, **options)
            share, worked = found.recall, found.trials[-1]["device"]
    except ValueError:
        return {"width": 0, "n_params": np.nan, "recall": np.nan, "device": facts.keys.device}
    return {"width": found.width, "n_params": found.n_params, "recall": share, "device": worked}


def left_out(rung: str, n: int, d: int, profile: str) -> bool:
    """What is not run: too slow on a laptop, of use in proportion to d² alone, or without hope (bilinear, n ≫ d²)."""
    fixed_d = (n, d) in SIZES[profile]
    if rung == "max-margin" and profile == "laptop":
        return n > (1024 if fixed_d else 256)
    if rung.endswith("SiLU") and profile == "laptop" and (n > 512 or d > 16):
        return True
    if rung == "data-dependent" and profile == "laptop" and not fixed_d and n > 512:
        return True
    if rung in ("trained", "data-dependent"):
        return not fixed_d and n > 2 * d * d
    if rung in ("block-convex", "block-convex-2"):
        return not fixed_d and n > d * d
    return rung.endswith("SiLU") if fixed_d else rung in ("one-hot", "ntk")


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """All rungs at all sizes, three draws of the facts; the missing runs are done first."""
    jobs = [
        {"rung": rung, "n_facts": n, "d": d, "seed": s}
        for n, d in dict.fromkeys(SIZES[profile] + PROPORTIONAL[profile])
        for rung in methods(profile)
        for s in store.draws(profile, seed)
        if not left_out(rung, n, d, profile)
    ]
    run = partial(cost, profile=profile, device=device)
    return store.resume(store.results_file("capacity", profile), jobs, run, device=device)


def ntk_gates(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Units of the NTK memory with the identity and with a ReLU in the network, a row a draw."""

    def units(gate: str, n_facts: int, d: int, seed: int) -> dict[str, Any]:
        facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
        found = fc.smallest_width(facts, "ntk", seed=seed, gate=gate, tries=1, resolution=0.04)
        return {"width": found.width, "recall": found.recall, "device": found.trials[-1]["device"]}

    jobs = [
        {"gate": gate, "n_facts": n, "d": d, "seed": s}
        for n, d in GATES[profile]
        for s in store.draws(profile, seed)
        for gate in ("identity", "relu")
    ]
    rows = store.resume(store.results_file("ntk_gates", profile), jobs, units, device=device)
    wide = rows.pivot(index=["d", "n_facts", "seed"], columns="gate", values="width")
    return wide.assign(share=wide.identity / wide.relu)


# --- what they tell ---------------------------------------------------------------------------------------------------


def floor(n: np.ndarray) -> np.ndarray:
    """Parameters that hold n log₂ v bits, v = n, at two bits each."""
    return n * np.log2(n) / 2


def fixed_d(rows: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The rows at the one d of the figure."""
    return rows.merge(pd.DataFrame(SIZES[profile], columns=["n_facts", "d"]))


def per_fact(live: pd.DataFrame) -> pd.DataFrame:
    """Median parameters per fact of each rung (rows) at each n (columns), in the order of the ladder."""
    ratio = live.assign(per_fact=live.n_params / live.n_facts)
    found = ratio.pivot_table(index="rung", columns="n_facts", values="per_fact", aggfunc="median")
    return found.reindex([rung for rung in methods("laptop") if rung in found.index])


def beside_training(live: pd.DataFrame) -> pd.DataFrame:
    """Exponent in n of the parameters over those of training on the same facts, of `BETWEEN`: value, low, high.

    The interval is Student's, 95%, as that of the claims (book/rules.md); NaN where there are fewer than three sizes.
    """
    pairs = live.merge(live[live.rung == "trained"], on=["n_facts", "d", "seed"], suffixes=("", "_trained"))
    pairs = pairs.assign(ratio=pairs.n_params / pairs.n_params_trained).dropna(subset="ratio")
    found: dict[str, tuple[float, ...]] = {}
    for rung in BETWEEN:
        try:
            found[rung] = fit.line(pairs[pairs.rung == rung], "n_facts", "ratio")
        except fit.TooLittle:
            found[rung] = (np.nan,) * 3
    return pd.DataFrame(found, index=["value", "low", "high"]).T


def in_proportion(rows: pd.DataFrame, profile: str) -> pd.DataFrame:
    """Median parameters per fact for n = α d²: a row an α and d, the rungs that the text reads as columns."""
    wide = rows.merge(pd.DataFrame(PROPORTIONAL[profile], columns=["n_facts", "d"]))
    wide = wide.assign(α=wide.n_facts / wide.d**2, per_fact=wide.n_params / wide.n_facts)
    wide = wide.pivot_table(index=["α", "d"], columns="rung", values="per_fact", aggfunc="median")
    names = ["hebbian", "paper-codes", "encoder-decoder", "block-convex", "trained", "trained, SiLU"]
    wide = wide.reindex(columns=names).rename(columns=figures.LABELS).rename_axis(columns="α, d")
    return written(wide.set_axis([f"{α:g}, {d}" for α, d in wide.index]))


def findings(capacity: pd.DataFrame) -> list[str]:
    """The page's sentences, from the table capacity."""
    live = fixed_d(capacity, "laptop")
    larger = LARGER["laptop"]
    cost_of, apart = per_fact(live), beside_training(live[live.n_facts >= larger])
    n = int(cost_of.loc["trained"].last_valid_index())
    at, ntk = cost_of[n], cost_of.loc["ntk"].dropna()
    times, most = at / at["trained"], ntk.index[-1]
    far = ntk[most] / cost_of[most]["trained"]
    cheapest = "training" if at.idxmin() == "trained" else figures.LABELS.get(str(at.idxmin()), str(at.idxmin()))
    each = [f"{spelled(*apart.loc[rung])} for {SAID[rung]}" for rung in COMPARED]
    unlike = sum(not apart.low[rung] <= 0 <= apart.high[rung] for rung in COMPARED)
    dear = [f"{times[rung]:.0f} times ({at[rung]:.0f})" for rung in ("data-dependent", "hebbian", "encoder-decoder")]
    return [
        f"**For {n:,} facts at *d* = {live.d.iloc[0]} {cheapest} is cheapest, and a few convex solves come near what "
        f"training takes**: {at['trained']:.1f} parameters per fact, block-convex with five solves "
        f"{at['block-convex']:.1f} ({times['block-convex']:.1f} times as many), with two {at['block-convex-2']:.1f}.",
        f"**The paper's codes take {times['paper-codes']:.0f} times as many parameters as training** "
        f"({at['paper-codes']:.0f} per fact) for {n:,} facts, the data-dependent Hebbian memory {dear[0]}, the "
        f"whitened one {dear[1]}, our shorter codes (*encoder-decoder* in the figure and the tables) {dear[2]}. The "
        f"NTK memory stores at most {most:,} facts, and takes {far:.0f} times as many there ({ntk[most]:.0f}).",
        f"**{_growth(apart)}** From {larger} facts on, the exponent minus that of training is "
        f"{each[0]}, {each[1]} and {each[2]} (95% intervals): {LEAVE[unlike]} out zero.",
    ]


def _growth(apart: pd.DataFrame) -> str:
    """Which of `COMPARED` grow as training does, by the band inside which the rules call exponents equal."""
    said: dict[str, list[str]] = {}
    for rung in COMPARED:
        low, high = apart.low[rung], apart.high[rung]
        how = "faster than training" if low > EQUAL else "more slowly than training" if high < -EQUAL else ""
        how = how or ("nearly as training does" if -EQUAL < low and high < EQUAL else "")
        how = how or (f"faster than training, if perhaps by less than {EQUAL}" if low > 0 else "at a rate that is open")
        said.setdefault(how, []).append(SAID[rung])
    words = "; ".join(f"{' and '.join(names)}, {how}" for how, names in said.items())
    return f"How parameters grow at this *d*: {words}."


def spelled(value: float, low: float, high: float) -> str:
    """A signed number and its interval, "–" for none."""
    return "–" if np.isnan(value) else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def written(numbers: pd.DataFrame) -> pd.DataFrame:
    """One decimal, "–" for what is missing."""
    return numbers.map(lambda number: "–" if np.isnan(number) else f"{number:.1f}")


def costs(live: pd.DataFrame) -> pd.DataFrame:
    """`per_fact` of the fixed d as it is read: labels of the methods, the floor in the last row."""
    found = per_fact(live).rename(index=figures.LABELS)
    found.loc["floor"] = floor(found.columns.to_numpy()) / found.columns
    found.columns = [f"n = {n:,}" for n in found.columns]
    return written(found.rename_axis(None))


def scales(live: pd.DataFrame, profile: str) -> pd.DataFrame:
    """`beside_training` over all sizes and over the larger ones, and the multiples of training at these."""
    parts = {f"from n = {least}": live[live.n_facts >= least] for least in (live.n_facts.min(), LARGER[profile])}
    found = {title: [spelled(*line) for line in beside_training(rows).to_numpy()] for title, rows in parts.items()}
    times = (per_fact(live) / per_fact(live).loc["trained"]).loc[list(BETWEEN)].loc[:, LARGER[profile] :]
    found["times training there"] = [f"{row.min():.1f} to {row.max():.1f}" for _, row in times.iterrows()]
    return pd.DataFrame(found, index=[figures.LABELS[rung] for rung in BETWEEN])


def gate_table(gates: pd.DataFrame) -> pd.DataFrame:
    """Median units with either gate and their ratio, and the ratio's smallest and largest."""
    grouped = gates.groupby(["d", "n_facts"])
    found = grouped[["identity", "relu"]].median().astype(int)
    found = found.map("{:,}".format).set_axis(["units, identity", "units, ReLU"], axis=1)
    share = grouped.share.agg(["median", "min", "max"])
    found["identity over ReLU"] = [with_ends(*ends) for ends in share.to_numpy()]
    return found.set_axis([f"d = {d}, n = {n:,}" for d, n in found.index])


def settings() -> pd.DataFrame:
    """Mean recall of Adam at a width under each setting of the grid, in %: ``benchmarks/training_grid.py --width``."""
    grid = store.committed("training_grid_width")
    recall = (100 * grid.pivot_table(index="setting", columns="width", values="recall")).sort_values(20).iloc[::-1]
    names = recall.index.str.replace("adam", "Adam alone").str.replace("lr", "rate").str.replace("000 st", ",000 st")
    names = names.str.replace("l-bfgs", "L-BFGS alone").str.replace("chosen", "chosen: L-BFGS, then Adam")
    return written(recall).set_axis([f"recall [%], {units} units" for units in recall], axis=1).set_axis(list(names))


def drawn(live: pd.DataFrame, profile: str) -> Figure:
    """Parameters against facts: medians, bars from the smallest to the largest, fitted power laws.

    On a laptop a second panel, where there is a table of the paper's sizes.
    """
    paper = store.stored("capacity", "paper") if profile == "laptop" else None
    panels = [live] if paper is None else [live, fixed_d(paper, "paper")]
    figure, axes = plt.subplots(1, len(panels), figsize=(7.4 * len(panels), 5.2), squeeze=False)
    for ax, rows in zip(axes[0], panels):
        n = np.geomspace(rows.n_facts.min(), rows.n_facts.max(), 50)
        ax.plot(n, floor(n), color="grey", linestyle="--")
        ends = [(float(n[-1]), float(floor(n[-1:])[0]), "floor", "#555555")]
        for rung in DRAWN:
            of_rung = rows[rows.rung == rung].dropna()
            if of_rung.n_facts.nunique() < 2:
                continue
            law = fit.power_law(of_rung, "n_facts", "n_params")
            figures.plot_spread(ax, of_rung, "n_facts", "n_params", rung, linestyle="none")
            within = n[n <= of_rung.n_facts.max() * 1.001]
            ax.plot(within, law(within), color=figures.COLOURS[rung], linewidth=1)
            last = of_rung[of_rung.n_facts == of_rung.n_facts.max()]
            name = figures.LABELS[rung].removeprefix("encoder-decoder, ")  # beside the line of the encoder-decoder
            ends.append((last.n_facts.iloc[0], last.n_params.median(), name, figures.COLOURS[rung]))
        ax.set(xscale="log", yscale="log", xlabel="facts n", ylabel="parameters at 100% recall (dense)")
        ax.set_title(f"d = {rows.d.iloc[0]}")
        ax.set_xticks(sorted(rows.n_facts.unique()), labels=[f"{n:,}" for n in sorted(rows.n_facts.unique())])
        ax.minorticks_off()
        figures.label_ends(ax, ends)
    return figure

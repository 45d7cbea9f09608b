"""The page on how much noise a memory takes: its memories, runs, tables, figures and findings."""

from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, fit, store
from factbook import noise as us
from factbook.prose import with_ends
from factcore import transformer
from factcore.support.streams import stream

SIZES = {  # n for every d
    "smoke": {16: [16, 32], 32: [32]},
    "laptop": {32: [64, 128, 256], 64: [64, 128, 256, 512, 1024], 128: [128, 256, 512]},
    "paper": {64: [128, 256, 512, 1024], 128: [256, 512, 1024, 2048, 4096], 256: [512, 1024, 2048, 4096]},
}
MEETING = {"smoke": (32, 32), "laptop": (128, 32), "paper": (1024, 128)}  # n, d where all memories meet
MULTIPLES = ["1 ×", "2 ×", "4 ×", "8 ×"]  # of the smallest width
USUAL, FIXED = "4 ×", "16 d"
MEMORIES: dict[str, tuple[str, dict[str, Any]]] = {
    "hebbian": ("hebbian", {}),
    "raw": ("hebbian", {"variant": "raw"}),
    "data-dependent": ("hebbian", {"variant": "data-dependent"}),
    "max-margin": ("max-margin", {}),
    "block-convex": ("block-convex", {}),
    "encoder-decoder": ("encoder-decoder", {"encoder": "random-gates", "gate": "identity", "fill": 0.5}),
    "buckets": ("encoder-decoder", {}),
    "trained": ("trained", {}),
}
NAMES = {
    "hebbian": "Hebbian, whitened",
    "raw": "Hebbian, raw",
    "data-dependent": "Hebbian, data-dependent",
    "encoder-decoder": "bilinear gates",
    "buckets": "hard buckets",
}
DRAWN = ("hebbian", "max-margin", "block-convex", "encoder-decoder", "buckets", "trained")
JUNK = {"smoke": [(16, 16)]}  # n, d; elsewhere as published:
PUBLISHED = [(512, 64), (1012, 90), (2048, 128)]
FLOOR = "noise floor (error of the query / key length)"


# --- the runs, one row each -------------------------------------------------------------------------------------------


@cache
def _smallest(memory: str, n_facts: int, d: int, seed: int, device: str) -> int:
    method, options = MEMORIES[memory]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    return fc.smallest_width(facts, method, seed=seed, tries=1, resolution=0.1, **options).width


def floors(memory: str, width: str, n_facts: int, d: int, seed: int, *, queries: int, device: str) -> dict[str, Any]:
    """The noise floors of one memory, in random and in the worst directions."""
    facts, (method, options) = fc.spherical_facts(n_facts, d, seed=seed).to(device), MEMORIES[memory]
    units = 16 * d if width == FIXED else int(width[0]) * _smallest(memory, n_facts, d, seed, device)
    mlp = fc.construct(facts, method, width=units, seed=seed, strict=False, **options)
    generator = stream(seed, "noise")
    draws = [us.random_directions(facts.keys, generator) for _ in range(max(4, queries // n_facts))]
    return {
        "device": mlp.down.device,
        "units": mlp.width,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "random": us.noise_floor(mlp, facts, torch.stack(draws)),
        "worst": us.noise_floor(mlp, facts, us.worst_directions(mlp, facts)[None]),
    }


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Floors over sizes and widths, three draws each; with the claimed form and parameters per fact."""
    sizes, smoke = SIZES[profile], profile == "smoke"
    places = [(n, d) for d in sizes for n in sizes[d]]
    memories = ("hebbian", "data-dependent", "encoder-decoder") if smoke else tuple(MEMORIES)
    runs = [("hebbian", rule, n, d) for n, d in places for rule in MULTIPLES]
    runs += [("hebbian", FIXED, n, d) for n, d in places if n <= 8 * d]
    runs += [("data-dependent", USUAL, n, d) for n, d in places]
    runs += [(name, rule, *MEETING[profile]) for name in memories for rule in MULTIPLES]
    jobs = [
        {"memory": name, "width": rule, "n_facts": n, "d": d, "seed": s}
        for s in store.draws(profile, seed)
        for name, rule, n, d in dict.fromkeys(runs)
    ]
    run = partial(floors, queries=512 if smoke else 4096, device=device)
    return prepared(store.resume(store.results_file("noise_floor", profile), jobs, run, device=device))


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """With the columns that the page reads: d / (n ln n), the claimed form of it, parameters per fact."""
    share = rows.d / (rows.n_facts * np.log(rows.n_facts))
    return rows.assign(share=share, claimed=np.sqrt(share), per_fact=rows.n_params / rows.n_facts)


def left_over(
    attention: str, n_facts: int, d: int, run: int, seed: int, *, training: dict[str, Any], device: str
) -> dict[str, Any]:
    """The L2 error of what attention hands on, of the mean and of the worst of 4,096 sequences."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    model = transformer.FactTransformer(facts, seed=seed, run=(run, run))
    if attention == "solved":
        transformer.solve_attention(model)
    else:
        transformer.train_recall(model, facts.targets, seed=seed, **training)
    noise = 2 * torch.deg2rad(us.attention_noise(model, samples=4096) / 2).sin()
    return {"mean": float(noise.mean()), "worst": float(noise.max()), "device": noise.device}


def junk(profile: str, seed: int, device: str) -> pd.DataFrame:
    """What attention leaves against the length of the junk at every size, solved for or trained."""
    smoke, scales = profile == "smoke", JUNK.get(profile, PUBLISHED)
    lengths = [2, 4] if smoke else [2**k for k in range(1, 8)]
    jobs = [
        {"attention": how, "n_facts": n, "d": d, "run": length, "seed": s}
        for how in ("solved", "trained")
        for n, d in scales
        for length in lengths
        for s in store.draws(profile, seed)
    ]
    training = {"steps": 20, "batch": 32} if smoke else {"steps": 500, "batch": 256}
    run = partial(left_over, training=training, device=device)
    return store.resume(store.results_file("noise_junk", profile), jobs, run, device=device)


def steepness(n_facts: int, d: int, units: int, seed: int = 0) -> float:
    """Fall of a raw memory's gap in its worst direction, root mean square over the keys, over the page's formula."""
    facts = fc.spherical_facts(n_facts, d, seed=seed, dtype=torch.float64)
    mlp = fc.construct(facts, "hebbian", variant="raw", width=units, seed=seed, strict=False)
    _, pull, *_ = torch.func.vjp(mlp, facts.keys)
    fall = pull(facts.values[facts.targets] - facts.values[facts.targets.roll(1)])[0] * n_facts / units
    aside = fall - (fall * facts.keys).sum(dim=1, keepdim=True) * facts.keys
    predicted = ((4 * n_facts + 8 * d) / units + 8 * n_facts / d**2) ** 0.5
    return float(aside.square().sum(dim=1).mean().sqrt()) / predicted


# --- what the page shows ----------------------------------------------------------------------------------------------


def findings(rows: pd.DataFrame, left: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables noise_floor and noise_junk."""
    laws = exponents(rows := prepared(rows))
    fixed, usual = laws.loc[FIXED], laws.loc[USUAL]
    at = _meeting(rows).groupby(["memory", "width"])[["random", "per_fact"]].median()
    solved, trained = (left[left.attention == how] for how in ("solved", "trained"))
    shortest, longest = trained.run.min(), trained.run.max()
    means = trained.groupby(["n_facts", "run"])["mean"].median().unstack()[[shortest, longest]]
    each = "; ".join(f"{short:.3f} and {long:.3f} (n = {n:,})" for n, short, long in means.itertuples())
    return [
        "**The claimed form is no law of the noise floor.** With widths that grow as storing needs (4 times the "
        "smallest), the floor hardly depends on the number of facts: its exponent in d / (n ln n) is "
        f"{usual.loc['random', 'exponent']} in random directions and {usual.loc['worst', 'exponent']} in the worst "
        "ones, where the form has 0.5.",
        f"**As a bound it holds where memories are wide.** At {FIXED} units "
        f"{fixed.loc['worst', 'reach the form']} whitened memories recall 99% at the claimed noise: they take "
        f"{fixed.loc['random', 'times the form']} times of it in random directions, and "
        f"{fixed.loc['worst', 'times the form']} times in the worst ones.",
        "**Width buys tolerance of noise; for their size Hebbian memories tolerate little.** A whitened one takes "
        f"{at.random['hebbian', '1 ×']:.2f} key lengths with {at.per_fact['hebbian', '1 ×']:.0f} parameters per fact, "
        f"a max-margin network {at.random['max-margin', '4 ×']:.2f} with {at.per_fact['max-margin', '4 ×']:.0f}; hard "
        f"buckets never take more than {at.random['buckets'].max():.2f} (all at {_size(rows)}).",
        "**Attention that is solved for leaves no noise to speak of, however long the junk**: at most "
        f"{solved.worst.max():.5f} key lengths in the worst sequence. Trained briefly it leaves on average, with runs "
        f"of {shortest} and of {longest} tokens, {each}, and in its worst sequences {trained.worst.max():.1f}, another "
        "key's place.",
    ]


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """Exponent of the whitened memories' floor in d / (n ln n), its 95% bootstrap interval, floor over form."""
    found = {}
    for rule in (USUAL, FIXED):
        for column in ("random", "worst"):
            part = rows[(rows.memory == "hebbian") & (rows.width == rule) & (rows[column] > 0)]
            law, times = fit.power_law(part, "share", column), part[column] / part.claimed
            found[rule, column] = {
                "exponent": with_ends(law.exponent, law.low, law.high),
                "times the form": f"{times.min():.1f} to {times.max():.1f}",
                "reach the form": f"{(times >= 1).sum()} of {len(times)}",
            }
    return pd.DataFrame(found).T.rename_axis(["width", "directions"])


def _meeting(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the size at which most memories are."""
    at = rows.groupby(["n_facts", "d"]).memory.transform("nunique")
    return rows[(at == at.max()) & (rows.width != FIXED)]


def _size(rows: pd.DataFrame) -> str:
    """The size at which most memories are, in words."""
    at = _meeting(rows).iloc[0]
    return f"n = {at.n_facts:,}, d = {at.d}"


def prices(rows: pd.DataFrame, floor: float = 0.3) -> list[str]:
    """What a floor in random directions costs each memory that is drawn, between its widths on logarithmic axes."""
    by = _meeting(prepared(rows)).groupby(["memory", "width"])[["random", "per_fact"]].median()
    found, short = {}, []
    for name in (name for name in DRAWN if name in by.index.get_level_values("memory")):
        part = by.loc[name].sort_values("random")
        if part.random.max() < floor:
            short.append(NAMES.get(name, name))
        else:
            found[NAMES.get(name, name)] = np.exp(np.interp(np.log(floor), np.log(part.random), np.log(part.per_fact)))
    each = ", ".join(f"{found[name]:.0f} ({name})" for name in sorted(found, key=found.__getitem__))
    return [
        f"**The same tolerance has very different prices.** Parameters per fact for a floor of {floor} in random "
        f"directions: about {each}{'; never reached: ' if short else ''}{', '.join(short)}."
    ]


def by_width(rows: pd.DataFrame) -> pd.DataFrame:
    """Floors of all memories in random directions at multiples of their smallest widths, medians."""
    by = _meeting(rows).groupby(["memory", "width"], sort=False)
    found = by.random.median().unstack("width")[MULTIPLES].round(3)
    found.insert(0, "parameters per fact at 1 ×", by.per_fact.median().unstack("width")["1 ×"].round(1))
    return found.rename(index=figures.LABELS | NAMES).rename_axis(_size(rows))


def by_form(rows: pd.DataFrame) -> Figure:
    """Floors of whitened memories against d / (n ln n): at 4 times the smallest width, and at a fixed one."""
    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.7), sharey=True)
    white = rows[rows.memory == "hebbian"]
    line = np.array([rows.share.min(), rows.share.max()])
    colours = dict(zip(sorted(white.d.unique()), ("#B87800", "#0072B2", "#772211")))
    for axes, rule, title in zip(panels, (USUAL, FIXED), ("4 × the smallest width", "16\u00a0d units")):
        for (d, part), marker in zip(white[white.width == rule].groupby("d"), "os^"):
            for column, dash, filled in (("random", "-", "full"), ("worst", "--", "none")):
                style: dict[str, Any] = {"color": colours[d], "marker": marker, "fillstyle": filled, "linestyle": dash}
                style["label"] = f"d = {d}, {column}"
                figures.plot_spread(axes, part, "share", column, "hebbian", **style)
        axes.errorbar(line, np.sqrt(line), color="black", linewidth=1, label="claimed form")  # last in the legend
        axes.set(xscale="log", yscale="log", xlabel="d / (n ln n)", title=title)
        _plain_ticks(axes.xaxis)
    _plain_ticks(panels[0].yaxis)
    panels[0].set_ylabel(FLOOR)
    figures.legend_below(figure, panels[0], columns=4)
    return figure


def _plain_ticks(axis: Any) -> None:
    low, high = axis.get_view_interval()
    ticks = [tick for tick in (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if low <= tick <= high]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def by_parameters(rows: pd.DataFrame) -> Figure:
    """Floors of six memories against their parameters per fact, in random and in the worst directions."""
    met = _meeting(rows)
    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.7), sharey=True)
    colours = figures.COLOURS | {"buckets": figures.COLOURS["one-hot"]}
    for axes, column in zip(panels, ("random", "worst")):
        for name in (name for name in DRAWN if (met.memory == name).any()):
            by = met[met.memory == name].groupby("width")
            x, floor = by.per_fact.median(), by[column].agg(["min", "median", "max"]).clip(lower=1e-3)
            bars = [floor["median"] - floor["min"], floor["max"] - floor["median"]]
            style: dict[str, Any] = {"color": colours[name], "marker": figures.MARKERS.get(name, "X"), "capsize": 2}
            axes.errorbar(x, floor["median"], yerr=bars, label=NAMES.get(name, name), **style)
        axes.set(xscale="log", yscale="log", xlabel="parameters per fact")
        axes.set_title(f"{column} directions, {_size(rows)}")
        axes.set_xticks(ticks := [5, 10, 20, 50, 100, 200, 500], list(map(str, ticks)))
        axes.set_xticks([], minor=True)
    _plain_ticks(panels[0].yaxis)
    panels[0].set_ylabel(FLOOR)
    figures.legend_below(figure, panels[0])
    return figure


def by_junk(left: pd.DataFrame) -> Figure:
    """What attention leaves against the length of the junk, trained or solved for: mean and worst of the sequences."""
    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.9), sharey=True)
    looks = zip((0.93, 1, 1.07), "os^", ("#B87800", "#0072B2", "#772211"))  # a factor aside: bars would meet
    for ((n, d), rows), (aside, marker, colour) in zip(left.groupby(["n_facts", "d"]), looks):
        for axes, how in zip(panels, ("trained", "solved")):
            part = rows[rows.attention == how]
            for column, dash, filled in (("mean", "-", "full"), ("worst", "--", "none")):
                style = {"color": colour, "marker": marker, "fillstyle": filled, "linestyle": dash}
                style["label"] = f"n = {n:,}, d = {d}, {column}"
                figures.plot_spread(axes, part.assign(run=aside * part.run), "run", column, "trained", **style)
    for axes, title in zip(panels, ("attention trained briefly", "attention solved for")):
        axes.set_xscale("log", base=2)
        axes.set(yscale="log", xlabel="tokens in each run of junk", title=title)
        axes.set_xticks(runs := sorted(left.run.unique()), list(map(str, runs)))
    panels[0].set_ylabel("error of the query / key length")
    figures.legend_below(figure, panels[0])
    return figure

"""What the page on constructed MLPs inside a transformer shows: findings, figures and tables of `factbook.usable`."""

from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from factbook import figures, usable
from factbook.attended import PUBLISHED
from factbook.paraphrase import auc
from factbook.usable_published import PAPERS

TIGHT, CHEAP, BEST = "buckets, fill 1", "block-convex, 12 a fact", "bilinear gates, fill 0.5"
WORST = "SiLU gates, fill 1"


def findings(
    rows: pd.DataFrame, ablated: pd.DataFrame, fair: pd.DataFrame, junk: pd.DataFrame, published: pd.DataFrame
) -> list[str]:
    """The page's sentences, from the tables usable, usable_ablation, usable_training, solved_junk, usable_published."""
    by = rows.groupby("memory")
    recall, per_fact = by.recall.median(), by.n_params.median() / rows.n_facts.iloc[0]
    proved = (by[["solved_certified", "swap_certified"]].min() == 1).all(axis=1)
    through = fair[(fair.setting == "as above") & ~fair.sharpened].through
    more = junk[(junk["keys"] == "sphere") & (junk.junk == 64) & (junk.memory == "tight")]
    gap = (by.recall.median() - by.adaptive_recall.median()).abs().max()
    untied = parts(ablated).loc["untied embeddings and head", "insert-first"]
    put_back = (ablated.variant == "untied embeddings and head") & (ablated.schedule == "insert-first")
    draws = ", ".join(f"{share:.0%}" for share in ablated[put_back].recall.sort_values())
    sharp = rows.sharp_recall.groupby(rows.memory).median()
    theirs = published[published.layout.str.startswith(PAPERS) & (published.lr == PUBLISHED["lr"])]
    theirs = theirs[theirs.schedule == "attention-first"]
    means = theirs.groupby(["d", "layout"])[["recall", "through"]].mean()
    small, wide = (means.loc[d] for d in (theirs.d.min(), theirs.d.max()))
    return [
        "**Attention need not be trained.** Solved for by one convex problem, it hands on the key to within "
        f"{rows.solved_noise.max():.3f}°. {proved.sum()} of {len(proved)} memories then answer *every* sequence, with "
        "either of two maps, and that is proved key by key. So it is with the task's 16 junk tokens: with 64 on the "
        f"sphere the tight memory keeps {more.kept.median():.0%} of the {more.through.median():.0%} that get through.",
        f"**Trained attention lets {through.min():.1%} to {through.max():.1%} of the sequences through, and its noise "
        f"decides which memories can be used.** The tightest memory (full buckets, {per_fact[TIGHT]:.0f} parameters "
        f"per fact) answers {recall[TIGHT]:.0%} right ({by.recall.min()[TIGHT]:.0%} to {by.recall.max()[TIGHT]:.0%}); "
        f"an encoder-decoder with room (bilinear gates, {per_fact[BEST]:.0f} per fact) {recall[BEST]:.1%}, "
        f"block-convex networks {recall[CHEAP]:.1%} at {per_fact[CHEAP]:.0f}.",
        "**Trained as published, attention can use the paper's codes where d leaves it room**: at "
        f"d = {theirs.d.max()} their three layouts answer {wide.recall.min():.1%} to {wide.recall.max():.1%} of the "
        f"sequences (means of {theirs.seed.nunique()} draws, {theirs.n_facts.iloc[0]} facts), at d = {theirs.d.min()} "
        f"at most {small.recall.max():.1%}, of {small.through.max():.1%} that get through.",
        "**Sharpening repairs trained attention without training**: behind it no memory's median is below "
        f"{sharp.min():.1%}; the tightest one's was {recall[TIGHT]:.0%}.",
        "**A constructed MLP is a look-up, not a memory of answers**: swapped for one that stores another map, its "
        f"median recall changes by {100 * gap:.1f} points at most. A transformer whose embeddings learn as "
        f"well, around the memory, recalls {untied['recall']}% ({ablated.n_facts.iloc[0]} facts, "
        f"d = {ablated.d.iloc[0]}: the median of {draws}), and {untied['swapped']}% after a swap.",
    ]


def worst(rows: pd.DataFrame) -> list[str]:
    """Of the memory that attention can use least."""
    steep, recall = (rows.groupby("memory")[column].median() for column in ("lipschitz", "recall"))
    return [
        f"**SiLU gates without room are worst of all** (*{WORST}*: {recall[WORST]:.0%} right). As many equations as "
        f"unknowns leave large weights: a small error of a key grows up to {steep[WORST]:,.0f} times, relative to the "
        f"output, with full buckets {steep[TIGHT]:,.0f} times, with *{BEST}* {steep[BEST]:.0f} times."
    ]


def by_memory(rows: pd.DataFrame) -> pd.DataFrame:
    """The memories that the text reads: cost, medians of recall, and the angle that 95% of the keys take."""
    shown = rows[rows.memory.isin([*usable.READ, WORST])].groupby("memory", sort=False)
    columns = {
        "recall": "trained",
        "adaptive_recall": "swapped",
        "sharp_recall": "sharpened",
        "solved_adaptive": "solved, swapped",
    }
    found = (100 * shown[list(columns)].median()).round(1).rename(columns=columns)
    found.insert(0, "parameters", (shown.n_params.median() / rows.n_facts.iloc[0]).round(0).astype(int))
    found = found.rename(index={TIGHT: f"{TIGHT} (the tightest)"})
    return found.assign(**{"angle [°]": shown.tolerance_5.median().round(1).to_numpy()}).rename_axis("recall [%]")


def proofs(rows: pd.DataFrame) -> pd.DataFrame:
    """Memories that answer a sequence wrongly behind attention that is solved for, or lack a proof: worst draws [%]."""
    columns = {
        "recall_alone": "alone",
        "solved_recall": "recall",
        "solved_certified": "proved",
        "solved_adaptive": "swapped",
        "swap_certified": "proved, swapped",
    }
    worst = rows.groupby("memory", sort=False)[list(columns)].min()
    return (100 * worst[(worst < 1).any(axis=1)]).round(1).rename(columns=columns).rename_axis("worst draw [%]")


def ways(fair: pd.DataFrame) -> pd.DataFrame:
    """What gets through attention under other settings of its training [%], and the angle it leaves."""
    by = fair.groupby(["setting", "sharpened"], sort=False)
    found = (100 * by.through.agg(["median", "min"])).round(1).assign(angle=by.noise_95.median().round(1))
    return (
        found[~found.index.get_level_values("sharpened")]
        .droplevel("sharpened")
        .set_axis(["through [%]", "worst draw", "95% angle [°]"], axis=1)
        .assign(sharpened=found["median"].unstack("sharpened").get(True))
        .fillna("–")
        .rename(index=lambda setting: setting.replace("lr ", "learning rate ").replace("'", "’"))
        .rename_axis("attention")
    )


def prediction(rows: pd.DataFrame) -> pd.DataFrame:
    """How well a number of a memory sorts the usable from the rest: areas under the ROC curve.

    Usable: within 1% of the sequences of what the best memory of the draw keeps.
    """
    best = rows.groupby("seed").recall.transform("max")
    good = torch.tensor((rows.recall >= best - 0.01).to_numpy())
    found = {}
    for name, score in (
        ("angle tolerated / attention’s noise", rows.tolerance_5 / rows.noise_95),
        ("angle certified / attention’s noise", rows.certified_50 / rows.noise_95),
        ("Lipschitz constant (less is better)", -rows.lipschitz),
        ("parameters (more is better)", rows.n_params),
    ):
        scores = torch.tensor(score.to_numpy(), dtype=torch.float64)
        found[name] = auc(scores[good], scores[~good])
    return pd.DataFrame({"area under the ROC curve": found}).round(2)


def parts(rows: pd.DataFrame) -> pd.DataFrame:
    """Recall with one part of the recipe put back, and after a swap: medians in percent."""
    names = {"recall": "recall", "adaptive_recall": "swapped"}
    by = rows.rename(columns=names).groupby(["variant", "schedule"], sort=False)[list(names.values())]
    found = (100 * by.median()).round(0).astype(int).unstack("schedule").swaplevel(axis=1)
    order = [(schedule, name) for schedule in dict.fromkeys(rows.schedule) for name in names.values()]
    return found.loc[list(dict.fromkeys(rows.variant)), order].rename_axis(index="put back", columns=[None, "percent"])


def _method(memory: str) -> str:
    return usable.memories("laptop")[memory][0]


def losses(rows: pd.DataFrame) -> Figure:
    """What each memory loses behind the three attentions, on a logarithmic axis; nothing lost is drawn at 0.05%."""
    names = list(dict.fromkeys(rows.memory))
    figure, axes = plt.subplots(figsize=(8.6, 0.32 * len(names) + 1.6))
    for shift, column, look, label in (
        (-0.22, "recall", "encoder-decoder", "attention trained"),
        (0, "sharp_recall", "ntk", "trained and sharpened"),
        (0.22, "solved_recall", "block-convex", "solved for"),
    ):
        lost = rows.assign(lost=100 * (1 - rows[column]).clip(lower=5e-4), at=rows.memory.map(names.index) + shift)
        by = lost.groupby("at").lost
        middle = by.median()
        style: dict[str, Any] = {
            "color": figures.COLOURS[look],
            "marker": figures.MARKERS[look],
            "label": label,
            "capsize": 2,
        }
        bars = [middle - by.min(), by.max() - middle]
        axes.errorbar(middle, middle.index, xerr=bars, linestyle="", **style)
    axes.set_yticks(range(len(names)), labels=names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="sequences answered wrongly")
    axes.set_xticks(ticks := [0.05, 0.1, 1, 10, 100], ["none", *(f"{tick:g}%" for tick in ticks[1:])])
    axes.minorticks_off()
    figures.legend_below(figure, axes)
    return figure


def tolerance(rows: pd.DataFrame) -> Figure:
    """What is lost behind trained attention against the angle that a memory takes: medians and ranges of both."""
    figure, axes = plt.subplots(figsize=(7.4, 4.4))
    rows = rows.assign(lost=100 * (1 - rows.recall), angle=rows.tolerance_5.clip(lower=0.05))
    for method in dict.fromkeys(rows.memory.map(_method)):
        by = rows[rows.memory.map(_method) == method].groupby("memory", sort=False)[["angle", "lost"]]
        low, middle, high = by.min(), by.median(), by.max()
        bars: dict[str, Any] = {
            f"{axis}err": [middle[c] - low[c], high[c] - middle[c]] for axis, c in (("x", "angle"), ("y", "lost"))
        }
        style: dict[str, Any] = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method]}
        style["label"] = figures.LABELS[method].split(",")[0]
        axes.errorbar(middle.angle, middle.lost, **bars, linestyle="", elinewidth=0.8, **style)
    axes.axvspan(rows.noise_50.min(), rows.noise_95.max(), color="grey", alpha=0.2, label="noise of the sequences")
    axes.set(xscale="log", yscale="log", xlabel="angle that 95% of the keys tolerate [degrees]")
    axes.set(ylabel="sequences answered wrongly [%]")
    axes.set_xticks(ticks := [0.05, 0.1, 1, 10], ["≤ 0.05", *map(str, ticks[1:])])
    axes.set_yticks(ticks := [1, 2, 5, 10, 20, 50, 100], list(map(str, ticks)))
    axes.minorticks_off()
    figures.legend_below(figure, axes)
    return figure


def learning(rows: pd.DataFrame, profile: str) -> Figure:
    """Recall over training steps, as inserted and after a swap."""
    moments = usable.moments(profile)
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.4), sharey=True)
    for axes, column, title in zip(panels, ("recall", "adaptive"), ("as inserted", "after a swap to another map")):
        for place, ((memory, schedule), part) in enumerate(rows.groupby(["memory", "schedule"], sort=False)):
            at = [moment + 0.015 * (place - 2) * moments[-1] for moment in moments]  # bars would lie on each other
            drawn = 100 * part[[f"{column}_{step}" for step in moments]]
            method = "trained" if memory == usable.IN_PLACE else _method(memory)
            style: dict[str, Any] = {"color": figures.COLOURS[method], "marker": figures.MARKERS[method], "capsize": 2}
            style["linestyle"] = "-" if schedule == "attention-first" else "--"
            label = memory if memory == usable.IN_PLACE else f"{memory}, {schedule}"
            bars = [drawn.median() - drawn.min(), drawn.max() - drawn.median()]
            axes.errorbar(at, drawn.median(), yerr=bars, label=label, **style)
        axes.set(title=title, xlabel="training steps")
    panels[0].set_ylabel("recall [% of the sequences]")
    figures.legend_below(figure, panels[0], columns=2)
    return figure

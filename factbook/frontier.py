"""The page on capacity against usability: settings of every construction, their runs, tables, figures and findings."""

from functools import lru_cache, partial
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch.nn.functional import normalize

import factcore as fc
from factbook import figures, geometries, store
from factbook import noise as us
from factbook.attended import attended
from factbook.prose import percent
from factbook.steepness import relative_lipschitz

SIZES = {"smoke": (32, 32), "laptop": (256, 64), "paper": (4096, 512)}  # facts, dimensions
TRAINING: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 100, "batch": 64},
    "laptop": {},
    "paper": {"steps": 8000, "batch": 1280, "lr": 3e-3},
}
USABLE = 0.99  # of the sequences that get through attention
PLAIN = ["bilinear gates", "SiLU gates", "ReLU buckets", "step buckets"]
WHITENED = "whitened to degree t"
LIPSCHITZ = "Lipschitz constant"
ATTENTIONS = {"kept": "trained", "sharp_kept": "trained and sharpened", "solved_kept": "solved for"}
LOOK = {  # what is drawn
    "bilinear gates": ("encoder-decoder", "o"),
    "SiLU gates": ("ntk", "s"),
    "step buckets": ("one-hot", "X"),
    "max-margin": ("max-margin", "D"),
    "block-convex": ("block-convex", "P"),
    "block-convex, noisy copies": ("trained", "^"),
}
Setting = tuple[str, dict[str, Any], float, float | None]  # method, options, noise of copies [degrees], whitening


def series(profile: str) -> dict[str, dict[str, Setting]]:
    """Kind → name of a setting → the setting; whitening is of spiked values, None for spherical ones."""
    n, d = SIZES[profile]
    gated = {"encoder": "random-gates"}
    bilinear = gated | {"gate": "identity"}

    def codes(options: dict[str, Any], fills: tuple[float, ...], lengths: tuple[int, ...]) -> dict[str, Setting]:
        return {
            f"fill {fill}, code {m}": ("encoder-decoder", options | {"fill": fill, "code_dim": m}, 0, None)
            for fill in fills
            for m in lengths
        }

    def widths(method: str, each: tuple[int, ...], degrees: float = 0, **options: Any) -> dict[str, Setting]:
        return {f"{p} a fact": (method, {"width": -(-int(p * n) // (3 * d))} | options, degrees, None) for p in each}

    every: dict[str, dict[str, Setting]] = {
        "bilinear gates": codes(bilinear, (1.0, 0.7, 0.5, 0.35), (5, 6, 8, 12)),
        "SiLU gates": codes(gated, (1.0, 0.5), (6, 12)),
        "ReLU buckets": codes({"gate": "relu"}, (1.0, 0.5), (5, 10)),
        "step buckets": codes({}, (1.0, 0.5), (5, 10)),
        "max-margin": widths("max-margin", (18, 24, 36, 48)),
        "max-margin, ridge 1": widths("max-margin", (18, 24, 36, 48), ridge=1.0),
        "max-margin, noisy copies": widths("max-margin", (48,), 15),
        "block-convex": widths("block-convex", (6, 7, 8, 9, 10, 12, 16)),
        "block-convex, noisy copies": widths("block-convex", (7, 8, 9, 10, 12), 15),
        WHITENED: {
            f"t = {t}": ("encoder-decoder", bilinear | {"fill": 0.5}, 0, t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)
        },
    }
    few = ("bilinear gates", "step buckets", "block-convex", WHITENED)
    return {name: dict(list(every[name].items())[-2:]) for name in few} if profile == "smoke" else every


# --- the runs, one row each -------------------------------------------------------------------------------------------


@lru_cache(maxsize=3)
def _arrived(kind: str, seed: int, profile: str, device: str) -> us.Arrivals:
    """What attention, trained, trained and sharpened, or solved for, hands to the MLP; values play no part in it."""
    n_facts, d = SIZES[profile]
    return us.arrivals(attended(kind, n_facts, d, seed, device, **TRAINING[profile]))


def values_whitened(values: torch.Tensor, t: float, seed: int) -> torch.Tensor:
    """Spiked values of the shape (v, d) of ``values``, whitened to degree t: unit rows along (1 − t) v + t w."""
    raw = geometries.value_geometry("spiked", *values.shape, seed=seed)
    white = normalize(geometries.whiten(raw, ridge=1e-3)[0], dim=1)
    return normalize((1 - t) * raw + t * white, dim=1).to(values)


def placed(kind: str, setting: str, n_facts: int, d: int, seed: int, *, profile: str, device: str) -> dict[str, Any]:
    """One memory behind the attention of its draw: its cost, how calm it is, and what it keeps."""
    method, options, degrees, t = series(profile)[kind][setting]
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    if t is not None:
        facts = fc.FactSet(facts.keys, values_whitened(facts.values, t, seed), facts.targets)
    stored = us.noisy_copies(facts, degrees, 8, seed=seed) if degrees else facts
    mlp = fc.construct(stored, method, seed=seed, strict=False, **options)
    handed, sharp, solved = (_arrived(k, seed, profile, device) for k in ("trained", "sharpened", "solved"))
    tolerance = us.noise_tolerance(mlp, facts)
    right = fc.decode(mlp, handed.inputs, facts.values) == facts.targets[handed.keys]
    return {
        "device": mlp.down.device,
        "n_params": mlp.n_params,
        "recall_alone": fc.recall(mlp, facts),
        "lipschitz": relative_lipschitz(mlp, facts),
        "tolerance_5": float(tolerance.quantile(0.05)),
        "tolerance_50": float(tolerance.median()),
        "through": float(handed.through.double().mean()),
        "recall": float(right.double().mean()),
        "kept": us.kept(mlp, facts, handed),
        "sharp_kept": us.kept(mlp, facts, sharp),
        "sharp_through": float(sharp.through.double().mean()),
        "solved_through": float(solved.through.double().mean()),
        "solved_kept": us.kept(mlp, facts, solved),
    }


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every setting behind the attention of its draw, three draws; with parameters per fact."""
    n, d = SIZES[profile]
    every = series(profile)
    jobs = [
        {"kind": kind, "setting": setting, "n_facts": n, "d": d, "seed": s}
        for s in store.draws(profile, seed)
        for kind in every
        for setting in every[kind]
    ]
    run = partial(placed, profile=profile, device=device)
    return prepared(store.resume(store.results_file("frontier", profile), jobs, run, device=device))


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(per_fact=rows.n_params / rows.n_facts)


# --- what the page shows ----------------------------------------------------------------------------------------------


def findings(rows: pd.DataFrame, proved: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables frontier and usable."""
    rows = prepared(rows)
    costs = cheapest(rows, "kept")
    plain, block, noisy = (costs.loc[kind] for kind in ("plain", "block-convex", "block-convex, noisy copies"))
    exact = cheapest(rows, "solved_kept").loc["plain"].median()
    stored = rows[rows.recall_alone == 1]
    white = rows[rows.kind == WHITENED].groupby("setting")[["per_fact", "kept"]].median()
    raw, whole = white.loc["t = 0.0"], white.loc["t = 1.0"]
    shows = stored.solved_kept.min() < USABLE
    return [
        f"**Behind trained attention tight codes and full buckets {'' if plain.min() > exact else 'do not '}cost "
        f"usability**: the cheapest encoder-decoder that keeps {USABLE:.0%} of what gets through takes "
        f"{_span(plain, '.0f')} parameters per fact, where {exact:.0f} store it.",
        f"**Block-convex networks {'move' if block.max() < plain.min() else 'do not move'} that frontier**: they take "
        f"{_span(block, '.1f')} parameters per fact, {_span(block / plain, '.0%')} of the encoder-decoder's for the "
        f"same draw; with noisy copies of the keys {_span(noisy / plain, '.0%')}.",
        f"**Behind attention that is solved for the trade-off {'shows, too' if shows else 'does not show'}**, with "
        f"this task's 16 junk tokens and a noise of at most {proved.solved_noise.max():.1g}°: of {len(stored)} "
        f"memories that store all their facts, down to the shortest codes, the worst keeps "
        f"{percent(stored.solved_kept.min())}. "
        f"Here the conflict is {'not ' if shows else ''}one with noise.",
        "**Whitening spiked values, behind our codes**, which read them as they are: the unwhitened memory keeps "
        f"{raw.kept:.1%} at {raw.per_fact:.0f} parameters per fact, the wholly whitened one {whole.kept:.1%} at "
        f"{whole.per_fact:.0f}. The paper's codes are whitened below.",
    ]


def cheapest(rows: pd.DataFrame, share: str) -> pd.DataFrame:
    """Parameters per fact of the cheapest usable setting of each kind, a column per draw; all plain kinds are one.

    Runs on whitened values are left out: they store other facts.
    """
    usable = rows[(rows[share] >= USABLE) & (rows.kind != WHITENED)]
    kind = usable.kind.where(~usable.kind.isin(PLAIN), "plain")
    return usable.groupby([kind, "seed"]).per_fact.min().unstack("seed")


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """The cheapest usable setting of each kind behind each attention, as a share of the plain encoder-decoder's."""
    found: dict[str, dict[str, str]] = {}
    for share, attention in ATTENTIONS.items():
        costs = cheapest(rows, share)
        for kind in costs.index:
            if kind == "plain":
                words = _span(costs.loc[kind], ".0f") + " per fact"
            else:
                ratio = costs.loc[kind] / costs.reindex(["plain"]).iloc[0]
                words = _span(ratio, ".0%")
            found.setdefault(str(kind), {})[attention] = words
    order = sorted(found, key=lambda kind: kind != "plain")
    return pd.DataFrame(found).T.loc[order].fillna("–").rename(index={"plain": "plain encoder-decoder"})


def _span(numbers: pd.Series, form: str) -> str:
    ends = [format(end, form) for end in (numbers.min(), numbers.max())]
    return " to ".join(dict.fromkeys(ends))


def ladder(rows: pd.DataFrame) -> pd.DataFrame:
    """Whitening by degrees: cost, Lipschitz constant, the angle taken and what is kept, medians."""
    part = rows[rows.kind == WHITENED]
    found = part.groupby("setting")[["per_fact", "lipschitz", "tolerance_5", "kept"]].median()
    found = found.assign(kept=100 * found.kept).round(1).rename(index=lambda t: f"t\u00a0=\u00a0{float(t[4:]):g}")
    return found.set_axis(["parameters per fact", LIPSCHITZ, "angle taken [°]", "kept [%]"], axis=1).rename_axis(None)


def whitened() -> pd.DataFrame | str:
    """The paper's codes on clustered values, raw and whitened: medians of the draws."""
    rows = store.stored("whitened", "laptop")
    if rows is None:
        return "not run yet: python -m factbook.whitened"
    by = ["geometry", "layout", "values"]
    rows = rows.assign(per_fact=rows.n_params / rows.n, kept=100 * rows.kept, solved_kept=100 * rows.solved_kept)
    columns = {"per_fact": "parameters per fact", "lipschitz": LIPSCHITZ, "tolerance_5": "angle taken [°]"}
    columns |= {"kept": "kept [%]", "solved_kept": "attention solved for [%]"}
    found = rows.groupby(by)[list(columns)].median().round(1).rename(columns=columns)
    if (published := store.stored("whitened_published", "laptop")) is not None:
        kept = (100 * published.groupby(by).kept.median()).round(1)
        found.insert(found.columns.get_loc("kept [%]") + 1, "trained as published [%]", kept)
    return found.rename_axis([None] * 3)


def more_junk() -> pd.DataFrame | str:
    """Attention solved for with more junk and with keys of airports: medians of the draws."""
    rows = store.stored("solved_junk", "laptop")
    if rows is None:
        return "not run yet: python -m factbook.junk"
    by = rows.assign(through=100 * rows.through, kept=100 * rows.kept).groupby(["keys", "junk", "memory"])
    found = by[["through", "noise", "kept"]].median().unstack("memory")
    shown = {"gets through [%]": found.through.tight.round(1), "noise at most [°]": found.noise.tight.map(_angle)}
    shown |= {f"{name} memory keeps [%]": found.kept[name].round(1) for name in ("tight", "roomy")}
    return pd.DataFrame(shown).set_axis([f"{keys}, {tokens}" for keys, tokens in found.index]).rename_axis("keys, junk")


def _angle(degrees: float) -> str:
    """In degrees; a dash for a bound that says nothing."""
    return "–" if degrees >= 180 else "<\u00a00.01" if degrees < 0.01 else f"{degrees:.2f}"


def losses(rows: pd.DataFrame) -> Figure:
    """What memories lose behind trained attention, against their cost and against the angle they take."""
    figure, panels = plt.subplots(1, 2, figsize=(8.2, 4.8), sharey=True)
    rows = rows.assign(lost=100 * (1 - rows.kept).clip(lower=2e-3), tolerance_5=rows.tolerance_5.clip(lower=0.1))
    for axes, column, filled in zip(panels, ("per_fact", "tolerance_5"), ("full", "none")):  # right they crowd
        for kind, (colour, marker) in LOOK.items():
            by = rows[rows.kind == kind].groupby("setting", sort=False)[[column, "lost"]]
            low, middle, high = by.min(), by.median(), by.max()
            bars: dict[str, Any] = {
                f"{at}err": [middle[c] - low[c], high[c] - middle[c]] for at, c in (("x", column), ("y", "lost"))
            }
            style: dict[str, Any] = {
                "color": figures.COLOURS[colour],
                "marker": marker,
                "linestyle": "",
                "elinewidth": 0.7,
                "fillstyle": filled,
            }
            if len(middle):
                axes.errorbar(middle[column], middle.lost, **bars, label=kind, **style)
        axes.axhline(100 * (1 - USABLE), color="grey", linestyle=":")
        axes.set(xscale="log", yscale="log")
    panels[0].set(xlabel="parameters per fact", ylabel="lost of what gets through attention [%]")
    panels[1].set(xlabel="angle that 95% of the keys tolerate [degrees]")
    panels[0].set_xticks(ticks := [5, 10, 20, 50, 100], list(map(str, ticks)))
    panels[1].set_xticks([0.1, 0.3, 1, 3, 10], ["≤ 0.1", "0.3", "1", "3", "10"])
    shares = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    panels[0].set_yticks(shares, ["≤ 0.2", *(f"{share:g}" for share in shares[1:])])
    for axes in panels:
        axes.minorticks_off()
    place: dict[str, Any] = {"transform": panels[1].get_yaxis_transform(), "va": "top", "fontsize": 9}
    panels[1].text(0.01, 100 * (1 - USABLE) - 0.03, "usable below the line", color="#595959", **place)
    figures.legend_below(figure, panels[0])
    return figure

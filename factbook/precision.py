"""Rounded weights: how many bits a weight needs before facts are lost (parameters × bits), and the page on it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

import factcore as fc
from factbook import figures, store
from factbook.prose import percent, span
from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.scoring import recall

SCHEMES = ("fp32", "bf16", "fp16", "fp8", "int8", "int6", "int5", "int4", "int3", "int2")
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FP8_LARGEST = 448.0  # of torch.float8_e4m3fn
SCALE_BITS = 32  # a row's scale and a bias stay float32 in 'fp8' and the whole numbers


class Quantised(NamedTuple):
    """An MLP whose weights hold rounded numbers in the dtype that it had, and the bits that those numbers take."""

    mlp: GatedMLP
    bits: int  # all weights, with the scales of their rows
    bits_per_weight: float  # bits / n_params


def quantise(mlp: GatedMLP, scheme: str) -> Quantised:
    """Round every weight of ``mlp`` to ``scheme`` and back: the arithmetic keeps its dtype, the numbers do not.

    'fp32', 'bf16', 'fp16': a cast. 'fp8' (e4m3): a cast after each row was scaled to the format's largest number.
    'int2' … 'int16': the multiples q·s of a row's scale s = max|w| / (2^(b−1) − 1), q a whole number, so an error of at
    most s/2. Rows are those of the (h, d) and (d, h) matrices; their scales and the biases stay float32 and count
    32 bits each. ValueError for another scheme and for a weight that 'fp16' cannot hold.
    """
    bits, rounded = scheme_bits(scheme), {}
    total = 0
    for name, weight in mlp.named_parameters():
        if scheme in FLOATS:
            rounded[name] = weight.to(FLOATS[scheme]).to(weight.dtype)
            total += bits * weight.numel()
            if not torch.isfinite(rounded[name]).all():
                raise ValueError(f"{name} has entries up to {float(weight.abs().max()):.1e}, too large for {scheme!r}")
        elif weight.ndim == 1:
            rounded[name] = weight.float().to(weight.dtype)
            total += SCALE_BITS * weight.numel()
        else:
            rounded[name] = round_rows(weight, scheme)
            total += bits * weight.numel() + SCALE_BITS * len(weight)
    new = GatedMLP(
        rounded["gate_weight"],
        rounded.get("up"),
        rounded["down"],
        gate=mlp.gate,
        gate_bias=rounded.get("gate_bias"),
        n_solved=mlp.n_solved,
    )
    return Quantised(new, total, total / mlp.n_params)


def round_rows(weight: Tensor, scheme: str) -> Tensor:
    """``weight`` (rows, columns) in 'fp8' or 'int2' … 'int16' with one float32 scale per row, as its own dtype."""
    bits = scheme_bits(scheme)
    levels = FP8_LARGEST if scheme == "fp8" else 2.0 ** (bits - 1) - 1
    scale = (weight.abs().amax(dim=1, keepdim=True).double() / levels).float().double()
    scale = torch.where(scale > 0, scale, 1.0)  # a row of zeros stays one
    units = weight.double() / scale
    if scheme == "fp8":
        # The float32 scale may lie an ulp low, and the cast has no infinity to go to.
        units = units.clamp(-levels, levels).float().to(torch.float8_e4m3fn).double()
    else:
        units = units.round().clamp(-levels, levels)
    return (units * scale).to(weight.dtype)


def scheme_bits(scheme: str) -> int:
    """Bits of one number in ``scheme``; ValueError for a name that is none of `SCHEMES` or int2 … int16."""
    if scheme in SCHEMES or re.fullmatch("int([2-9]|1[0-6])", str(scheme)):
        return int(re.sub(r"\D", "", scheme))
    raise ValueError(f"scheme must be one of {list(SCHEMES)} or int7, got {scheme!r}")


def precision_rows(mlp: GatedMLP, facts: FactSet, schemes: Iterable[str] = SCHEMES) -> list[dict[str, Any]]:
    """Per scheme a dict of scheme, bits_per_weight, bits_per_fact and recall, NaN where a weight is too large."""
    rows: list[dict[str, Any]] = []
    for scheme in schemes:
        scheme_bits(scheme)
        row: dict[str, Any] = {"scheme": scheme, "bits_per_weight": math.nan, "bits_per_fact": math.nan}
        try:
            done = quantise(mlp, scheme)
        except ValueError:  # overflow; the name was checked above
            rows.append(row | {"recall": math.nan})
            continue
        row["bits_per_weight"] = done.bits_per_weight
        row["bits_per_fact"] = mlp.n_params * done.bits_per_weight / len(facts)
        rows.append(row | {"recall": recall(done.mlp, facts)})
    return rows


# --- the page's runs, one row each ------------------------------------------------------------------------------------

SIZES = {"smoke": (32, 12), "laptop": (256, 32), "paper": (4096, 128)}  # n = v, d
ROOMS = (1, 1.25, 2)  # times the smallest width
FULL, LOOSE = "encoder-decoder", "encoder-decoder, 0.8 full"
COARSE_FIRST = SCHEMES[::-1]
WHOLE_NUMBERS = sum(scheme.startswith("int") for scheme in SCHEMES)


def methods(profile: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The memories by their labels: construct's name and options."""
    every: dict[str, tuple[str, dict[str, Any]]] = {
        "one-hot": ("one-hot", {}),
        "hebbian": ("hebbian", {}),
        "data-dependent": ("hebbian", {"variant": "data-dependent"}),
        FULL: (FULL, {}),
        LOOSE: (FULL, {"fill": 0.8}),
        "max-margin": ("max-margin", {}),
        "block-convex": ("block-convex", {}),
        "trained": ("trained", {"steps": {"smoke": 100, "laptop": 500, "paper": 4000}[profile]}),
    }
    return {m: every[m] for m in ("one-hot", "hebbian", FULL, "trained")} if profile == "smoke" else every


@cache
def _smallest(method: str, n: int, d: int, seed: int, profile: str, device: str) -> int:
    """Fewest hidden units at 100% recall on spherical facts, one attempt per width."""
    name, options = methods(profile)[method]
    facts = fc.spherical_facts(n, d, seed=seed).to(device)
    return fc.smallest_width(facts, name, seed=seed, tries=1, resolution=0.05, **options).width


def rounded_recall(method: str, room: float, n: int, d: int, seed: int, *, profile: str, device: str) -> dict[str, Any]:
    """Recall and bits per fact in every format, for a network of ``room`` times the smallest width."""
    name, options = methods(profile)[method]
    facts = fc.spherical_facts(n, d, seed=seed).to(device)
    width = math.ceil(room * _smallest(method, n, d, seed, profile, device))
    mlp = fc.construct(facts, name, width=width, seed=seed, strict=False, **options)  # losing facts is a result here
    row: dict[str, Any] = {"width": mlp.width, "per_fact": mlp.n_params / n, "device": mlp.down.device}
    for result in precision_rows(mlp, facts, COARSE_FIRST):
        row[f"recall_{result['scheme']}"] = result["recall"]
        row[f"bits_{result['scheme']}"] = result["bits_per_fact"]
    return row


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Every method at every width in every format, three draws; with the fewest bits at 100% recall."""
    n, d = SIZES[profile]
    jobs = [
        {"method": m, "room": room, "n": n, "d": d, "seed": s}
        for s in store.draws(profile, seed)
        for m in methods(profile)
        for room in ((1,) if m == "one-hot" else ROOMS)
    ]
    run = partial(rounded_recall, profile=profile, device=device)
    return prepared(store.resume(store.results_file("precision", profile), jobs, run, device=device))


def prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """With the fewest bits per fact at which no fact is lost, and the format that has them."""
    kept = [[(row[f"bits_{s}"], s) for s in COARSE_FIRST if row[f"recall_{s}"] == 1] for _, row in rows.iterrows()]
    fewest = [min(formats) if formats else (math.nan, "none") for formats in kept]
    return rows.assign(bits=[bits for bits, _ in fewest], scheme=[scheme for _, scheme in fewest])


# --- what the page shows ----------------------------------------------------------------------------------------------


def findings(rows: pd.DataFrame) -> list[str]:
    """The page's sentences, from the table precision."""
    rows = prepared(rows)
    best, floor = fewest(rows), math.log2(rows.n.iloc[0])
    full, wide = (best.loc[_label(method)] for method in (FULL, "one-hot"))
    cheap = rows[rows.room == 1].groupby("method").per_fact.median()
    roomy, several = best.index[best["width"] != "1 ×"], (rows.groupby("method").room.nunique() > 1).sum()
    return [
        f"**Fewest parameters is not fewest bits.** The encoder-decoder has {cheap[FULL] / cheap['one-hot']:.0%} of "
        f"the parameters of one-hot memories and takes {full['bits']} bits against {wide['bits']}: it needs "
        f"{full['formats']} weights, where one-hot memories do with {wide['formats']}.",
        f"**The cheapest network takes {best['bits'].iloc[0]} bits per fact**: {best.index[0]}, "
        f"{best['bits'].iloc[0] / floor:.1f} times the floor of {floor:.0f} bits. No network is below the floor; the "
        f"dearest ({best.index[-1]}) takes {best['bits'].iloc[-1]}.",
        f"**Room seldom saves bits**: {len(roomy)} of the {several} methods that were given room take fewest bits in a "
        f"network wider than the smallest{': ' * bool(len(roomy))}{', '.join(roomy)}.",
    ]


def _label(method: str) -> str:
    return figures.LABELS[method.split(",")[0]] + (", 0.8 full" if method == LOOSE else "")


def fewest(rows: pd.DataFrame) -> pd.DataFrame:
    """Per method the width that takes fewest bits per fact (median over the draws), cheapest first."""
    by = rows.groupby(["method", "room"], sort=False).agg(
        bits=("bits", "median"),
        low=("bits", "min"),
        high=("bits", "max"),
        each=("per_fact", "median"),
        formats=("scheme", lambda c: "/".join(s for s in (*COARSE_FIRST, "none") if (c == s).any())),
    )
    best = by.loc[by.bits.dropna().groupby("method").idxmin()].sort_values("bits")
    found = {
        "bits": best.bits.round(0).astype(int),
        "of three draws": [span(f"{low:.0f}", f"{high:.0f}") for low, high in zip(best.low, best.high)],
        "formats": best.formats,
        "width": [f"{room:g} ×" for room in best.index.get_level_values("room")],
        "parameters": best.each.round(1),
    }
    return pd.DataFrame(found).droplevel("room").rename(index=_label).rename_axis(None)


def losses(rows: pd.DataFrame) -> Figure:
    """Facts lost at the smallest width in every format, medians; a cell is empty where no draw loses a fact."""
    tight = rows[rows.room == 1].groupby("method")[[f"recall_{s}" for s in COARSE_FIRST]]
    lost, most = 100 * (1 - tight.median()), 100 * (1 - tight.min())
    order = lost.mean(axis=1).sort_values().index
    lost, most = lost.loc[order].to_numpy(), most.loc[order].to_numpy()
    figure, axes = plt.subplots(figsize=(8.4, 0.42 * len(order) + 0.9))
    shade = np.where(most > 0, np.maximum(lost, 0.1), np.nan)
    axes.pcolormesh(shade, cmap="Blues", norm=LogNorm(0.05, 200), edgecolor="white", linewidth=2)
    for (row, column), share in np.ndenumerate(lost):
        if most[row, column] > 0:
            colour = "white" if share > 20 else "black"
            axes.text(column + 0.5, row + 0.5, percent(share / 100), color=colour, ha="center", va="center", fontsize=9)
    axes.axvline(WHOLE_NUMBERS, color="grey", linewidth=1)
    axes.set_xticks([k + 0.5 for k in range(len(COARSE_FIRST))], COARSE_FIRST)
    axes.set_yticks([k + 0.5 for k in range(len(order))], [_label(method) for method in order])
    axes.set(xlabel="format of the weights: whole numbers left, floats right")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.invert_yaxis()
    return figure


def bits(rows: pd.DataFrame) -> Figure:
    """Fewest bits per fact of every method at its three widths, each mark named by its formats, above the floor."""
    names = list(dict.fromkeys(rows.method))
    figure, axes = plt.subplots(figsize=(8.4, 0.55 * len(names) + 1.2))
    for (method, room), part in rows.groupby(["method", "room"], sort=False):
        kept = part.bits.dropna()
        if kept.empty:
            continue
        y = names.index(method) + (0 if method == "one-hot" else dict(zip(ROOMS, (-0.27, 0, 0.27)))[room])
        bars = [[kept.median() - kept.min()], [kept.max() - kept.median()]]
        base = method.split(",")[0]
        style: dict[str, Any] = {"color": figures.COLOURS[base], "marker": figures.MARKERS[base], "markersize": 4.5}
        axes.errorbar(kept.median(), y, xerr=bars, capsize=2, **style)
        words = f"{room:g} ×: " + "/".join(s for s in COARSE_FIRST if (part.scheme == s).any())
        words += f", {len(part) - len(kept)} lose facts" * (len(kept) < len(part))
        axes.annotate(words, (kept.max(), y), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
    floor = math.log2(rows.n.iloc[0])
    axes.axvline(floor, color=figures.COLOURS["floor"], linestyle="--")
    axes.text(floor * 1.05, len(names) - 0.7, "log₂ v", color="#595959", fontsize=9)
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set(xscale="log", xlim=(floor * 0.85, 5 * rows.bits.max()), xlabel="bits per fact, nothing lost")
    axes.set_xticks(ticks := [10, 20, 50, 100, 200, 500, 1000], list(map(str, ticks)))
    axes.minorticks_off()
    axes.invert_yaxis()
    return figure

"""The figures of the challenge's page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from factbook import figures
from factbook.challenge.study import FITS, LABELS, PUBLISHED, fit, largest

SIZES = (16, 32, 64, 128, 256)
LOOKS = {  # colour and marker of each rung
    "one": ("#0072B2", "o"),
    "several": ("#D55E00", "s"),
    "trained": ("#000000", "^"),
    "random": ("#CC79A7", "v"),
}
GREY = "#6B6B6B"  # what is published


def idea(net: tuple[Tensor, Tensor, Tensor]) -> Figure:
    """Which units a token of one position opens, the free numbers of the other's, and the parabola that reads codes."""
    gating, free = sorted(net[:2], key=lambda table: -int((table < 0).sum()))  # the first group's: most entries shut
    group = int((gating < 0).any(0).sum())
    figure, axes = plt.subplots(1, 3, figsize=(9.8, 3.6), width_ratios=(1, 1.2, 1.5))
    signs = "".join("+−"[j % 2] for j in range(group))
    axes[0].imshow(
        gating[:, :group] >= 0, aspect="auto", cmap=ListedColormap(["#E4E4E4", "#0072B2"]), interpolation="none"
    )
    axes[0].set(title="open (blue) or shut", ylabel="token that opens and shuts")
    lifted = axes[1].imshow(free[:, :group], aspect="auto", cmap="viridis", interpolation="none")
    axes[1].set(title="free numbers, lifted", ylabel="token that carries them")
    figure.colorbar(lifted, ax=axes[1], label="free number, lifted")
    for ax in axes[:2]:
        ax.set_xticks(range(group), list(signs))
        ax.set_xlabel("unit of the first group, by its sign")
        ax.grid(False)
    line = torch.linspace(-2.5, 2.5, 200)
    for place in range(-2, 3):
        (drawn,) = axes[2].plot(line, place * line - place**2 / 2)
        end = 2.6 if place >= 0 else -2.6  # where no other line ends
        style: dict[str, Any] = {"ha": "left" if end > 0 else "right", "va": "center", "color": drawn.get_color()}
        axes[2].text(end, place * end - place**2 / 2, f"p = {place}".replace("-", "−"), fontsize=9, **style)
    axes[2].plot(line, line.square() / 2, ":", color=GREY, label="parabola c²/2")
    axes[2].legend(loc="upper center", fontsize=9, handlelength=1.2)
    axes[2].set(xlabel="code c: signed sum of open units", ylabel="logit pc − p²/2", title="the nearest place wins")
    axes[2].set(xlim=(-4.6, 4.6), ylim=(-6, 3.8))
    return figure


def capacities(table: pd.DataFrame) -> Figure:
    """Facts per d² against d with every label right, and with nine of ten: published fits and trainings, our rungs."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.8), sharey=True)
    wide = np.geomspace(SIZES[0], SIZES[-1], 50)
    for ax, recall, title in zip(axes, (1.0, 0.9), ("every label right", "nine labels of ten right")):
        ends = []
        for kind, style in zip(FITS[recall], ("-", "--", ":")):
            share = [fit(kind, d, recall) / d**2 for d in wide]
            ax.plot(wide, share, style, color=GREY, linewidth=1.2)
            ends.append((wide[-1], share[-1], f"{kind} (published fit)", GREY))
        d, n = (np.array(column) for column in zip(*PUBLISHED[recall].items()))
        ax.plot(d, n / d**2, "x", color=GREY, markersize=7)
        ends.append((d[-1], n[-1] / d[-1] ** 2, "best training (published)", GREY))
        best = largest(table, recall)
        for rung, (colour, marker) in LOOKS.items():
            some = best[best.rung == rung]
            shares = (some.n_facts / some.d**2).groupby(some.d)
            middle = shares.median()
            bars = [middle - shares.min(), shares.max() - middle]
            ax.errorbar(middle.index, middle, yerr=bars, color=colour, marker=marker, capsize=3)
            ends += [(middle.index[-1], middle.iloc[-1], LABELS[rung], colour)] if len(middle) else []
        ax.set(xscale="log", yscale="log", xlabel="d, hidden units (5d² weights)", title=title)
        ax.set_xticks(SIZES, labels=[str(size) for size in SIZES])
        ax.set_yticks((0.03, 0.1, 0.3, 1, 2, 3), labels=["0.03", "0.1", "0.3", "1", "2", "3"])
        ax.minorticks_off()
    axes[0].set(ylabel="facts stored / d²")
    figures.label_ends(axes[1], ends)
    return figure


def weights(nets: dict[str, tuple[Tensor, ...]], tokens: Tensor) -> Figure:
    """Entries of E₁ of several networks, and the share of units that are open over the facts."""
    figure, axes = plt.subplots(1, len(nets), figsize=(9, 2.8))
    for ax, (name, net) in zip(axes, nets.items()):
        ax.hist(net[0][:, :-1].flatten().cpu().numpy(), bins=40, color=LOOKS["one"][0])
        hidden = net[0][tokens[:, 0]] + net[1][tokens[:, 1]]  # tokens of the CPU index on any device
        ax.set(title=f"{name}\n{float((hidden > 0).double().mean()):.0%} open", xlabel="entry of E₁")
    axes[0].set(ylabel="count of entries")
    return figure


def bits(fewest: pd.DataFrame) -> Figure:
    """Bits per fact against d at the coarsest rounding that keeps every fact, beside the log₂ d bits of a label."""
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    ends = []
    for rung in ("one", "several"):
        some, (colour, marker) = fewest[fewest.rung == rung], LOOKS[rung]
        ax.plot(some.d, some.bits_per_fact, color=colour, marker=marker)
        for _, row in some.iterrows():
            spot: dict[str, Any] = {"xytext": (5, -12), "textcoords": "offset points"}  # no line falls
            ax.annotate(row.scheme, (row.d, row.bits_per_fact), **spot, fontsize=8, color=colour)
        ends += [(some.d.iloc[-1], some.bits_per_fact.iloc[-1], LABELS[rung], colour)] if len(some) else []
    sizes = sorted(fewest.d.unique())
    ax.plot(sizes, np.log2(sizes), "--", color=GREY)
    ax.set(xscale="log", xlabel="dimension d", ylabel="bits per fact")
    ax.set_ylim(0, 1.15 * fewest.bits_per_fact.max())
    ax.set_xticks(sizes, labels=[str(size) for size in sizes])
    ax.minorticks_off()
    figures.label_ends(ax, [*ends, (sizes[-1], np.log2(sizes[-1]), "log₂ d, a label", GREY)])
    return figure

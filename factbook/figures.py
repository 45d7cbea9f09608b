"""One look for every figure: a colour, a marker and a name per method, the same in the whole book."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colour, marker and name. Okabe and Ito's palette and three more. tests/book/test_figures.py holds what meets in one
# figure apart, in every kind of colour vision, and names colours that are free; markers tell it apart without any.
LOOKS = {
    "encoder-decoder": ("#0072B2", "o", "encoder-decoder"),
    "ntk": ("#E69F00", "s", "NTK (Nichani et al.)"),
    "trained": ("#D55E00", "^", "trained"),
    "one-hot": ("#000000", "X", "one-hot"),
    "hebbian": ("#56B4E9", "v", "Hebbian, whitened"),
    "data-dependent": ("#772211", "<", "Hebbian, data-dependent"),
    "max-margin": ("#CC79A7", "D", "max-margin (convex)"),
    "block-convex": ("#009E73", "P", "block-convex, 5 solves"),
    "paper-codes": ("#332288", "p", "encoder-decoder, the paper's codes"),
    "pairs": ("#9933FF", "*", "pairs of tokens"),
    "block-convex-2": ("#77AA55", "h", "block-convex, 2 solves"),
}
CODE_LOOKS = {
    "projected": ("#CC79A7", "D", "projected codes (the paper's)"),
    "random": ("#0072B2", "o", "separator codes, random D"),
    "equal-norms": ("#E69F00", "s", "separator codes, equal norms"),
    "optimised": ("#009E73", "^", "separator codes, optimised D"),
}
OTHER_LOOKS = {
    "separators": ("#0072B2", "o", "separator codes"),
    "floor": ("#7F7F7F", "", "n log₂(v) bits at 2 bits a parameter"),  # a dashed line
}
COLOURS, MARKERS, LABELS = (
    {name: look[part] for name, look in (LOOKS | CODE_LOOKS | OTHER_LOOKS).items()} for part in range(3)
)
# families of value embeddings (factcore.data)
GEOMETRY_COLOURS = {
    "sphere": "#000000",
    "gaussian": "#555555",
    "spiked": "#D55E00",
    "clusters": "#0072B2",
    "low-rank": "#CC79A7",
    "norms": "#E69F00",
    "power-law": "#56B4E9",
    "airports": "#009E73",
    "tokens": "#772211",
    "mlp-inputs": "#9933FF",
    "mlp-outputs": "#332288",
}
GEOMETRY_MARKERS = dict(zip(GEOMETRY_COLOURS, "os^DvPX*h><"))
GAP = 0.062  # of the axes' height, between two labels
# shorter, for tables and sentences on the papers' axis
NAMES = LABELS | {
    "paper-codes": "the paper's codes",
    "paper-random-gates": "the paper's codes, random gates",
    "ntk": "NTK",
    "ntk-relu": "NTK, ReLU gates",
    "block-convex": "block-convex",
    "max-margin": "max-margin",
}


def use_style() -> None:
    """Set matplotlib's defaults for the book: readable sizes, light grid, no top and right spines."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7, 4.2),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "font.size": 10.5,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "lines.markersize": 5.5,
        }
    )


def plot_spread(ax: Axes, table: pd.DataFrame, x: str, y: str, method: str, **style) -> None:
    """Median of ``y`` over the seeds at each ``x`` as a line with markers, smallest to largest as error bars."""
    grouped = table.groupby(x)[y]
    middle = grouped.median()
    bars = [middle - grouped.min(), grouped.max() - middle]
    look: dict[str, Any] = {"color": COLOURS[method], "marker": MARKERS[method], "label": LABELS[method]}
    look |= {"capsize": 3} | style
    ax.errorbar(middle.index, middle, yerr=bars, **look)


def legend_below(figure: Figure, ax: Axes, columns: int = 3) -> None:
    """One legend for the whole figure, under it."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=10)


def label_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names to the right of the axes, each beside the end (x, y) of its line and no two on top of each other.

    In dark grey: several colours are too pale for letters of this size. The leader carries the colour.
    """
    height = ax.transAxes.inverted().transform(ax.transData.transform([(x, y) for x, y, *_ in ends]))[:, 1]
    places, last = {}, -np.inf
    for at in np.argsort(height):
        places[at] = last = max(height[at], last + GAP)
    shift = max(0.0, last - 1)
    for at, place in places.items():
        x, y, name, colour = ends[at]
        line: dict[str, Any] = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4}
        line |= {"relpos": (0, 0.5)}  # it ends where the name begins
        spot: dict[str, Any] = {"xy": (x, y), "xytext": (1.07, place - shift), "textcoords": "axes fraction"}
        ax.annotate(name, **spot, color="#333333", fontsize=9.5, va="center", arrowprops=line)

"""One look for every figure: a colour, a marker and a name per method, the same in the whole book."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with any colour vision, on white and on the book's dark background.
COLOURS = {
    "encoder-decoder": "#0072B2",
    "ntk": "#E69F00",
    "trained": "#D55E00",
    "floor": "#7F7F7F",
    "separators": "#0072B2",
    "projected": "#CC79A7",
    "random": "#0072B2",
    "aimed": "#E69F00",
    "optimised": "#009E73",
}
MARKERS = {"encoder-decoder": "o", "ntk": "s", "trained": "^", "separators": "o", "projected": "D"}
MARKERS |= {"random": "o", "aimed": "s", "optimised": "^"}
# families of value embeddings (factcore.geometries)
GEOMETRY_COLOURS = {
    "sphere": "#000000",
    "gaussian": "#7F7F7F",
    "spiked": "#D55E00",
    "clusters": "#0072B2",
    "low-rank": "#CC79A7",
    "norms": "#E69F00",
    "power-law": "#56B4E9",
    "airports": "#009E73",
    "tokens": "#8C564B",
    "mlp-inputs": "#A8A800",
    "mlp-outputs": "#5B3E96",
}
GEOMETRY_MARKERS = dict(zip(GEOMETRY_COLOURS, "os^DvPX*h><"))
LABELS = {
    "encoder-decoder": "encoder-decoder (constructed)",
    "ntk": "NTK (Nichani et al.)",
    "trained": "trained (Adam)",
    "floor": "n log₂(v) bits at 2 bits a parameter",
    "separators": "separator codes",
    "projected": "projected codes (the paper's)",
    "random": "separator codes, random D",
    "aimed": "separator codes, aimed D",
    "optimised": "separator codes, optimised D",
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

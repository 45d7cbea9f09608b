"""Write the still picture of the geometry to turn by hand: python scripts/explore_fallback.py OUT.svg."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from factbook.figures import use_style
from factcore.geometry import decodability

VERTEX, INSIDE = "#0072B2", "#D55E00"  # as in book/_static/explore.css


def geometries(n: int = 10, beta: float = 3.0, seed: int = 3) -> dict[str, Tensor]:
    """Four sets of values in the plane (n, 2), by name: the page's geometries, from a torch generator."""
    angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    generator = torch.Generator().manual_seed(seed)
    gauss = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    along = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    circle = torch.nn.functional.normalize(gauss)
    spike = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    return {
        "evenly spread": torch.stack([angle.cos(), angle.sin()], 1),
        "uniform on the circle": circle,
        f"spiked, β = {beta:g}": torch.nn.functional.normalize(circle + beta * along * spike),
        "Gaussian": gauss,
    }


def panel(ax: Axes, name: str, values: Tensor) -> None:
    """Values (v, 2) with an arrow along the separator of every hull vertex; rho in the title."""
    result = decodability(values, tol=1e-9)
    corner = torch.ones(len(values), dtype=torch.bool)
    corner[result.inside] = False
    middle = (values.amin(0) + values.amax(0)) / 2
    scale = float((values - middle).norm(dim=1).max())
    arrows = scale * (0.1 + 0.3 * result.lower[corner, None]) * result.separators[corner]
    look = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "color": VERTEX, "alpha": 0.7}
    ax.quiver(*values[corner].T.numpy(), *arrows.T.numpy(), **look)
    ax.plot(*values[corner].T.numpy(), "o", color=VERTEX, label="corner of the hull")
    ax.plot(*values[~corner].T.numpy(), "D", color=INSIDE, mfc="white", label="inside: cannot be stored")
    ax.set_title(f"{name}: ρ = {result.rho:.3f}", fontsize=10.5)
    low, high = (middle - 1.4 * scale).tolist(), (middle + 1.4 * scale).tolist()
    ax.set(aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.axis("off")


def picture() -> bytes:
    """The four panels as SVG, the same bytes at every call; text stays text."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "explore"}):
        use_style()
        figure = Figure(figsize=(7, 7.4), layout="constrained")
        axes = figure.subplots(2, 2).ravel()
        for ax, (name, values) in zip(axes, geometries().items(), strict=True):
            panel(ax, name, values)
        figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(picture())

"""How long certified decodability takes: seconds against the number of values and their dimension, and two peers.

The peers stand in results/laptop/decodability_benchmark.csv: ``python benchmarks/decodability.py --parts large peers
growth`` measured them in one go, on one machine.
"""

import time
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.figure import Figure
from torch import Tensor

import factcore as fc
from factbook import figures, fit, store
from factbook.prose import power_of_ten

SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"v": [48, 96, 192], "d": [8, 16, 32], "at": {"v": 96, "d": 16}},
    "laptop": {"v": [256, 512, 1024, 2048], "d": [32, 64, 128, 256], "at": {"v": 1024, "d": 64}},
    "paper": {"v": [1024, 2048, 4096, 8192, 16384], "d": [32, 64, 128, 256, 512], "at": {"v": 4096, "d": 128}},
}
OURS = "factcore tol=1e-06"
INTERIOR = "clarabel, 32 values scaled up"
SOLVERS = {
    OURS: "ours",
    "factcore tol=1e-09": "ours, to a gap of 10⁻⁹",
    "factcore tol=1e-06 only_min": "ours, ρ alone",
    "admm": "ADMM, 300 iterations",
    INTERIOR: "interior point",
}


def unit_vectors(v: int, d: int, seed: int = 0) -> Tensor:
    """v random unit vectors (v, d): float64 normals from the torch generator, rows normalised."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(v, d, generator=generator, dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def solve_time(v: int, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """Seconds of one solution (read back, so that a GPU has finished), ρ and the largest gap."""
    values = unit_vectors(v, d, seed).to(device)
    begun = time.perf_counter()
    result = fc.decodability(values)
    rho = result.rho
    seconds = round(time.perf_counter() - begun, 5)
    return {"rho": rho, "gap": result.gap, "solve": seconds, "device": result.separators.device}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """`solve_time` of three draws a size."""
    size = SIZES[profile]
    grid = {(v, size["at"]["d"]) for v in size["v"]} | {(size["at"]["v"], d) for d in size["d"]}
    jobs = [{"v": v, "d": d, "seed": s} for v, d in sorted(grid) for s in range(seed, seed + 3)]
    run = partial(solve_time, device=device)
    run(64, 8, seed)  # the first call loads libraries
    return store.resume(store.results_file("solver", profile), jobs, run, device=device)


def larger() -> pd.DataFrame | Markdown:
    """What ``make paper`` has run: more values than this page solves for, with seconds and device."""
    if (rows := store.stored("solver")) is None:
        return Markdown("More values, on a GPU: not run yet (`make paper DEVICE=cuda`).")
    rows = rows.sort_values(["v", "d", "seed"])
    found = {"values": rows.v.map("{:,}".format), "d": rows.d, "wall time": rows.solve.map(_seconds)}
    found |= {"ρ": rows.rho.map("{:.4f}".format), "largest gap": rows.gap.map(power_of_ten), "device": rows.device}
    return pd.DataFrame(found).set_index("values").rename_axis(None)


def growth(rows: pd.DataFrame, profile: str, axis: str) -> tuple[pd.DataFrame, fit.PowerLaw]:
    """The runs along one axis, v or d, and the power law of their seconds."""
    other = {"v": "d", "d": "v"}[axis]
    kept = rows[rows[other] == SIZES[profile]["at"][other]]
    return kept, fit.power_law(kept, axis, "solve")


def benchmark() -> pd.DataFrame:
    """The stored benchmark beside two other solvers."""
    return store.committed("decodability_benchmark")


def peers() -> pd.DataFrame:
    """The solvers on the same values: processor seconds, times ours, and the largest gap of its bounds."""
    rows = benchmark()
    rows = rows[rows.part == "peers"].set_index("solver").loc[list(SOLVERS)]
    found = {"processor seconds": rows.cpu_s.map("{:.2f}".format), "times ours": rows.cpu_s / rows.cpu_s[OURS]}
    found["times ours"] = found["times ours"].map(lambda times: f"{times:.2g}" if times < 10 else f"{times:.0f}")
    found["largest gap"] = rows.largest_gap.map(lambda gap: f"{gap:.1f}" if gap > 0.1 else power_of_ten(gap))
    return pd.DataFrame(found).rename(index=SOLVERS).rename_axis(index=None)


def findings(rows: pd.DataFrame, measured: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables solver and decodability_benchmark."""
    at = SIZES["laptop"]["at"]
    typical = rows[(rows.v == at["v"]) & (rows.d == at["d"])]
    peers = measured[measured.part == "peers"].set_index("solver")
    times = peers.cpu_s / peers.cpu_s[OURS]
    large = measured[measured.part == "large"].sort_values("v").iloc[-1]
    laws = {axis: growth(rows, "laptop", axis)[1] for axis in ("v", "d")}
    powers = {axis: f"{law.exponent:.2f} [{law.low:.2f},\u00a0{law.high:.2f}]" for axis, law in laws.items()}
    return [
        f"**Certified in {_seconds(typical.solve.median())}.** So long take {at['v']:,} values in *d* = {at['d']} "
        f"({typical.device.iloc[0].replace('cpu x', 'processor cores: ')}; median of three draws), with every gap "
        f"between the two bounds at most {power_of_ten(rows.gap.max())}.",
        f"**Two other solvers take longer.** On the same values ADMM, of our own making and as general a method as "
        f"the published code uses, takes {times['admm']:.0f} times as long, with gaps up to "
        f"{power_of_ten(peers.largest_gap['admm'])}; an interior-point solver, called value by value, "
        f"{times[INTERIOR]:.0f} times (processor seconds), with gaps up to "
        f"{power_of_ten(peers.largest_gap[INTERIOR])}.",
        f"**Memory stays small.** {large.v:,} values in *d* = {large.d} take {_seconds(large.cpu_s)} of processor "
        f"time and {large.peak_gb:.2f} GiB for the whole process; the differences of all pairs would fill "
        f"{large.v**2 * large.d * 8 / 2**30:,.0f} GiB.",
        f"**Time grows as** *v* to the power {powers['v']} and *d* to the power {powers['d']} in this range (95% "
        "intervals).",
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def drawn_bounds(corners: Tensor, separator: Tensor) -> Figure:
    """The last of four points in the plane with its separator, and the hull of its unit differences."""
    z = corners[3] - corners[:3]
    z = z / z.norm(dim=1, keepdim=True)
    nearest = (z[1] + z[2]) / 2
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.9))
    arrow: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "zorder": 3}
    blue, orange, red = (figures.COLOURS[name] for name in ("separators", "ntk", "trained"))
    for ax, points, letter in ((left, corners, "v"), (right, z, "z")):
        ax.plot(*points.T, "o", color="grey")
        for j, (x, y) in enumerate(points.tolist()):
            ax.annotate(f"${letter}_{j}$", (x, y), (6, -14 if letter == "v" else 4), textcoords="offset points")
        ax.set(xlabel="first coordinate (no unit)", ylabel="second coordinate (no unit)", aspect="equal")
    left.quiver(*corners[3], *separator, color=blue, **arrow)
    end = (corners[3] + separator).tolist()
    left.annotate("separator of $v_3$", end, (0, 6), textcoords="offset points", color=blue, ha="center")
    left.set(title="values", xlim=(-0.5, 5.2), ylim=(-0.8, 5))
    right.add_patch(plt.Circle((0, 0), 1, fill=False, color="lightgrey"))
    right.fill(*z.T, color=orange, alpha=0.3)
    right.annotate("hull of the $z_j$", (0.78, 0.45), (1.0, 0.5), color="#8A5A00", arrowprops={"arrowstyle": "-"})
    right.set(title="unit differences of $v_3$", xlim=(-0.6, 1.6), ylim=(-0.3, 1.35))
    right.quiver(0, 0, *separator, color=blue, **arrow)
    right.annotate("separator $u$", separator.tolist(), (2, 8), textcoords="offset points", color=blue)
    right.plot([0, nearest[0]], [0, nearest[1]], color=red, linewidth=3, zorder=4)
    right.annotate("$\\|p\\| = \\rho_3$", (nearest / 2).tolist(), (8, -12), textcoords="offset points", color=red)
    return figure


def drawn_growth(rows: pd.DataFrame, profile: str) -> Figure:
    """Seconds against v and against d: medians of three draws with their range, and the fitted power law."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
    for ax, (axis, other) in zip(axes, (("v", "d"), ("d", "v"))):
        kept, law = growth(rows, profile, axis)
        figures.plot_spread(ax, kept, axis, "solve", "separators", linestyle="none", label=None)
        sizes = sorted(kept[axis].unique())
        ax.plot(sizes, law(np.array(sizes)), color=figures.COLOURS["separators"], linewidth=1)
        words = f"${axis}^{{{law.exponent:.2f}}}$"
        ax.annotate(words, (sizes[-2], law(sizes[-2])), (-8, 8), textcoords="offset points", ha="right", fontsize=12)
        ax.set(xscale="log", yscale="log", title=f"{other} = {SIZES[profile]['at'][other]:,}")
        ax.set_xlabel({"v": "number of values v", "d": "dimension d"}[axis])
        ax.set_xticks(sizes, labels=[f"{size:,}" for size in sizes])
        ax.xaxis.set_minor_locator(ticker.NullLocator())
    axes[0].set_ylabel("wall time [s]")
    return figure

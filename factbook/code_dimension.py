"""The page on the length of codes: the sets of values, their shortest codes, the law's fits, figure and findings."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import factcore as fc
from factbook import figures, store
from factbook.geometries import value_geometry
from factcore.constructions.decoder import choose_codes, projection_basis
from factcore.constructions.projection import short_projection
from factcore.support.streams import stream

KINDS = ["projected", "random", "equal-norms", "optimised"]
SPHERE = {  # pairs v, d of values on the sphere
    "smoke": [(64, 48), (128, 48)],
    "laptop": [(v, d) for d in (32, 64, 128) for v in (128, 256, 512)] + [(1024, 64)],
    "paper": [(v, d) for d in (64, 128, 256) for v in (256, 512, 1024, 2048, 4096)],
}
OTHERS = {"smoke": (64, 48), "laptop": (256, 128), "paper": (1024, 256)}  # v, d of the other geometries
GEOMETRIES = ["spiked 2", "tokens", "spiked 1", "spiked 4", "spiked 8", "clusters 0.5", "clusters 0.25"]
GEOMETRIES += ["power-law 1", "airports", "mlp-outputs"]
NAMES = dict(zip(KINDS, ["projected", "random D", "equal norms", "optimised D"]))  # in tables, which are narrow
FITS = 0.5  # the share of the variance from which on a law is said to describe the length
INTERVAL = [0.025, 0.975]


def lengths(geometry: str, v: int, d: int, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Decodability of the values and the smallest code dimension of each kind."""
    name, *strength = geometry.split()
    values = value_geometry(name, v, d, seed=seed, strength=float(strength[0]) if strength else None).to(device)
    everything = torch.arange(v, device=values.device)
    basis = projection_basis(d, stream(seed, "projection")).to(values)  # else its columns would be the first values
    projected = choose_codes(fc.FactSet(values, values, everything), "projected", None, seed)
    found = {kind: short_projection(values, everything, basis, kind) for kind in KINDS[1:]}
    rho_left = fc.decodability(values @ found["optimised"], tol=1e-3).rho
    return {
        "rho": fc.decodability(values, tol=1e-4).rho,
        "projected": projected.codes.shape[1],
        **{kind: projection.shape[1] for kind, projection in found.items()},
        "rho_optimised": rho_left,
        "device": projected.codes.device,
    }


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """All sets of values, three draws each."""
    others = GEOMETRIES[:2] if profile == "smoke" else GEOMETRIES
    sets = [("sphere", *pair) for pair in SPHERE[profile]] + [(name, *OTHERS[profile]) for name in others]
    jobs = [{"geometry": geometry, "v": v, "d": d, "seed": s} for geometry, v, d in sets for s in range(seed, seed + 3)]
    run = partial(lengths, device=device)
    return store.resume(store.results_file("code_dimension", profile), jobs, run, device=device)


# --- the law ----------------------------------------------------------------------------------------------------------


def bound(rows: pd.DataFrame) -> pd.Series:
    """The argument of the bound, ln(v) / ρ²."""
    return np.log(rows.v) / rows.rho**2


def short(rows: pd.DataFrame, kind: str, most: float = 0.5) -> pd.DataFrame:
    """Draws whose codes of this kind have at most this share of d: near m = d nothing is projected away."""
    return rows[rows[kind] <= most * rows.d]


def fits(rows: pd.DataFrame, kind: str, draws: int = 1000, most: float = 0.5) -> dict[str, Any]:
    """Constant and R² of the law, exponents and R² of the free fit, with bootstrap intervals over whole cells.

    Of the draws that `short` keeps; ``most=1`` keeps all.
    """
    rows = short(rows, kind, most).reset_index(drop=True)
    y = np.log(rows[kind].to_numpy(dtype=float))
    terms = np.stack([np.ones(len(rows)), -np.log(rows.rho), np.log(np.log(rows.v))], axis=1)
    cells = list(rows.groupby(["geometry", "v", "d"]).indices.values())
    rng = np.random.default_rng(0)
    drawn = [np.arange(len(rows))]
    drawn += [np.concatenate([cells[i] for i in rng.integers(len(cells), size=len(cells))]) for _ in range(draws)]
    shift = y - terms @ [0, 2, 1]
    constants = np.exp([shift[at].mean() for at in drawn])
    free = np.array([np.linalg.lstsq(terms[at], y[at])[0] for at in drawn])
    found: dict[str, Any] = {"sets": len(rows), "law_r2": _explained(y, shift - shift.mean())}
    found["free_r2"] = _explained(y, y - terms @ free[0])
    for name, values in (("c", constants), ("a", free[:, 1]), ("b", free[:, 2])):
        found |= {name: float(values[0]), f"{name}_95": tuple(np.quantile(values, INTERVAL))}
    return found


def _explained(y: np.ndarray, error: np.ndarray) -> float:
    """R²: the share of the variance that is explained."""
    return float(1 - (error**2).sum() / ((y - y.mean()) ** 2).sum())


def laws(rows: pd.DataFrame) -> pd.DataFrame:
    """The law and the free fit of every kind: constants and exponents with their 95% intervals, R² of both."""
    found = {}
    for kind in (kind for kind in KINDS if len(short(rows, kind))):
        law = fits(rows, kind)
        row = {name: f"{law[name]:.2f} [{law[f'{name}_95'][0]:.2f}, {law[f'{name}_95'][1]:.2f}]" for name in "cab"}
        row |= {"R² of the law": f"{law['law_r2']:.2f}", "R² of the free fit": f"{law['free_r2']:.2f}"}
        found[NAMES[kind]] = {name: words.replace("-", "−") for name, words in row.items()}
    order = ["c", "R² of the law", "a", "b", "R² of the free fit"]
    return pd.DataFrame(found).T[order]


def of_the_papers_codes(rows: pd.DataFrame) -> str:
    """What the law with one constant says of the projected codes, without the long ones and with them."""
    kept = short(rows, "projected")
    part, every = (fits(rows, "projected", draws=1, most=most) for most in (0.5, 1.0))
    return (
        f"Over the {len(kept)} draws with m ≤ d/2 ({kept.geometry.nunique()} geometries) it "
        f"{against_a_constant(part['law_r2'])}; over all {len(rows)} draws R² is {every['law_r2']:.2f}. The exponent "
        f"of ρ is {-part['a']:.2f} or, with all, {-every['a']:.2f}, instead of −2."
    ).replace("-", "−")


# --- what the page shows ----------------------------------------------------------------------------------------------


def findings(rows: pd.DataFrame) -> list[str]:
    """The page's sentences, from the table code_dimension."""
    law = {kind: fits(rows, kind) for kind in KINDS}
    most = np.ceil(100 * (rows.projected / bound(rows)).max()) / 100
    ratio = (rows.projected / rows.optimised).groupby(rows.geometry).median()
    explained = [law[kind]["law_r2"] for kind in KINDS]
    words = "no decoder" if max(explained) < FITS else "not every decoder"
    return [
        "**As an upper bound the paper's statement holds with a small constant**: no set of values needs projected "
        f"codes longer than {most:.2f} ρ⁻² ln v.",
        f"**As a law of the length it describes {words}.** One constant is fitted to the paper's own codes. "
        f"{of_the_papers_codes(rows)} For three sharper decoders (below) the law's R² is "
        + f"{min(explained[1:]):.2f} to {max(explained[1:]):.2f}.".replace("-", "−"),
        f"**Sharper decoders need shorter codes**: the paper's are {ratio.min():.1f} to {ratio.max():.1f} times as "
        "long as those of the sharpest, whose projection is *optimised* for the values (median per geometry). What is "
        "paid is margin.",
    ]


def against_a_constant(r2: float) -> str:
    """What R² of ln m says of a law, in words: at 0 one length for all sets of values does as well."""
    worse = f"describes the lengths {'no better' if r2 > -0.005 else 'worse'} than one length for all would"
    words = worse if r2 < 0.005 else f"explains {r2:.0%} of the variance of ln m"
    return f"{words} (R² {r2:.2f})".replace("-", "−")


def examples(rows: pd.DataFrame) -> pd.DataFrame:
    """Lengths (rows) of the sets that the text reads (columns): one number of values, medians over the draws."""
    v = OTHERS["laptop"][0] if (rows.v == OTHERS["laptop"][0]).any() else rows.v.min()
    part = rows[(rows.v == v) & rows.geometry.isin(["sphere", "tokens", "spiked 8"])]
    by = part.groupby(["geometry", "d"], sort=False)
    found = by[KINDS].median().astype(int).rename(columns=NAMES)
    found.insert(0, "ρ", by.rho.median().map("{:.2f}".format))
    found = found.assign(**{"ρ left": by.rho_optimised.median().map("{:.3f}".format)})
    return found.set_index(found.index.map("{0[0]}, d = {0[1]}".format)).astype(object).T


def figure(rows: pd.DataFrame) -> Figure:
    """Lengths against the bound's argument, with the law of slope one, and against the number of values."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.6))
    on_sphere = rows[rows.geometry == "sphere"]
    middle = int(on_sphere.d.median())
    for kind in KINDS:
        _against_bound(left, rows, kind)
        figures.plot_spread(right, on_sphere[on_sphere.d == middle], "v", kind, kind)
    left.set(xscale="log", yscale="log", ylim=(2, 1.4 * rows[KINDS].max().max()), title="all sets of values")
    left.set(xlabel="ln(v) / ρ²", ylabel="smallest code dimension m")
    left.set_xticks(ticks := [10, 20, 50, 100], list(map(str, ticks)))
    left.set_yticks(ticks := [2, 5, 10, 20, 50, 100], list(map(str, ticks)))
    left.minorticks_off()
    right.set_xscale("log", base=2)
    right.set_xticks(counts := sorted(on_sphere[on_sphere.d == middle].v.unique()), [f"{count:,}" for count in counts])
    right.set(xlabel="values v", ylim=(0, None), title=f"sphere, d = {middle}")
    figures.legend_below(figure, right, columns=2)
    return figure


def _against_bound(axes: Axes, rows: pd.DataFrame, kind: str) -> None:
    """Medians and ranges of the sets of one kind, hollow where m > d/2, and the law fitted to the others.

    Marks of the kinds stand a little side by side, so that equal lengths are seen.
    """
    aside = 1.04 ** (KINDS.index(kind) - 1.5)
    rows = rows.assign(bound=bound(rows), short=rows[kind] <= rows.d / 2)
    by = rows.groupby(["geometry", "v", "d"])
    low, middle, high = (getattr(by[["bound", kind]], name)() for name in ("min", "median", "max"))
    look: dict[str, Any] = {
        "color": figures.COLOURS[kind],
        "marker": figures.MARKERS[kind],
        "linestyle": "",
        "elinewidth": 0.7,
    }
    for within, filled in ((by.short.all(), "full"), (~by.short.all(), "none")):
        bars = [(middle - low)[within][kind], (high - middle)[within][kind]]
        axes.errorbar(
            aside * middle[within].bound, middle[within][kind], yerr=bars, fillstyle=filled, alpha=0.8, **look
        )
    fitted = rows[rows.short]
    x = np.array([rows.bound.min(), rows.bound.max()])
    axes.plot(x, np.exp(np.log(fitted[kind] / fitted.bound).mean()) * x, color=figures.COLOURS[kind], linewidth=1)

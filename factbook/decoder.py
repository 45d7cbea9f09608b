"""The page on the decoder: which share of values decodes through a random D, by the length of their codes."""

from functools import partial
from typing import Any

import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import factcore as fc
from factbook import code_dimension, figures, store
from factbook.prose import percent
from factcore.constructions.decoder import projected_codes, projection_basis, separator_codes
from factcore.scoring import normalised_margins

SIZES = {"smoke": {"v": 64, "d": 32}, "laptop": {"v": 1024, "d": 64}, "paper": {"v": 4096, "d": 128}}
LENGTHS = {
    "smoke": [4, 8, 12, 16, 24],
    "laptop": [8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 56],
    "paper": [8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80],
}


def decode_share(codes: str, m: int, v: int, d: int, seed: int, *, device: str) -> dict[str, Any]:
    """Share of values that decode through a random D with m columns, and ρ of the projected values."""
    values = fc.spherical_facts(v, d, seed=seed, dtype=torch.float64).values.to(device)
    projection = projection_basis(d, torch.Generator().manual_seed(seed)).to(values)[:, :m]
    if codes == "separators":
        chosen = separator_codes(values, projection)
    else:
        chosen = projected_codes(values, projection, fc.decodability(values, tol=1e-3).separators)
    everything = torch.arange(v, device=values.device)
    share = (normalised_margins(chosen.codes, everything, values @ projection) > 0).double().mean()
    return {"recall": float(share), "smallest_margin": float(chosen.margins.min()), "device": chosen.codes.device}


def table(profile: str, seed: int, device: str) -> pd.DataFrame:
    """Both kinds of codes at every length, three draws of values."""
    jobs = [
        {"codes": codes, "m": m, **SIZES[profile], "seed": s}
        for codes in ("separators", "projected")
        for m in LENGTHS[profile]
        for s in range(seed, seed + 3)
    ]
    run = partial(decode_share, device=device)
    return store.resume(store.results_file("decoder", profile), jobs, run, device=device)


def first_whole(rows: pd.DataFrame) -> dict[str, int]:
    """Per kind of code the smallest m of the grid at which every value decodes, for every seed."""
    worst = rows.groupby(["codes", "m"]).recall.min()
    return {kind: int(worst[kind][worst[kind] == 1].index.min()) for kind in ("separators", "projected")}


def findings(rows: pd.DataFrame, lengths: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables decoder and code_dimension."""
    first, (v, d) = first_whole(rows), rows[["v", "d"]].iloc[0]
    paper = store.stored("decoder", "paper")
    larger = ""
    if paper is not None:
        at = first_whole(paper)
        larger = (
            f" At v = {paper.v.iloc[0]:,} and d = {paper.d.iloc[0]} it is {at['separators']} and {at['projected']}."
        )
    sphere = lengths[(lengths.geometry == "sphere") & (lengths.v == v) & (lengths.d == d)]
    even, long = sphere["equal-norms"].median(), sphere.projected.median()
    law = max(code_dimension.fits(lengths, "projected", draws=1, most=most)["law_r2"] for most in (0.5, 1.0))
    return [
        f"**The best codes for a projection are shorter than projected ones.** {v:,} values on the sphere in {d} "
        f"dimensions all decode, in every draw, from m = {first['separators']} on with separator codes, from "
        f"{first['projected']} on with the paper's (of the lengths tried here).{larger}",
        f"**A projection fitted to the values is shorter still**: with equal norms m = {even:.0f} (median of three "
        f"draws, every m tried), where the shortest projected codes have {long:.0f} (likewise). A fact "
        f"costs 3m: {1 - even / long:.0%} less.",
        f"**ρ⁻² log v is a bound on the paper's codes, {'not' if law < code_dimension.FITS else 'and'} the "
        f"law of their length.** One constant is fitted. {code_dimension.of_the_papers_codes(lengths)}",
    ]


def written(rows: pd.DataFrame) -> pd.DataFrame:
    """The smallest of the draws, up to the length at which all codes decode."""
    rows = rows[rows.m <= max(first_whole(rows).values())]
    share = rows.pivot_table(index="m", columns="codes", values="recall", aggfunc="min").map(percent)
    left = rows[rows.codes == "separators"].groupby("m").smallest_margin.min().map("{:.3f}".format)
    names = {kind: f"{kind.removesuffix('s')} codes decode" for kind in share.columns}
    shown = share.rename(columns=names).assign(**{"ρ left": left})
    return shown.rename_axis(index="code dimension m", columns=None)


def figure(rows: pd.DataFrame, rho: float, paper: pd.DataFrame | None) -> Figure:
    """Left the share of values that decode against m, right ρ of the projected values below ``rho`` of the values."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    for stored, dash in ((rows, "-"), (paper, ":")):
        if stored is None:
            continue
        size = f"v = {stored.v.iloc[0]:,}, d = {stored.d.iloc[0]}"
        for kind, words in (("separators", "separator"), ("projected", "projected")):
            part = stored[stored.codes == kind].assign(percent=100 * stored.recall)
            figures.plot_spread(left, part, "m", "percent", kind, linestyle=dash, label=f"{words} codes, {size}")
    left.set(xlabel="code dimension m", ylabel="values decoded [%]", xlim=(None, 1.05 * rows.m.max()))
    left.set_title("how many values decode")
    part = rows[rows.codes == "separators"]
    figures.plot_spread(right, part, "m", "smallest_margin", "separators", label="ρ of the projected values")
    right.axhline(rho, color="grey", linestyle="--")
    right.annotate("ρ of the values themselves", (part.m.min(), rho), (0, -5), textcoords="offset points", va="top")
    right.set(xlabel="code dimension m", ylabel="decodability ρ of the projected values")
    right.set_title(f"what is left to tell them apart, v = {rows.v.iloc[0]:,}")
    figures.legend_below(drawn, left, columns=2)
    return drawn

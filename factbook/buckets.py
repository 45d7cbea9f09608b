"""The study of the encoder's page: how exact buckets are, and gradient steps to the same codes."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

import factcore as fc
from factbook import store
from factbook.gradient_encoder import gradient_encoder_decoder
from factbook.prose import power_of_ten
from factcore.constructions.encoder import Buckets, Encoder, encode_with_buckets

COLOURS = {"float64": "#0072B2", "float32": "#D55E00"}
PARTS = {"first_quarter": "o", "last_quarter": "s"}
SIZES = {"smoke": [256, 512], "laptop": [1024, 4096, 16384], "paper": [4096, 16384, 65536]}
PLACES = {  # (n, d) of the comparison with gradient steps
    "smoke": [(32, 16)],
    "laptop": [(64, 16), (64, 32), (128, 32), (256, 32)],
    "paper": [(256, 64), (512, 64), (1024, 64), (2048, 64)],
}


def example(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Keys (n, d), off their sphere to be seen better, and even codes (n,) in a drawn order."""
    lengths, places = (torch.linspace(low, high, n, dtype=torch.float64) for low, high in ((0.6, 1.4), (-1, 1)))
    keys = fc.spherical_facts(n, d, seed=seed, dtype=torch.float64).keys * lengths[:, None]
    return keys, places[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]


def error_jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    d = 32 if profile == "smoke" else 64
    return [
        {"n_facts": n, "d": d, "dtype": dtype, "seed": s}
        for n in SIZES[profile]
        for dtype in COLOURS
        for s in range(seed, seed + 3)
    ]


def errors(n_facts: int, d: int, dtype: str, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Error of codes of norm 1, in the first and the last quarter of the buckets (medians), weights in ``dtype``."""
    facts = fc.spherical_facts(n_facts, d, seed=seed, dtype=torch.float64).to(device)
    codes = normalize(facts.values[:, :8], dim=1)
    layer = encode_with_buckets(facts.keys, codes, torch.Generator().manual_seed(seed), fill=0.9)
    assert layer.gate_bias is not None
    real = getattr(torch, dtype)
    keys = facts.keys.to(real)
    gates = (keys @ layer.gate_weight.to(real).T + layer.gate_bias.to(real) > 0).to(real)
    hidden = gates * (keys @ layer.up.to(real).T)
    out = torch.zeros(n_facts, 8, dtype=real, device=keys.device).index_add_(1, layer.coordinate, hidden)
    error = (out - codes).norm(dim=1)[gates.sum(dim=1).argsort()]  # along the direction: few open gates first
    quarter = n_facts // 4
    first, last = float(error[:quarter].median()), float(error[-quarter:].median())
    return {"first_quarter": first, "last_quarter": last, "device": error.device}


def both_jobs(profile: str, seed: int) -> list[dict[str, Any]]:
    return [{"n_facts": n, "d": d, "seed": s} for n, d in PLACES[profile] for s in range(seed, seed + 3)]


def both(n_facts: int, d: int, seed: int, *, device: str = "cpu") -> dict[str, Any]:
    """Parameters of the closed form and, at the same code length, of a trained encoder, the first of four to store."""
    facts = fc.spherical_facts(n_facts, d, seed=seed).to(device)
    closed = fc.smallest_width(facts, seed=seed, tries=1)
    m = closed.width // -(-n_facts // d)
    found: dict[str, Any] = {"code_dim": m, "closed": closed.n_params, "gradient": float("nan"), "fill": float("nan")}
    for fill in (1.0, 0.8, 0.65, 0.5):
        mlp = gradient_encoder_decoder(facts, m, fill=fill, seed=seed)
        found["device"] = mlp.down.device
        if len(mlp.lost) == 0:
            return found | {"gradient": mlp.n_params, "fill": fill}
    return found


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Medians of `both` per size: code length, parameters per fact either way, equations per unknown by gradient."""
    columns = {
        ("", "code length"): rows.code_dim,
        ("parameters per fact", "closed form"): rows.closed / rows.n_facts,
        ("parameters per fact", "by gradient"): rows.gradient / rows.n_facts,
        ("", "ratio"): rows.gradient / rows.closed,
        ("", "unknowns used"): rows.fill,
    }
    shown = pd.DataFrame(columns).groupby([rows.d, rows.n_facts]).median()
    shown = shown.set_index(shown.index.map("{0[1]} facts, d = {0[0]}".format))
    spelled = dict(zip(columns, ["{:g}", "{:.1f}", "{:.1f}", "{:.2f}", "{:.0%}"]))
    return pd.DataFrame({name: shown[name].map(words.format) for name, words in spelled.items()})


def findings(table: pd.DataFrame, trained: pd.DataFrame) -> list[str]:
    """The page's sentences, from the tables of `errors` and `both`."""
    largest = table.groupby("dtype")[list(PARTS)].max().max(axis=1)
    grown = table.groupby(["dtype", "n_facts"]).last_quarter.median().groupby("dtype").agg(["first", "last"])
    times = grown["last"] / grown["first"]
    growth = (table.last_quarter / table.first_quarter).groupby(table.n_facts).median()
    stored = trained.dropna(subset="gradient")
    ratio = (stored.gradient / stored.closed).groupby([stored.d, stored.n_facts]).median()
    far, near = growth.index[-1], growth.index[0]
    paper = store.stored("encoder", "paper")
    larger = ""
    if paper is not None and paper.n_facts.max() > far:
        most = paper[paper.n_facts == paper.n_facts.max()].groupby("dtype")[list(PARTS)].median().max(axis=1)
        larger = (
            f" In the run at paper scale, {paper.n_facts.max():,} facts, it comes to {power_of_ten(most['float64'])} "
            f"and {power_of_ten(most['float32'])}."
        )
    return [
        f"The codes are met to rounding: with up to {table.n_facts.max():,} facts their median error stays below "
        f"{ceiling(largest['float64'])} in float64 and {ceiling(largest['float32'])} in float32, "
        f"codes having norm 1.{larger}",
        f"Errors grow as rounding does in a longer sum and do not compound: {far / near:.0f} times as many facts have "
        f"at most {times.max():.1f} times the error, and the last quarter of the buckets is "
        f"{growth[near]:.1f} times as far off as the first with {near:,} facts, {growth[far]:.1f} times with {far:,}.",
        f"Gradient steps find an encoder for the same codes with {ratio.min():.2f} to {ratio.max():.2f} of the "
        f"parameters (medians of a size; {len(stored)} of {len(trained)} runs store all), without its exactness.",
    ]


def ceiling(error: float) -> str:
    """The power of ten above it."""
    return power_of_ten(10.0 ** (int(np.floor(np.log10(error))) + 1))


def picture(keys: Tensor, codes: Tensor, buckets: Buckets, encoder: Encoder, outputs: np.ndarray) -> Figure:
    """Left keys in the plane and the cuts between buckets, right each key's code (n,) and the encoder's output (n,)."""
    member = np.repeat(np.arange(len(buckets.starts) - 1), np.diff(buckets.starts))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4))
    direction, order = buckets.direction.numpy(), buckets.order.numpy()
    colours = plt.get_cmap("viridis")(0.75 * member / member.max())  # its last quarter, yellow, is pale on white
    left.scatter(*keys.numpy()[order].T, c=colours, s=45, zorder=3)
    across = np.array([-direction[1], direction[0]])
    cuts = [float(low + high) / 2 for low, high in zip(buckets.below, buckets.above)]
    for cut in cuts:
        left.plot(*np.stack([cut * direction - 2 * across, cut * direction + 2 * across]).T, color="grey", linewidth=1)
        right.axvline(cut, color="grey", linewidth=1)
    left.annotate("", xy=1.2 * direction, xytext=(0, 0), arrowprops={"arrowstyle": "->"})
    left.text(*(0.6 * direction + 0.12 * np.abs(across)), "r", ha="center", va="center", fontstyle="italic")
    left.set(
        xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", title="keys, buckets and cuts", xlabel="x₁", ylabel="x₂"
    )
    scores = (keys @ buckets.direction).numpy()[order]
    right.scatter(scores, codes.numpy()[order], c=colours, marker="x", s=60, label="code wanted")
    right.scatter(scores, outputs[order], facecolors="none", edgecolors=colours, s=120, label="encoder's output")
    right.set(xlabel="⟨r, key⟩", ylabel="code (m = 1)", title="every key gets its code")
    right.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.16))
    return figure


def error_figure(table: pd.DataFrame) -> Figure:
    """Median error of a code against n, per dtype and end of the buckets; bars over the seeds."""
    figure, ax = plt.subplots()
    for dtype, colour in COLOURS.items():
        for part, marker in PARTS.items():
            grouped = table[table.dtype == dtype].groupby("n_facts")[part]
            middle = grouped.median()
            bars = [middle - grouped.min(), grouped.max() - middle]
            label = f"{dtype}, {part.replace('_', ' ')} of the buckets"
            ax.errorbar(middle.index, middle, yerr=bars, marker=marker, color=colour, capsize=3, label=label)
    ax.set(xscale="log", yscale="log", xlabel="facts n", ylabel="median error of a code (codes have norm 1)")
    sizes = sorted(table.n_facts.unique())
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.legend(fontsize=9)
    return figure

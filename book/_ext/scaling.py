"""The methods to switch on and off: the capacity tables, one series per method, as JSON inside the page."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
import pandas as pd

from factbook import figures
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]


def panels(results: Path = ROOT / "results") -> list[dict]:
    """Per profile with a committed table: its title, its floor and its methods, dearest first at the largest n."""
    found = []
    for profile in ("laptop", "paper"):
        path = results / profile / "capacity.csv"
        if path.is_file():
            found.append(panel(read_table(path), profile))
    return found


def panel(table: pd.DataFrame, profile: str) -> dict:
    """The sizes at the d with most of them: a point is n and the smallest, median and largest count over the seeds."""
    table = table.dropna(subset="n_params")
    d = int(table.groupby("d").n_facts.nunique().idxmax())
    grouped = table[table.d == d].groupby(["rung", "n_facts"]).n_params
    cost = grouped.agg(["min", "median", "max", "size"]).astype(float)
    methods = []
    for rung, rows in cost.groupby(level="rung"):
        points = [[int(n), *row] for (_, n), row in zip(rows.index, rows.to_numpy().tolist())]
        look = {"label": figures.LABELS.get(rung, rung), "colour": figures.COLOURS.get(rung, "#7F7F7F")}
        methods.append({"key": rung, **look, "marker": figures.MARKERS.get(rung, "o"), "points": points})
    methods.sort(key=lambda m: -m["points"][-1][2] / m["points"][-1][0])
    sizes = sorted({n for method in methods for n, *_ in method["points"]})
    floor = [[n, n * np.log2(n) / 2] for n in sizes]
    return {
        "title": f"{profile} profile, d = {d}",
        "floor": floor,
        "floorLabel": figures.LABELS["floor"],
        "methods": methods,
    }


def markdown(results: Path = ROOT / "results") -> str:
    """The place of the figure with its data, and the same numbers as a table per profile."""
    data = json.dumps(panels(results), separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    lines = [
        "```{raw} html",
        '<link rel="stylesheet" href="../_static/scaling.css">',
        f'<script type="application/json" id="scaling-data">{data}</script>',
        '<noscript><img src="../_static/headline.png" width="100%" alt="Parameters needed against number of facts: the',
        'same without switches."></noscript>',
        "<div data-scaling></div>",
        '<script src="../_static/scaling.js"></script>',
        "```",
        "",
        ":::{dropdown} The numbers of this figure",
    ]
    for shown in panels(results):
        lines += [f"Median parameters per fact, {html.escape(shown['title'])}:", "", *table(shown), ""]
    return "\n".join([*lines, ":::"])


def table(shown: dict) -> list[str]:
    sizes = [n for n, _ in shown["floor"]]
    lines = ["| Method | " + " | ".join(f"n = {n:,}" for n in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    for method in shown["methods"]:
        per_fact = {n: f"{middle / n:.1f}" for n, _, middle, *_ in method["points"]}
        lines.append(f"| {method['label']} | " + " | ".join(per_fact.get(n, "–") for n in sizes) + " |")
    floor = [f"{parameters / n:.1f}" for n, parameters in shown["floor"]]
    return [*lines, f"| {shown['floorLabel']} | " + " | ".join(floor) + " |"]

"""A note beside a page's title: what the papers ran, what its tables hold, at which commits, and how to go on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from factbook.provenance import at_commits
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
SCALES = ROOT / "book" / "parts" / "scales.md"
TABLES = "https://github.com/factcore/factcore/blob/main/results/laptop"
AXES = {"n": ("n_facts", "n"), "v": ("v", "n_values"), "d": ("d",)}  # symbol: columns that hold it


def pages() -> dict[str, tuple[str, list[str]]]:
    """Page → the papers' scale and the names of its tables."""
    lines = [line.strip("| \n").split(" | ") for line in SCALES.read_text().splitlines()[2:]]
    return {page: (papers, names.split(", ")) for page, papers, names in lines}


def span(numbers: pd.Series) -> str:
    least, most = int(numbers.min()), int(numbers.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def extent(table: pd.DataFrame) -> str:
    """Sizes and draws of a table in words, with its commits."""
    columns = {symbol: next((c for c in names if c in table), None) for symbol, names in AXES.items()}
    sizes = [f"{symbol} = {span(table[column])}" for symbol, column in columns.items() if column]
    draws = table.seed.nunique() if "seed" in table else 1
    return ", ".join([*sizes, f"{draws} draw{'s' * (draws > 1)}", at_commits(table.commit.astype(str))])


def noted(document: str, text: str, results: Path = ROOT / "results" / "laptop") -> str:
    """The text of a page, its note after the cell that begins with the title."""
    name = document.removeprefix("notebooks/")
    if not text.startswith("# ") or document == name or name not in (known := pages()):
        return text
    papers, tables = known[name]
    lines = [f"**The papers**: {papers}.", ""]
    for table in tables:
        path = results / f"{table}.csv"
        told = extent(read_table(path)) if path.is_file() else "not run yet"
        lines += [f"**Here**, [{table}.csv]({TABLES}/{table}.csv): {told}.", ""]
    lines += [f"**Larger, on a GPU**: `make figure FIG={name} PROFILE=paper DEVICE=cuda`."]
    return "\n".join([text.rstrip(), "", "```{margin} Scale", *lines, "```", ""])

"""A note beside a page's title: what the papers ran, what its tables hold, at which commits, and what a GPU adds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from factbook.provenance import at_commits
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
SCALES = ROOT / "book" / "parts" / "scales.md"
TABLES = "https://github.com/factcore/factcore/blob/main/results"
AXES = {"n": ("n_facts", "n"), "v": ("v", "n_values"), "d": ("d",)}  # symbol: columns that hold it
NONE = "–"


class Scale(NamedTuple):
    """A row of scales.md. ``fixed``: symbol → size where a table has no column of it; what each command adds, or ""."""

    papers: str
    tables: list[str]
    fixed: dict[str, str]
    figure: str
    paper: str


def pages() -> dict[str, Scale]:
    """Page → its row."""
    found = {}
    for line in SCALES.read_text().splitlines()[2:]:
        page, papers, *cells = line.strip("| \n").split(" | ")
        tables, fixed, figure, paper = ("" if cell == NONE else cell for cell in cells)
        sizes = dict(part.split(" = ") for part in fixed.split(", ") if part)
        found[page] = Scale(papers, [name for name in tables.split(", ") if name], sizes, figure, paper)
    return found


def span(numbers: pd.Series) -> str:
    least, most = int(numbers.min()), int(numbers.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def extent(table: pd.DataFrame, fixed: dict[str, str]) -> str:
    """Sizes and draws of a table in words, with its commits."""
    columns = {symbol: next((c for c in names if c in table), None) for symbol, names in AXES.items()}
    held = {symbol: span(table[column]) if column else fixed.get(symbol) for symbol, column in columns.items()}
    sizes = [f"{symbol} = {size}" for symbol, size in held.items() if size]
    draws = table.seed.nunique() if "seed" in table else 1
    return ", ".join([*sizes, f"{draws} draw{'s' * (draws > 1)}", at_commits(table.commit.astype(str))])


def commands(page: str, scale: Scale) -> list[str]:
    """What a GPU adds, command by command."""
    known = {f"make figure FIG={page} PROFILE=paper DEVICE=cuda": scale.figure}
    known["make paper DEVICE=cuda BUDGET=25m"] = scale.paper
    return [f"**On a GPU**, `{command}`: {adds}." for command, adds in known.items() if adds]


def noted(document: str, text: str, results: Path = ROOT / "results") -> str:
    """The text of a page, its note after the cell that begins with the title."""
    name = document.removeprefix("notebooks/")
    if not text.startswith("# ") or document == name or name not in (known := pages()):
        return text
    scale = known[name]
    adds = commands(name, scale) or ["**On a GPU**: nothing larger, the paper profile has the same sizes."]
    lines = "\n\n".join([f"**The papers**: {scale.papers}.", *here(scale, results), *adds])
    lines = re.sub(r"(?<=\b[nvd]) = (?=\d)", "\u00a0=\u00a0", lines)  # a symbol and its size stay on a line
    return "\n".join([text.rstrip(), "", "```{margin} Scale", lines, "```", ""])


def here(scale: Scale, results: Path) -> list[str]:
    """What the tables hold, a line for all of which the same is to be said."""
    told: dict[str, list[str]] = {}
    for table in scale.tables:
        for profile, also in (("laptop", ""), ("paper", " (paper profile)")):
            path = results / profile / f"{table}.csv"
            if path.is_file() or profile == "laptop":
                size = extent(read_table(path), scale.fixed) if path.is_file() else "not run yet"
                told.setdefault(size, []).append(f"[{table}.csv]({TABLES}/{profile}/{table}.csv){also}")
    fixed = ", ".join(" = ".join(size) for size in scale.fixed.items())
    return [f"**Here**, {', '.join(names)}: {size}." for size, names in told.items()] or [f"**Here**: {fixed}."]

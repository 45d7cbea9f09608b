"""Rows per table with the hours that they took: from results/*/*.csv, whenever the book is built."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import scales

ROOT = Path(__file__).resolve().parents[2]
HEADS = ["Table", "Rows", "Hours", "Run on"]
NO_PAGE = "reproducibility.md"  # of the table that no notebook shows
NONE = "–"


def markdown(results: Path = ROOT / "results") -> str:
    """A row a table, the dearest in processor hours first, and their sum."""
    found = {path: pd.read_csv(path, dtype={"commit": str}) for path in sorted(results.glob("*/*.csv"))}
    order = sorted(found, key=lambda path: (-busy(found[path]), -found[path].seconds.sum(), path.stem))
    lines = [f"| {' | '.join(HEADS)} |", "|---|--:|--:|---|"]
    lines += [line(path, found[path]) for path in order]
    rows, clock = sum(map(len, found.values())), sum(table.seconds.sum() for table in found.values())
    spent = hours(sum(map(busy, found.values()), start=0.0), clock)
    return "\n".join([*lines, f"| **All {len(found)} tables** | **{rows:,}** | **{spent}** | |"])


def line(path: Path, table: pd.DataFrame) -> str:
    """The table to download and its pages, its rows, hours of processor and clock, and where they were run."""
    words = path.stem.replace("_", "_<wbr>")  # a column is no wider than these
    name = f"[{words}](../results/{path.parent.name}/{path.name})"
    name += " (paper profile)" * (path.parent.name == "paper")
    spent = hours(busy(table) if "cpu_s" in table else None, table.seconds.sum(), alone(table))
    pages = ", ".join(shown_on(path.stem))
    return f"| {name}<br><small>{pages}</small> | {len(table):,} | {spent} | {run_on(table)} |"


def shown_on(name: str) -> list[str]:
    """Links to the pages whose note on scale tells of the table."""
    pages = [page for page, scale in scales.pages().items() if name in scale.tables]
    return [f"[](../notebooks/{page}.ipynb)" for page in pages] or [f"[]({NO_PAGE})"]


def busy(table: pd.DataFrame) -> float:
    """Processor seconds of all rows, 0 where no column tells."""
    return float(table.cpu_s.sum()) if "cpu_s" in table else 0.0


def alone(table: pd.DataFrame) -> bool:
    """Whether the study measured its processor seconds itself, of a part of each run: a column of its own results."""
    columns = list(table.columns)
    return "cpu_s" in columns and columns.index("cpu_s") < columns.index("device")


def hours(processor: float | None, clock: float, part: bool = False) -> str:
    """Hours of processor seconds and in brackets by the clock; a dagger where the first are of a part of each run."""
    told, passed = (
        NONE if seconds is None else f"{seconds / 3600:.2f}" if seconds >= 36 else "<\u00a00.01"
        for seconds in (processor, clock)
    )
    return f"{told}{'†' * part} ({passed})"


def run_on(table: pd.DataFrame) -> str:
    """Devices with their threads, and by which code: its commit, or how many and the last."""
    devices = table.device.astype(str).str.removeprefix("cpu x")
    counted = devices.str.isdigit()  # "cpu x2" is two threads
    threads = table.threads.astype(str) if "threads" in table else devices.where(counted, NONE)
    places = threads.groupby(devices.where(~counted, "CPU")).unique()
    where = "; ".join(
        f"{name}, {' and '.join(sorted(of))} thread{'s' * (set(of) != {'1'})}" for name, of in places.items()
    )
    commits = table.commit.nunique()
    code = table.commit.iloc[0] if commits == 1 else f"{commits} commits, last {table.commit.iloc[-1]}"
    return f"{where}<br><small>{code}</small>"

"""The numbers of the introduction, from the committed tables: MyST substitutions, {{ name }} in a page of book/."""

from __future__ import annotations

from pathlib import Path

import ask_pages
import pandas as pd

from factbook.challenge import PUBLISHED, largest
from factbook.editing.crowded import published
from factbook.store import read_table

ROOT = Path(__file__).resolve().parents[2]
EDITORS = ("rome", "memit", "alphaedit")


def numbers(results: Path = ROOT / "results") -> dict[str, str]:
    """Every number by its name, as it is written."""

    def table(name: str) -> pd.DataFrame:
        return read_table(results / "laptop" / f"{name}.csv")

    found = cost(table("capacity")) | countries() | pairs(table("challenge"))
    return found | airports(table("airports_block"), table("usable")) | edits(table("editing_crowded"))


def cost(capacity: pd.DataFrame) -> dict[str, str]:
    """Median parameters per fact at the most facts of the d that has most sizes."""
    capacity = capacity.dropna(subset="n_params")
    capacity = capacity[capacity.d == capacity.groupby("d").n_facts.nunique().idxmax()]
    n = capacity[capacity.rung == "trained"].n_facts.max()
    rows = capacity[capacity.n_facts == n]
    per_fact = rows.groupby("rung").n_params.median() / n
    block, paper, trained = (per_fact[rung] for rung in ("block-convex", "paper-codes", "trained"))
    found = {"cost_n": f"{n:,}", "cost_d": str(rows.d.iloc[0]), "block_cost": f"{block:.1f}"}
    return found | {"block_times": f"{block / trained:.1f}", "paper_times": f"{paper / trained:.0f}"}


def countries() -> dict[str, str]:
    held = ask_pages.memory()
    return {"country_n": f"{held['n']:,}", "country_cost": f"{held['parameters'] / held['n']:.2f}"}


def pairs(challenge: pd.DataFrame) -> dict[str, str]:
    """Per rung the fewest facts over the draws at the largest d, as a share of the best published training."""
    found = {}
    for rung, rows in largest(challenge).groupby("rung"):
        if rung in ("one", "several"):
            d = rows.d.max()
            least = rows[rows.d == d].n_facts.min()
            found |= {f"{rung}_d": str(d), f"{rung}_share": f"{least / PUBLISHED[1.0][d]:.0%}"}
    return found


def airports(block: pd.DataFrame, usable: pd.DataFrame) -> dict[str, str]:
    """Certified recall with the most airports, and what trained attention makes of the tightest memory."""
    rows = block[block.n_facts == block.n_facts.max()]
    tight = usable[usable.memory == "buckets, fill 1"]
    return {
        "block_n": f"{rows.n_facts.iloc[0]:,}",
        "block_recall": f"{rows.certified.min():.0%}",
        "tight_recall": f"{tight.recall.median():.0%}",
        "tight_low": f"{tight.recall.min():.0%}",
        "tight_high": f"{tight.recall.max():.0%}",
        "tight_solved": f"{tight.solved_recall.median():.0%}",
    }


def edits(crowded: pd.DataFrame) -> dict[str, str]:
    """Median scores by the published protocol when a tenth of the facts change, where most and fewest share a unit."""
    rows = published(crowded)
    most, least = rows.per_unit.max(), rows.per_unit.min()
    score = rows.pivot_table(index="per_unit", columns="method", values="score", aggfunc="median")
    best = score[[name for name in EDITORS if name in score]]
    return {
        "crowd": str(most),
        "room": str(least),
        "swap_score": f"{score.swap[most]:.2f}",
        "roomy_swap": f"{score.swap[least]:.2f}",
        "editor": {"rome": "ROME", "memit": "MEMIT", "alphaedit": "AlphaEdit"}[str(best.loc[most].idxmax())],
        "editor_score": f"{best.loc[most].max():.2f}",
        "roomy_score": f"{best.loc[least].max():.2f}",
    }

"""The table "paper against ours" in MyST; what it says is judged by `factbook.claims`."""

from __future__ import annotations

import re
from pathlib import Path

from factbook.claims import CLAIMS, SOURCES, VERDICTS, Claim, Judged, evaluate

ROOT = Path(__file__).resolve().parents[2]
CITATIONS = {
    "paper": "{cite:p}`dugan2025constructing`",
    "hebbian": "{cite:p}`garcia2026hebbians`",
    "related": "{cite:p}`nichani2024understanding,allenzhu2024physics`",
}


def page_link(name: str) -> str:
    """A link to a notebook's page, which takes its title; just the name where there is no such notebook yet."""
    return f"[](../notebooks/{name}.ipynb)" if (ROOT / "notebooks" / f"{name}.py").is_file() else f"`{name}`, to come"


def small(text: str) -> str:
    return f"<br><small>{text}</small>" if text else ""


def markdown(results: Path = ROOT / "results") -> str:
    """The summary line and one table per source, in MyST: the papers' claims first, then what this book adds."""
    found = [(row, evaluate(row, results)) for row in CLAIMS]
    papers = [judged for row, judged in found if row.source != "ours"]
    counts = {verdict: sum(judged.finding.verdict == verdict for judged in papers) for verdict in VERDICTS}
    lines = [
        f"Of {len(papers)} claims of papers: "
        + ", ".join(
            f"{count} {'differ' if verdict == 'differs' and count != 1 else verdict}"
            for verdict, count in counts.items()
        )
        + ".",
        "",
    ]
    for source, title in SOURCES.items():
        lines += [f"## {title}", ""] + ([CITATIONS[source], ""] if source in CITATIONS else [])
        lines += ["| Claim | Verdict | Ours |", "|---|---|---|"]
        lines += [line(row, judged) for row, judged in found if row.source == source] + [""]
    return "\n".join(lines)


def line(row: Claim, judged: Judged) -> str:
    """One claim and its page, its verdict, our number and interval; all that it hangs on is folded under them."""
    finding = judged.finding
    behind = {
        "Rule": f"{row.rule}.",
        "Scale": ", ".join(filter(None, [finding.scale, judged.profile and f"{judged.profile} profile"])),
        "Protocol": row.protocol,
        "If one thing is changed": finding.sensitivity.replace("; ", "<br>"),
        "Tables": "; ".join(judged.tables),
    }
    said = "<br>".join(f"*{title}*: {text}" for title, text in behind.items() if text)
    others = [verdict for verdict in VERDICTS if verdict != finding.verdict and verdict in finding.sensitivity]
    what_if = f", what if: also {', '.join(others)}" if others else ", what if: the same" * bool(finding.sensitivity)
    folded = f"<details><summary>rule, protocol{what_if}</summary><small>{said}</small></details>"
    number = re.sub(r"\b(α|[ndv]) = ", "\\1\u00a0=\u00a0", finding.number)  # a symbol and its value stay on a line
    ours = f"{number} {small(finding.interval)} {folded}"
    return f"| {row.says} {small(page_link(row.page))} | **{finding.verdict}** | {ours} |"

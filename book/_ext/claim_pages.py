"""The table "paper against ours" in MyST; what it says is judged by `factbook.claims`."""

from __future__ import annotations

from pathlib import Path

from factbook.claims import CLAIMS, SOURCES, VERDICTS, evaluate

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
    """The summary line and one table per source, in MyST."""
    found = [(row, *evaluate(row, results)) for row in CLAIMS]
    counts = {verdict: sum(finding.verdict == verdict for _, finding, _ in found) for verdict in VERDICTS}
    lines = [
        f"Of {len(found)} claims: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ".",
        "",
    ]
    for source, title in SOURCES.items():
        lines += [f"## {title}", "", f"{CITATIONS[source]}", ""]
        lines += ["| Claim | Ours | Verdict | Page |", "|---|---|---|---|"]
        for row, finding, profile in found:
            if row.source == source:
                says = f"{row.says} {small(f'Rule: {row.rule}.')}"
                ours = " ".join(filter(None, [finding.number, small(finding.interval)]))
                by = f"{page_link(row.page)} {small(f'{profile} profile' if profile else '')}"
                lines.append(f"| {says} | {ours} | **{finding.verdict}** | {by} |")
        lines.append("")
    return "\n".join(lines)

"""Three of the introduction's findings, with the numbers of the tables, and the map of figures into README.md.

    python scripts/readme.py

For new tables and after a change of book/intro.md or book/figures.md; a test holds README.md to them.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = (1, 3, 5)  # convex problems, the challenge, editing
MARKS = {
    "findings": ("<!-- findings: scripts/readme.py -->\n", "<!-- end of findings -->"),
    "figures": ("<!-- figures: scripts/readme.py -->\n", "<!-- end of figures -->"),
}


def findings(introduction: str, numbers: dict[str, str]) -> str:
    """The findings `SHOWN` as a list, with numbers for {{ names }} and links as they are from the repository's root."""
    part = re.search(r"^## Five findings\n(.*?)^## ", introduction, flags=re.M | re.S)
    items = re.findall(r"^(\d)\. (.*?)(?=^\d\. |\Z)", part[1] if part else "", flags=re.M | re.S)
    found = {int(number): " ".join(words.split()) for number, words in items}
    if missing := [number for number in SHOWN if number not in found]:
        raise ValueError(f"the introduction has no findings {missing}")
    text = "\n".join(found[number] for number in SHOWN)
    text = re.sub(r"{{ (\w+) }}", lambda name: numbers[name[1]], text)
    text = re.sub(r"\(\.\./notebooks/(\w+)\.ipynb\)", r"(notebooks/\1.py)", text)
    return "".join(textwrap.fill(f"- {line}", 126, subsequent_indent="  ") + "\n" for line in text.splitlines())


def figures(text: str, titles: dict[str, str]) -> str:
    """The tables of book/figures.md as one, links as they are from the repository's root, pages by their titles."""
    lines = ["| Figure | Page | Command |", "|---|---|---|"]
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        paper, rows = part.partition("\n")[0], re.findall(r"^\| (?!Figure)(.*) \|$", part, flags=re.M)
        lines += [f"| ***{paper}*** | | |"] * bool(rows) + [f"| {row} |" for row in rows]
    link = r"\[\]\(\.\./notebooks/(\w+)\.ipynb\)"
    return "\n".join(re.sub(link, lambda page: f"[{titles[page[1]]}](notebooks/{page[1]}.py)", line) for line in lines)


def titles() -> dict[str, str]:
    """Each notebook's title, its first heading up to a colon."""
    pages = (ROOT / "notebooks").glob("*.py")
    return {page.stem: re.search(r"^# # ([^:\n]+)", page.read_text(), flags=re.M)[1] for page in pages}


def shown(readme: str, part: str) -> str:
    """What stands between the marks of a part; ValueError without them."""
    begin, end = MARKS[part]
    if readme.count(begin) != 1 or end not in readme.split(begin)[1]:
        raise ValueError(f"README.md needs the lines {begin.strip()} and {end}")
    return readme.split(begin)[1].split(end)[0]


def parts() -> dict[str, str]:
    """What is to stand between the marks of each part."""
    import findings as tables

    book = ROOT / "book"
    folded = f"\n{figures((book / 'figures.md').read_text(), titles())}\n\n"  # GitHub wants an empty line around tables
    return {"findings": findings((book / "intro.md").read_text(), tables.numbers()), "figures": folded}


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "book" / "_ext")]
    path = ROOT / "README.md"
    text = path.read_text()
    for part, new in parts().items():
        text = text.replace(MARKS[part][0] + shown(text, part), MARKS[part][0] + new)
    path.write_text(text)

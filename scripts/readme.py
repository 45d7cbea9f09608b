"""Three of the introduction's findings into README.md, with the numbers of the tables: python scripts/readme.py.

For new tables and after a change of the introduction's words; a test holds README.md to it.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHOWN = (1, 3, 5)  # convex problems, the challenge, editing
BEGIN, END = "<!-- findings: scripts/readme.py -->\n", "<!-- end of findings -->"


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


def shown(readme: str) -> str:
    """What stands between the marks; ValueError without them."""
    if readme.count(BEGIN) != 1 or END not in readme.split(BEGIN)[1]:
        raise ValueError(f"README.md needs the lines {BEGIN.strip()} and {END}")
    return readme.split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "book" / "_ext")]
    import findings as tables

    path = ROOT / "README.md"
    new = findings((ROOT / "book" / "intro.md").read_text(), tables.numbers())
    path.write_text(path.read_text().replace(BEGIN + shown(path.read_text()), BEGIN + new))

"""The question that opens a part: under the title of the part's first page; and the pages in the order of the book."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OPENERS = ROOT / "book" / "parts" / "openers.md"  # a heading for each caption of _toc.yml, and its paragraph


def parts() -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]


def pages(chapters: list[dict[str, Any]]) -> Iterator[str]:
    """Documents in the order of the book, what stands under a page after it."""
    for chapter in chapters:
        yield chapter["file"]
        yield from pages(chapter.get("sections", []))


def paragraphs() -> dict[str, str]:
    """Each part's opening paragraph, by its caption."""
    found = re.split(r"^## (.+)\n", OPENERS.read_text(), flags=re.M)[1:]
    return dict(zip(found[::2], map(str.strip, found[1::2])))


def opened(document: str, text: str) -> str:
    """The text of a page, its part's question and paragraph under the title where ``document`` is the first of one."""
    for part in parts():
        caption, first = part["caption"], part["chapters"][0]["file"]
        if document == first and caption in (known := paragraphs()) and text.startswith("# "):
            title, _, rest = text.partition("\n")
            return f"{title}\n\n:::{{admonition}} {caption}\n:class: opener\n{known[caption]}\n:::\n{rest}"
    return text

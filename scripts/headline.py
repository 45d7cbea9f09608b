"""Write the picture of a notebook's cell tagged "headline": python scripts/headline.py NOTEBOOK.ipynb OUT.png."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import nbformat


def headline(notebook: nbformat.NotebookNode) -> bytes:
    """The png of the cell tagged "headline"; ValueError unless exactly one such picture is there."""
    cells = [cell for cell in notebook.cells if "headline" in cell.metadata.get("tags", [])]
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pictures = [entry["image/png"] for entry in data if "image/png" in entry]
    if len(pictures) != 1:
        raise ValueError(f"expected one picture in cells tagged 'headline', found {len(pictures)}")
    return base64.b64decode(pictures[0])


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_bytes(headline(nbformat.read(source, as_version=4)))

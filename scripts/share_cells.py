"""The set-up cell into every notebook, and the notebooks' cells into their references and into what Colab opens:
python scripts/share_cells.py.

For a new version in pyproject.toml (a notebook opened alone fetches the package by the tag of its version) and after a
change of layout or of words. A reference takes what cannot change an output; for all else: make references. Colab opens
committed .ipynb files only: colab/NAME.ipynb is the notebook as it stands, the laptop profile, not executed.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
COLAB = ROOT / "colab"
SET_UP = """\
import importlib.util
import subprocess
import sys
from pathlib import Path

found = importlib.util.find_spec("factcore")  # any folder of that name is found; the package's has a facts.py
if not (found and found.origin and Path(found.origin).with_name("facts.py").is_file()):
    # on Colab: fetch the package, its data and its stored results
    source, version = "https://github.com/factcore/factcore", "v{version}"
    checkout = str(Path("factcore-checkout").resolve())
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", version, source, checkout], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", checkout], check=True)
    sys.path.insert(0, checkout)"""


def set_up_cell() -> str:
    """Its source, for the version that pyproject.toml names."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return SET_UP.replace("{version}", version)


def with_set_up(text: str, source: str) -> str:
    """A py:percent notebook with ``source`` as its set-up cell; ValueError when it has none."""
    cell = r'(?<=^# %% tags=\["remove-cell"\]\n)import importlib\.util\n.*?(?=\n\n# %%)'
    changed, count = re.subn(cell, lambda _: source, text, count=1, flags=re.M | re.S)
    if not count:
        raise ValueError("no set-up cell: it is tagged remove-cell and begins with import importlib.util")
    return changed


def follow(reference: nbformat.NotebookNode, notebook: nbformat.NotebookNode) -> list[int]:
    """Sources of ``notebook`` into ``reference``, but for the cells, returned, that might have another output."""
    cells = [cell for cell in reference.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    if [cell.cell_type for cell in cells] != [cell.cell_type for cell in notebook.cells]:
        return list(range(len(notebook.cells)))
    stale = []
    for number, (old, new) in enumerate(zip(cells, notebook.cells)):
        if new.cell_type == "code" and not (same(old.source, new.source) or set_up(old.source, new.source)):
            stale.append(number)
        else:
            old.source = new.source
    return stale


def same(old: str, new: str) -> bool:
    """Whether two cells run alike: comments and layout aside, and with nbval's marks where they were."""
    marks = [re.findall(r"^# NBVAL_\w+", text, flags=re.M) for text in (old, new)]
    return old == new or (marks[0] == marks[1] and ast.dump(ast.parse(old)) == ast.dump(ast.parse(new)))


def set_up(*sources: str) -> bool:
    return all(source.startswith("import importlib.util\n") for source in sources)


def for_colab(path: Path) -> str:
    """A notebook without outputs, as JSON; the same text every time."""
    notebook = jupytext.read(path)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{path.stem}-{index}"
    kernel = notebook.metadata.kernelspec
    notebook.metadata = {"kernelspec": {key: kernel[key] for key in ("display_name", "language", "name")}}
    return nbformat.writes(notebook) + "\n"


def main() -> int:
    stale = False
    COLAB.mkdir(exist_ok=True)
    for path in COLAB.glob("*.ipynb"):
        if not (ROOT / "notebooks" / f"{path.stem}.py").is_file():
            path.unlink()
    for path in sorted((ROOT / "notebooks").glob("*.py")):
        path.write_text(with_set_up(path.read_text(), set_up_cell()))
        COLAB.joinpath(f"{path.stem}.ipynb").write_text(for_colab(path))
        made = ROOT / "tests" / "references" / f"{path.stem}.ipynb"
        if made.is_file():
            reference = nbformat.read(made, as_version=4)
            if cells := follow(reference, jupytext.read(path)):
                print(f"code of cells {cells} has changed: make references FIG={path.stem}")
            nbformat.write(reference, made)
            stale |= bool(cells)
    return int(stale)


if __name__ == "__main__":
    raise SystemExit(main())

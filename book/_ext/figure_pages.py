"""What the book adds to an executed notebook: how to run it and how long that takes, its data, its figures as files.

Everything is read from the notebook itself, _toc.yml and results/: a new notebook needs no entry here.
"""

from __future__ import annotations

import ast
import base64
import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import openers
import scales
import tables
from PIL import Image

from factbook.provenance import at_commits

ROOT = Path(__file__).resolve().parents[2]
FIGURES, THUMBNAILS = ROOT / "build" / "figures", ROOT / "build" / "thumbnails"
TYPES = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
PROFILES = ("smoke", "laptop", "paper")
THUMBNAIL_WIDTH = 480


class Figure(NamedTuple):
    """One figure of an executed notebook: its number on the page, its cell, what it shows and its files' contents."""

    name: str
    number: int
    cell: int
    alt: str
    data: dict[str, bytes]

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.number}"


def figures_of(notebook: nbformat.NotebookNode, name: str) -> Iterator[Figure]:
    """The figures in the order of the page: outputs that hold a png."""
    number = 0
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            held = output.get("data", {})
            if TYPES["png"] in held:
                number += 1
                data = {kind: content(held[mime], kind) for kind, mime in TYPES.items() if mime in held}
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                yield Figure(name, number, index, alt, data)


def content(text: str, kind: str) -> bytes:
    return text.encode() if kind == "svg" else base64.b64decode(text)


def notebooks() -> Iterator[str]:
    """The names of the notebooks in the order of _toc.yml."""
    for part in openers.parts():
        yield from (Path(page).name for page in openers.pages(part["chapters"]) if page.startswith("notebooks/"))


# --- one page ----------------------------------------------------------------------------------------------------


def dress(
    source: str, name: str, repository: str, branch: str, *, fill: Callable[[str], str] = lambda text: text
) -> str:
    """The notebook's JSON with its run box, an anchor before each figure, its files below it, and its text as ``fill``
    completes it.

    The page shows figures as svg, sharp at every size; png and pdf are there to download.
    """
    notebook = nbformat.reads(source, as_version=4)
    by_cell: dict[int, list[Figure]] = {}
    for figure in figures_of(notebook, name):
        write_files(figure)
        by_cell.setdefault(figure.cell, []).append(figure)
    cells = []
    for index, cell in enumerate(notebook.cells):
        figures = by_cell.get(index, [])
        if figures:
            anchors = "".join(f'<span id="figure-{figure.number}"></span>' for figure in figures)
            cells.append(markdown_cell(f"```{{raw}} html\n{anchors}\n```", f"before-{index}"))
        cell.source = cell.source.removeprefix("# NBVAL_IGNORE_OUTPUT\n")  # a word to the tests, not to the reader
        if cell.cell_type == "markdown":
            cell.source = fill(cell.source)
        cells.append(cell)
        for output in cell.get("outputs", []):
            if TYPES["svg"] in output.get("data", {}):
                output.data = {TYPES["svg"]: output.data[TYPES["svg"]]}
            elif "text/html" in output.get("data", {}):
                output.data["text/html"] = tables.tidy(output.data["text/html"])
        if figures:
            cells.append(markdown_cell("\n".join(map(download_line, figures)), f"after-{index}"))
        if index == 0:
            cells.append(markdown_cell(run_box(notebook, name, repository, branch), "run"))
    notebook.cells = cells
    return nbformat.writes(notebook)


def markdown_cell(text: str, name: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=name)


def write_files(figure: Figure) -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    for kind, data in figure.data.items():
        (FIGURES / f"{figure.stem}.{kind}").write_bytes(data)


def download_line(figure: Figure) -> str:
    links = (
        f"{{download}}`{kind.upper()} <../build/figures/{figure.stem}.{kind}>`" for kind in TYPES if kind in figure.data
    )
    return f"{{.figure-files}}\nFigure {figure.number}: {' '.join(links)}\n"


def run_box(notebook: nbformat.NotebookNode, name: str, repository: str, branch: str) -> str:
    """Where and how to run the page, what it takes in each profile, and the tables that it reads."""
    owner = repository.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{owner}/{branch}?urlpath=lab/tree/notebooks/{name}.ipynb"
    colab = f"https://colab.research.google.com/github/{owner}/blob/{branch}/colab/{name}.ipynb"
    lines = [
        ":::{admonition} Run this page",
        ":class: run-this",
        f"[Binder]({binder}) or [Colab]({colab}), or in a checkout: `make figure FIG={name}`",
        "",
        f"Time from nothing, by {{term}}`profile`: {times(notebook, name)} ([how](../book/reproducibility.md)).",
    ]
    tables = [
        f"{{download}}`{path.name} ({path.parent.name}) <../{path.relative_to(ROOT)}>` {commits_of(path)}"
        for path in tables_of(notebook)
    ]
    if tables:
        lines += ["", f"Data: {', '.join(tables)}."]
    return "\n".join([*lines, ":::"])


def times(notebook: nbformat.NotebookNode, name: str, results: Path = ROOT / "results") -> str:
    """The time in each profile: measured for the whole notebook, else processor seconds of all its tables' runs."""
    measured, table = {}, results / "laptop" / "notebooks.csv"
    if table.is_file():
        measured = {row["profile"]: row for row in rows_of(table) if row["notebook"] == name}
    names = tables_named(notebook, "results_file", ", profile") + tables_named(notebook, "_resumed", ", ")
    names += scales.pages()[name].tables if name in scales.pages() else []
    words = []
    for profile in PROFILES:
        tables = [results / profile / f"{table}.csv" for table in dict.fromkeys(names)]
        runs = [row for path in tables if path.is_file() for row in rows_of(path)]
        if row := measured.get(profile):
            words.append(f"{profile} {duration(float(row['seconds']))} ({cores(row['device'])})")
        elif runs:
            spent = sum(float(run.get("cpu_s") or run["seconds"]) for run in runs)
            words.append(f"{profile} {duration(spent)} of one core ({len(runs)} stored runs in all)")
    return ", ".join(words) or "not measured"


def timings(table: Path = ROOT / "results" / "laptop" / "notebooks.csv") -> str:
    """What each notebook takes in each profile, as a table in MyST; what is the same in every row stands above it."""
    rows = rows_of(table)
    versions = sorted({row["torch"] for row in rows})
    lines = [f"torch {', '.join(versions)}.", "", "| Page | Profile | Time [s] | Memory [MB] | CPU cores | Commit |"]
    lines += ["|---|---|--:|--:|---|---|"]
    for row in rows:
        where = [f"[](../notebooks/{row['notebook']}.ipynb)", row["profile"], f"{float(row['seconds']):,.0f}"]
        where += [f"{float(row['peak_mb']):,.0f}", row["device"].removeprefix("cpu x"), row["commit"]]
        lines.append(f"| {' | '.join(where)} |")
    return "\n".join(lines)


def cores(device: str) -> str:
    return device.replace("cpu x", "CPU cores: ")


def commits_of(table: Path) -> str:
    """By which code its rows were computed: "at 47c6255", in the order of the rows."""
    return at_commits([row["commit"] for row in rows_of(table)])


def rows_of(table: Path) -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def tables_named(notebook: nbformat.NotebookNode, function: str, then: str = "") -> list[str]:
    """The tables that the page or a study it imports gives to this function of factbook.store, in order."""
    cells = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    imports = re.findall(r"^from factbook import ([\w, ]+)", cells, flags=re.M)
    studies = [ROOT / "factbook" / f"{name.split()[0]}.py" for line in imports for name in line.split(",")]
    code = "\n".join([cells, *(path.read_text() for path in studies if path.is_file()), *called(cells)])
    return list(dict.fromkeys(re.findall(rf'(?:{function})\(\s*"(\w+)"{then}', code)))


def called(cells: str) -> list[str]:
    """Source of the functions that cells call from the modules of a study that is a folder: `tables.edits(`."""
    found = []
    for folder, names in re.findall(r"^from factbook\.(\w+) import ([\w, ]+)", cells, flags=re.M):
        for name, *_, known in (part.split() * 2 for part in names.split(",")):  # "x as y": the file x, known as y
            path = ROOT / "factbook" / folder / f"{name}.py"
            source = path.read_text() if path.is_file() else ""
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and re.search(rf"\b{known}\.{node.name}\(", cells):
                    found.append(ast.get_source_segment(source, node) or "")
    return found


def tables_of(notebook: nbformat.NotebookNode) -> list[Path]:
    """The committed tables that the page reads, by itself or for its findings, laptop profile first."""
    cells = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    said = re.findall(r'"(\w+)"', " ".join(re.findall(r"prose\.\w+\([\w.]+(, [^)]*)\)", cells)))
    names = dict.fromkeys(tables_named(notebook, "results_file|stored|_resumed") + said)
    paths = [ROOT / "results" / profile / f"{name}.csv" for profile in ("laptop", "paper") for name in names]
    return [path for path in paths if path.is_file()]


# --- all pages ---------------------------------------------------------------------------------------------------


def gallery() -> str:
    """Thumbnails of all figures in the order of the book, each a link to its figure."""
    lines = []
    for name in notebooks():
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        pictures = list(map(thumbnail, figures_of(notebook, name)))
        if pictures:
            title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
            lines += [f"## [{title}](../notebooks/{name}.ipynb)", "", "::::{container} gallery", *pictures, "::::", ""]
    return "\n".join(lines)


def thumbnail(figure: Figure) -> str:
    """Write the figure in small; the image directive that shows it."""
    path = THUMBNAILS / f"{figure.stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(figure.data["png"])).convert("RGB")
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
    target = f"../notebooks/{figure.name}.html#figure-{figure.number}"
    return f":::{{image}} ../{path.relative_to(ROOT)}\n:alt: {figure.alt}\n:target: {target}\n:::"

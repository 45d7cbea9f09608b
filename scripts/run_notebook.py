"""Execute one py:percent notebook with papermill: python scripts/run_notebook.py notebooks/facts.py OUT.ipynb.

Stops with papermill's error at the first failing cell; OUT is written only when every cell has run. What is wrong with
the options, the device or the folder of OUT is told in one line, before anything runs.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import re
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import jupytext
import nbformat
import papermill
import psutil
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("notebook", "profile", "seconds", "peak_mb", "device", "torch", "commit")


class ThisPython(KernelSpecManager):
    """One kernel, whatever others are installed and whatever they are called: this interpreter, by its path."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class Kernel(AsyncKernelManager):
    def __init__(self, **options: object) -> None:
        super().__init__(kernel_spec_manager=ThisPython(), **options)


def execute(
    source: Path, parameters: dict[str, object], *, page: bool = False, log: bool = False
) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in a fresh kernel of this Python from the notebook's own folder."""
    notebook = jupytext.read(source)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem}-{index}"  # jupytext draws random ids; these keep diffs to what changed
    if page:
        for_page(notebook)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, f"{source.stem}.ipynb"), Path(folder, "executed.ipynb")
        nbformat.write(notebook, before)
        papermill.execute_notebook(
            str(before),
            str(after),
            parameters=parameters,
            cwd=str(source.resolve().parent),
            kernel_name="python3",
            kernel_manager_class=Kernel,
            progress_bar=log,
            log_output=log,
        )
        return nbformat.read(after, as_version=4)


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from run to run and from machine to machine: times, versions, papermill's notes."""
    kernel = notebook.metadata.kernelspec
    notebook.metadata = {"kernelspec": {key: kernel[key] for key in ("display_name", "language", "name")}}
    for index, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"parameters-{index}"
            cell.source = "\n".join(line for line in cell.source.split("\n") if line != "# Parameters")
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    return notebook


def joined(outputs: list) -> list:
    """Texts printed in a row as one: where the kernel happens to cut them differs from run to run."""
    kept: list = []
    for output in outputs:
        if kept and output.output_type == "stream" and output.name == kept[-1].get("name"):
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def for_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Before a page is run: a hidden first cell that asks for every figure as png, svg and pdf."""
    source = "from matplotlib_inline.backend_inline import set_matplotlib_formats\n"
    source += 'set_matplotlib_formats("png", "svg", "pdf")'
    cell = nbformat.v4.new_code_cell(source, id="figure-formats", metadata={"tags": ["remove-cell"]})
    notebook.cells.insert(0, cell)
    return notebook


def as_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The book's copy: without the cell of `for_page`, and with papermill's parameters hidden."""
    notebook.cells = [cell for cell in notebook.cells if cell.id != "figure-formats"]
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
    return notebook


def check_portable(notebook: nbformat.NotebookNode) -> None:
    """ValueError when an output would differ on another machine: messages on stderr, or this checkout's path."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise ValueError(f"cell {number} writes to stderr: {output.text[:200]!r}")
            if str(ROOT) in str(output):
                raise ValueError(f"cell {number} prints the path of this checkout")


def write_pictures(notebook: nbformat.NotebookNode, stem: Path) -> None:
    """The figures as files: STEM-1.png, STEM-2.png, ..."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    pictures = (output.data["image/png"] for output in outputs if "image/png" in output.get("data", {}))
    for number, picture in enumerate(pictures, 1):
        path = stem.with_name(f"{stem.name}-{number}.png")
        path.write_bytes(base64.b64decode(picture))
        print(path)


class PeakMemory(threading.Thread):
    """Largest resident memory, in MB, of this process's descendants (the kernel and what it starts)."""

    def __init__(self, every: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.every, self.largest, self.over = every, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(self.every):
            self.largest = max(self.largest, sum(_resident(p) for p in psutil.Process().children(recursive=True)))

    def stop(self) -> int:
        """The peak so far; the kernel has ended, so the system's own figure for one process is exact."""
        self.over.set()
        self.join()
        one_process = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        return round(max(self.largest, one_process))


def _resident(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 1e6
    except psutil.Error:
        return 0.0


def record(table: Path, row: dict[str, object]) -> None:
    """Put ``row`` into the CSV table, in place of an older row of the same notebook and profile."""
    import pandas as pd

    rows = pd.read_csv(table, dtype=str).to_dict("records") if table.is_file() else []
    same = [r for r in rows if (r["notebook"], r["profile"]) == (row["notebook"], row["profile"])]
    rows = [r for r in rows if r not in same] + [row]
    order = {name: rank for rank, name in enumerate(("smoke", "laptop", "paper"))}
    rows.sort(key=lambda r: (order.get(str(r["profile"]), 9), str(r["notebook"])))
    table.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(table, index=False, lineterminator="\n")


def check(options: argparse.Namespace) -> None:
    """ValueError for a device that is not there, a notebook that is not, and files that could not be written."""
    device = re.fullmatch(r"(?:cpu|cuda(?::(\d{1,3}))?)", options.device)
    if not device:
        raise ValueError(f"--device is cpu, cuda or cuda:N, not {options.device!r}")
    if options.device != "cpu":
        import torch

        if int(device[1] or 0) >= (count := torch.cuda.device_count()):
            raise ValueError(f"--device {options.device}: torch {torch.__version__} sees {count} CUDA devices here")
    if not options.source.is_file():
        raise ValueError(f"no notebook at {options.source}")
    for path in filter(None, (options.out, options.measure)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent), open(path if path.exists() else os.devnull, "a"):
                pass
        except OSError as error:
            raise ValueError(f"cannot write {path}: {error.strerror}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--profile", default="laptop", choices=("smoke", "laptop", "paper"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="prepare OUT as a page of the book")
    parser.add_argument("--portable", action="store_true", help="refuse outputs that depend on the machine")
    parser.add_argument("--pictures", action="store_true", help="write the figures beside OUT as png files")
    parser.add_argument("--log", action="store_true", help="show the cells and what they print as they run")
    parser.add_argument("--measure", type=Path, metavar="CSV", help="record seconds and peak memory in this table")
    options = parser.parse_args()
    try:
        check(options)
    except ValueError as error:
        raise SystemExit(f"{parser.prog}: {error}") from error

    if results := os.environ.get("FACTCORE_RESULTS"):
        os.environ["FACTCORE_RESULTS"] = str(Path(results).resolve())  # the kernel works in the notebook's folder
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # silences a warning of the kernel's debugger
    if options.log:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    else:
        os.environ["FACTCORE_PROGRESS"] = "0"
    if options.profile == "smoke":  # tiny matrices: a second thread only waits, and sums keep one order
        os.environ["OMP_NUM_THREADS"] = "1"
    parameters = {name: getattr(options, name) for name in ("profile", "device", "seed")}
    memory, begun = PeakMemory(), time.perf_counter()
    memory.start()
    notebook = tidy(execute(options.source, parameters, page=options.page, log=options.log))
    seconds, peak = round(time.perf_counter() - begun, 1), memory.stop()
    print(f"{options.source.stem}: profile {options.profile}, {seconds} s, {peak} MB", file=sys.stderr)

    if options.portable:
        check_portable(notebook)
    if options.page:
        as_page(notebook)
    partial = options.out.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(options.out)
    if options.pictures:
        write_pictures(notebook, options.out.with_suffix(""))
    if options.measure:
        import torch

        from factbook.store import commit, device_name

        row = (options.source.stem, options.profile, seconds, peak, device_name(options.device))
        record(options.measure, dict(zip(COLUMNS, (*row, torch.__version__, commit()), strict=True)))


if __name__ == "__main__":
    main()

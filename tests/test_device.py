"""Everything that takes a device, on a CUDA device that is pretended (pretend_cuda.py)."""

from pathlib import Path

import jupytext
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from pretend_cuda import NAME, pretend_cuda

from factbook import store

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))


def one_of_a_kind(path, jobs, run, *, device="cpu"):
    """`store.resume`, but of jobs that differ in numbers alone the first is run: the others take its row."""
    jobs, first = list(jobs), {}
    kind = lambda job: tuple(value for value in job.values() if isinstance(value, (str, bool)))  # noqa: E731
    for job in jobs:
        first.setdefault(kind(job), job)
    rows = RESUME(path, first.values(), run, device=device)
    found = dict(zip(first, rows.to_dict("records")))
    TABLES.append(rows)
    return pd.DataFrame([found[kind(job)] | job for job in jobs])


def watched(path, jobs, run, *, device="cpu"):
    TABLES.append(RESUME(path, jobs, run, device=device))
    return TABLES[-1]


RESUME, TABLES = store.resume, []


WHOLE = ("decoder", "geometry")  # what they compute from their rows needs rows that differ


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_on_a_pretended_gpu(name, monkeypatch):
    notebook = jupytext.read(ROOT / "notebooks" / f"{name}.py")
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(store, "resume", one_of_a_kind if name not in WHOLE else watched)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    TABLES.clear()
    space = {"__name__": "__main__", "display": lambda *things: None}
    with pretend_cuda() as device:
        for cell in notebook.cells:
            if cell.cell_type == "code" and not cell.source.startswith("import importlib.util\n"):
                exec(compile(cell.source, name, "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= {"profile": "smoke", "device": "cuda", "seed": 0}
    print(name, dict(device.made))
    solved = [table[table.get("rung", "trained").isin(("one", "several"))] if "rung" in table else table[:0] for table in TABLES]
    assert {where for table in TABLES for where in table.device} <= {NAME}

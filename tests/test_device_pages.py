"""Every notebook's smoke profile on a CUDA device that is pretended (pretend_cuda.py), plots and all."""

from pathlib import Path

import jupytext
import pandas as pd
import pytest
from device_rules import called_by, check_share, pretended, watched
from matplotlib import pyplot as plt
from pretend_cuda import NAME

from factbook import store

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
WHOLE = ("decoder", "geometry", "scaling")  # what they compute from their rows needs rows that differ, of one n
FEW = 5000  # numbers that a picture or a small table of a cell takes
SOLVED = ("one", "several")  # rungs of the challenge: sparse systems, solved on the CPU
RESUME = store.resume


@pytest.mark.filterwarnings("ignore")  # as in a kernel
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_on_a_pretended_gpu(name, monkeypatch):
    """It runs, no row of its tables comes from the CPU, and of what the page, each cell and each run made little is there.

    Of jobs that differ in numbers alone the first is run and the others take its row: every page together takes
    minutes otherwise.
    """
    tables = []

    def resume(path, jobs, run, *, device="cpu"):
        jobs = list(jobs)

        def kind(job):
            return tuple(v for key, v in job.items() if isinstance(v, (str, bool)) or (name in WHOLE and key != "n"))

        def one(**job):
            before = there.made.copy()
            there.blamed.clear()
            row = run(**job)
            if job.get("rung") not in SOLVED:
                check_share(there, before)
            return row

        first = {kind(job): job for job in reversed(jobs)}
        tables.append(RESUME(path, first.values(), one, device=device))
        found = dict(zip(first, tables[-1].to_dict("records")))
        return pd.DataFrame([found[kind(job)] | job for job in jobs])

    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(store, "resume", resume)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    space = {"__name__": "__main__", "display": lambda *things: None}
    called = watched(monkeypatch)
    with pretended() as there:
        for cell in jupytext.read(ROOT / "notebooks" / f"{name}.py").cells:
            if cell.cell_type == "code" and not cell.source.startswith("import importlib.util\n"):
                before = there.made.copy()
                there.blamed.clear()
                exec(compile(cell.source, name, "exec"), space)
                check_share(there, before, few=FEW)
            if "parameters" in cell.metadata.get("tags", []):
                space |= {"profile": "smoke", "device": "cuda", "seed": 0}
    rows = [row for table in tables for row in table.to_dict("records") if row.get("rung") not in SOLVED]
    assert {row["device"] for row in rows} <= {NAME}
    check_share(there)
    assert called_by(name) <= called

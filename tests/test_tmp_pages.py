"""Every notebook's smoke profile on a CUDA device that is pretended (pretend_cuda.py), plots and all."""

from pathlib import Path

import jupytext
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from pretend_cuda import NAME, pretend_cuda

from factbook import store

from factbook import geometries, paraphrase
from factbook.editing import text
import factcore as fc
from factcore.data import drawn_pairs
from factcore.constructions import pairs
APART = [fc.airport_facts, geometries.layer_facts, fc.spherical_facts, fc.pair_facts, drawn_pairs, pairs.pairs, geometries.value_geometry, text.airport_corpus, paraphrase.airport_questions]
ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))
WHOLE = ("decoder", "geometry", "scaling")  # what they compute from their rows needs rows that differ, of one n
SOLVED = ("one", "several")  # rungs of the challenge: sparse systems, solved on the CPU
RESUME = store.resume


@pytest.mark.filterwarnings("ignore")  # as in a kernel
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_on_a_pretended_gpu(name, monkeypatch):
    """It runs, and no row of its tables comes from the CPU.

    Of jobs that differ in numbers alone the first is run and the others take its row: every page together takes
    minutes otherwise.
    """
    tables = []

    def resume(path, jobs, run, *, device="cpu"):
        jobs = list(jobs)

        def kind(job):
            return tuple(v for key, v in job.items() if isinstance(v, (str, bool)) or (name in WHOLE and key != "n"))

        first = {kind(job): job for job in reversed(jobs)}
        tables.append(RESUME(path, first.values(), run, device=device))
        found = dict(zip(first, tables[-1].to_dict("records")))
        return pd.DataFrame([found[kind(job)] | job for job in jobs])

    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(store, "resume", resume)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    space = {"__name__": "__main__", "display": lambda *things: None}
    with pretend_cuda(APART) as device:
        for cell in jupytext.read(ROOT / "notebooks" / f"{name}.py").cells:
            if cell.cell_type == "code" and not cell.source.startswith("import importlib.util\n"):
                exec(compile(cell.source, name, "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= {"profile": "smoke", "device": "cuda", "seed": 0}
    print("SHARE", name, f"{device.cpu_share():.4f}", dict(device.made), flush=True)
    for line, k in device.blamed.most_common(14): print("   ", k, line, flush=True)
    rows = [row for table in tables for row in table.to_dict("records") if row.get("rung") not in SOLVED]
    assert {row["device"] for row in rows} <= {NAME} and device.made["cuda"] > 10**5

"""The list of `make paper`: resumable, inside its budget, and each study on the device that it is asked to use."""

import os
import re
import runpy
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
import torch
from device_rules import called_by, check_share, few_rounds, pretended, watched
from pretend_cuda import NAME

import factcore as fc
from factbook import both, paper, scaling, solver_time, store, usable_published
from factbook.attended import PUBLISHED

ROOT = Path(__file__).resolve().parent.parent.parent
TASK = {"n_facts": 16, "d": 16, "steps": 20, "batch": 16, "lr": 3e-3}
TINY = {  # every study of the list, at a size that takes seconds
    "smallest": (scaling.cost, {"method": "block-convex", "alpha": 0.25, "d": 12, "tied": True}),
    "stored": (paper.stored, {"method": "trained", "per_fact": 9.0, "alpha": 0.25, "d": 12}),
    "built": (paper.built, {"method": "encoder-decoder", "n": 24, "n_values": 24, "d": 12}),
    "taught": (usable_published.taught, {"layout": usable_published.INSERTED, "schedule": "insert-first"} | TASK),
    "edited": (paper.edited, {"method": "swap", "n_facts": 16, "d": 16, "steps": 2}),
    "told_apart": (solver_time.solve_time, {"v": 24, "d": 8}),
}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTCORE_RESULTS", str(tmp_path))
    return tmp_path / "paper"


def chunk(name, minutes=1 / 60, run=lambda k, device: {"square": k * k, "device": device}, jobs=(1, 2)):
    return paper.Chunk(name, "squares", [{"k": k} for k in jobs], run, minutes)


def test_what_has_a_row_is_not_run_again_and_the_rest_goes_on(results):
    said = []
    assert paper.work([chunk("first"), chunk("both", jobs=(2, 3))], 60, device="cpu", say=said.append) == []
    assert [line.split(" in ")[0] for line in said] == ["first: 2 runs", "both: 1 runs"]
    assert store.read_table(results / "squares.csv").square.tolist() == [1, 4, 9]
    assert paper.work([chunk("first")], 60, device="cpu", say=said.append) == [] and said[-1] == "first: done before"


def test_a_chunk_begins_only_if_its_minutes_are_left(results):
    left = paper.work([chunk("long", minutes=8), chunk("short")], 60, device="cpu", say=lambda text: None)
    assert left == [("long", "may take 8 minutes, more than is left")]
    assert store.read_table(results / "squares.csv").k.tolist() == [1, 2]  # the short one is done all the same
    assert paper.work([chunk("more", jobs=(5,))], 0.5, device="cpu", say=print)[0][0] == "more"


def test_a_chunk_that_takes_too_long_is_given_up_and_its_rows_stay(results):
    def slow(k, device):
        time.sleep(0 if k == 1 else 30)
        return {"square": k * k, "device": device}

    begun = time.monotonic()
    left = paper.work([chunk("slow", run=slow), chunk("next", jobs=(4,))], 20, device="cpu", say=lambda text: None)
    assert left == [("slow", "1 runs did not end within 0.0166667 minutes")] and time.monotonic() - begun < 15
    assert store.read_table(results / "squares.csv").k.tolist() == [1, 4]
    said = []  # from now on it comes last
    paper.work([chunk("slow", run=slow), chunk("third", jobs=(5,))], 20, device="cpu", say=said.append)
    assert [line.split(":")[0] for line in said] == ["third", "slow"]


def test_what_the_laptop_has_is_not_run_again_and_both_are_read_as_one_table(results):
    job = {"method": "ntk", "alpha": 0.25, "d": 8, "tied": True}
    run = lambda device, **job: {"n_params": 10 * job["seed"] + (device == "cpu"), "device": device}  # noqa: E731
    table = store.results_file("scaling", "laptop")
    assert both.read("scaling") is None
    store.resume(table, [job | {"seed": 0}], lambda **job: {"n_params": 7})
    one = paper.Chunk("axis", "scaling", [job | {"seed": seed} for seed in (0, 1)], run, 1)
    assert [left["seed"] for left in one.left()] == [1]
    assert paper.work([one], 100, device="cpu", say=print) == [] and one.left() == []
    assert both.read("scaling").n_params.tolist() == both.read("scaling", results.parent).n_params.tolist() == [7, 11]
    store.resume(results / "scaling.csv", [job | {"seed": 0}], lambda **job: {"n_params": 8})
    assert both.read("scaling").n_params.tolist() == [7, 11]  # the run has one row


def test_a_chunk_that_fails_does_not_stop_the_others(results):
    def full(k, device):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore lines")

    left = paper.work([chunk("full", run=full), chunk("next")], 20, device="cpu", say=lambda text: None)
    assert left == [("full", "failed: CUDA out of memory.")]
    assert store.read_table(results / "squares.csv").k.tolist() == [1, 2]


def test_the_list_keeps_its_promises():
    found = paper.chunks()
    assert all(0 < each.minutes <= 8 and each.jobs and each.run in [run for run, _ in TINY.values()] for each in found)
    assert len({each.table for each in found}) <= 8 and len({each.name for each in found}) == len(found)
    for each in found:
        assert store.missing(each.path(), each.jobs) == each.jobs  # none asks for what a table cannot hold
        columns = both.JOBS.get(each.table)
        assert columns is None or columns == list(each.jobs[0])
    assert {job["lr"] for each in found for job in each.jobs if "lr" in job} == {PUBLISHED["lr"]}
    largest = {
        each.table: max(job.get("n", job.get("n_facts", job.get("v", 0))) for job in each.jobs) for each in found
    }
    assert (largest["build_cost_large"], largest["editing_large"], largest["solver"]) == (10**6, 16384, 65536)
    assert max(int(job["alpha"] * job["d"] ** 2) for each in found for job in each.jobs if "alpha" in job) == 16384


@pytest.mark.parametrize("study", TINY)
def test_a_study_works_on_the_device_it_is_asked_to_use(study, results, monkeypatch):
    run, job = TINY[study]
    called = watched(monkeypatch)
    monkeypatch.setattr(
        paper, "build_cost", lambda *given, **more: build_cost(*given, fresh=False, **more)
    )  # the pretence is of here
    with pretended() as device:
        one = paper.Chunk(study, study, [{**job, "seed": 0}], run)
        assert paper.work([one], 600, device="cuda", say=print) == []
        check_share(device)
    assert called_by(f"make paper: {study}") <= called | {f"{run.__module__}.{run.__name__}"}
    on_cpu = paper.Chunk(study, f"{study}_cpu", [{**job, "seed": 0}], run)
    with few_rounds():
        assert paper.work([on_cpu], 600, device="cpu", say=print) == []
    (there,), (here,) = (store.stored(name).to_dict("records") for name in (study, f"{study}_cpu"))
    assert there["device"] == NAME and here["device"].startswith("cpu")
    assert there.get("n_params") == here.get("n_params") and there.get("width") == here.get("width")
    if study in ("smallest", "stored", "built"):
        assert here["recall"] == 1.0


build_cost = paper.build_cost


def test_tied_facts_are_one_table_of_embeddings():
    facts = scaling.facts_at(0.25, 12, 3)
    assert len(facts) == 36 and facts.keys is facts.values or torch.equal(facts.keys, facts.values)
    assert sorted(facts.targets.tolist()) == list(range(36)) and isinstance(facts, fc.FactSet)


@pytest.mark.parametrize("budget", ["", "25", "0m", "m", "-5m", "25 m", "1e3s", "25m; touch hit", "999999s"])
def test_a_budget_that_is_none_is_told(budget):
    script = runpy.run_path(str(ROOT / "scripts" / "paper.py"))
    with pytest.raises(ArgumentTypeError, match=re.escape(f"a time such as 90s, 25m or 2h, not {budget!r}")):
        script["seconds"](budget)
    assert [script["seconds"](text) for text in ("90s", "25m", "2h")] == [90, 1500, 7200]


def test_the_command_says_what_is_left_and_what_it_lacks(results, monkeypatch, capsys):
    main = runpy.run_path(str(ROOT / "scripts" / "paper.py"))["main"]

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paper.py", *words])
        main()
        return capsys.readouterr().out

    command = [sys.executable, "scripts/paper.py", "--device", "cpu", "--budget", "1s"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0 and "left: " in done.stdout
    assert "may take 8 minutes, more than is left" in done.stdout and not results.exists()
    assert len(run("--list").splitlines()) == len(paper.chunks())
    with pytest.raises(SystemExit, match="^2$"):
        run("--budget", "25")
    assert "argument --budget: a budget is a time such as" in capsys.readouterr().err
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="^paper.py: device 'cuda' is not there: torch sees 0 CUDA devices$"):
            run("--device", "cuda")

"""The note on a page's scale: every page has one, what it says of a table is there, and what a GPU adds is true."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest

import factcore as fc
from factbook import (
    airports,
    baselines,
    block_facts,
    buckets,
    build_times,
    code_dimension,
    decoder,
    frontier,
    geometry_cost,
    ladder,
    margins_shown,
    noise_floor,
    own_facts,
    paper,
    precision,
    real_facts,
    solver_time,
    solves,
    store,
    usable,
)
from factbook.challenge import study as challenge
from factbook.editing import tables
from factbook.editing.model import FactLanguageModel
from factbook.editing.text import airport_corpus
from factbook.provenance import NO_STUDY

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
scales = pytest.importorskip("scales")
openers = pytest.importorskip("openers")
PAGES = scales.pages()
SPAN = re.compile(r"\b([nvd]) = (\d[\d,]*)(?: to (\d[\d,]*))?")
READ_ONLY = {"scaling", "edit_yourself"}  # these pages compute no table


class Told(Exception):
    """The jobs are known, nothing is to run."""


def jobs_of(study: Callable[[str], Any], profile: str) -> tuple[str, pd.DataFrame]:
    """The table that a study goes on with, and all its jobs."""
    found = []

    def resume(path, jobs, run, **options):
        found.append((path.stem, pd.DataFrame(jobs)))
        raise Told

    with patch.object(store, "resume", resume), pytest.raises(Told):
        study(profile)
    return found[0]


def listed(name: str, jobs: Callable[[str], list[dict[str, Any]]]) -> Callable[[str], Any]:
    return lambda profile: store.resume(store.results_file(name, profile), jobs(profile), None)


def asked(*studies: Callable[..., Any]) -> list[Callable[[str], Any]]:
    return [lambda profile, study=study: study(profile, 0, "cpu") for study in studies]


STUDIES: dict[str, list[Callable[[str], Any]]] = {  # as the pages call them
    "facts": [listed("baselines", lambda profile: baselines.airports_jobs(7007))],
    "encoder": [
        listed("encoder", lambda profile: buckets.error_jobs(profile, 0)),
        listed("encoder_gradient", lambda profile: buckets.both_jobs(profile, 0)),
    ],
    "decoder": asked(decoder.table),
    "code_dimension": asked(code_dimension.table),
    "solver": [listed("solver", lambda profile: solver_jobs(profile))],
    "geometry": asked(geometry_cost.table),
    "capacity": asked(ladder.table, ladder.ntk_gates),
    "precision": asked(precision.table),
    "solves": asked(solves.table),
    "build_cost": asked(build_times.table),
    "real": asked(real_facts.table, real_facts.uncut),
    "challenge": [listed("challenge", challenge.jobs), listed("challenge_precision", challenge.bit_jobs)],
    "usable": asked(usable.table, usable.fairness, usable.curves, usable.ablation),
    "margins": asked(margins_shown.table, margins_shown.widths, margins_shown.costs),
    "noise_floor": asked(noise_floor.table, noise_floor.junk),
    "frontier": asked(frontier.table),
    "block_facts": asked(block_facts.table),
    "airports_block": [
        listed("airports_block", lambda profile: airports.jobs(profile, 0)),
        listed("airports_training", lambda profile: airports.training_jobs(profile, 0)),
    ],
    "editing": asked(tables.crowds, tables.edits),
    "editing_time": asked(tables.times, tables.sequences),
    "own_facts": [
        listed("own_facts", lambda profile: own_facts.jobs(profile, 0)),
        listed("own_facts_refusals", lambda profile: own_facts.refusal_jobs(profile, 0)),
    ],
}


def solver_jobs(profile: str) -> list[dict[str, Any]]:
    size = solver_time.SIZES[profile]
    return [{"v": v, "d": size["at"]["d"]} for v in size["v"]] + [{"v": size["at"]["v"], "d": d} for d in size["d"]]


def ends(table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Symbol → the smallest and the largest size of its column."""
    found = {symbol: next((c for c in names if c in table), None) for symbol, names in scales.AXES.items()}
    return {symbol: (int(table[c].min()), int(table[c].max())) for symbol, c in found.items() if c}


def spans(words: str) -> set[tuple[str, tuple[int, int]]]:
    """The sizes that are named: "n = 64 to 2,048" is ("n", (64, 2048))."""
    numbers = (
        (s, int(low.replace(",", "")), int((high or low).replace(",", ""))) for s, low, high in SPAN.findall(words)
    )
    return {(symbol, (low, high)) for symbol, low, high in numbers}


def test_every_page_tells_its_scale():
    shown = {page for part in openers.parts() for page in openers.pages(part["chapters"]) if "notebooks" in page}
    assert set(PAGES) == {page.removeprefix("notebooks/") for page in shown}


def test_every_table_stands_on_a_page():
    told = {table for scale in PAGES.values() for table in scale.tables}
    assert told == {path.stem for path in (ROOT / "results" / "laptop").glob("*.csv")} - NO_STUDY


def test_the_note_gives_sizes_draws_and_commits_of_the_table(tmp_path):
    laptop, gpu = tmp_path / "laptop", tmp_path / "paper"
    laptop.mkdir(), gpu.mkdir()
    row = {"n_facts": 64, "d": 32, "seed": 0, "device": "cpu", "torch": "2", "commit": "abc1234", "seconds": 1.0}
    other = row | {"n_facts": 2048, "seed": 1, "commit": "1e10000"}
    pd.DataFrame([row, other]).to_csv(laptop / "capacity.csv", index=False)
    pd.DataFrame([row | {"n_facts": 16384}]).to_csv(gpu / "capacity.csv", index=False)
    for name in ("ntk_gates", "streams"):
        pd.DataFrame([other]).to_csv(laptop / f"{name}.csv", index=False)
    text = scales.noted("notebooks/capacity", "# Title\n\nWords.", tmp_path).replace("\u00a0", " ")
    assert re.search(r"\[ntk_gates.csv\]\(\S+\), \[streams.csv\]\(\S+\): n = 2,048, d = 32, 1 draw, at 1e10000\.", text)
    assert "/laptop/capacity.csv): n = 64 to 2,048, d = 32, 2 draws, at abc1234, 1e10000." in text
    assert "/paper/capacity.csv) (paper profile): n = 16,384, d = 32, 1 draw, at abc1234." in text
    assert text.startswith("# Title\n\nWords.\n\n```{margin} Scale\n") and text.count("```") == 2
    assert "not run yet" in scales.noted("notebooks/solves", "# Title", tmp_path)
    pd.DataFrame([row]).drop(columns=["n_facts", "d"]).to_csv(laptop / "editing.csv", index=False)
    editing = scales.noted("notebooks/editing", "# Title", tmp_path)
    assert "editing.csv): n\u00a0=\u00a0256, d\u00a0=\u00a064, 1 draw, at abc1234" in editing
    yourself = scales.noted("notebooks/edit_yourself", "# Title", tmp_path)
    assert "**Here**: n\u00a0=\u00a0256, d\u00a0=\u00a064.\n" in yourself


def test_sizes_that_no_column_holds_are_those_of_the_study():
    found = {page: scale.fixed for page, scale in PAGES.items() if scale.fixed}
    editing = {"n": str(len(airport_corpus())), "d": str(inspect.signature(FactLanguageModel).parameters["d"].default)}
    for page in ("editing", "editing_time", "edit_yourself"):
        assert found.pop(page) == editing
    for page in ("facts", "airports_block", "own_facts"):
        assert found.pop(page) == {"d": str(fc.airport_facts(8).d)}
    assert found.pop("solves") == {"d": str(dict(solves.LARGE)[1024])} and set(solves.AT) == set(dict(solves.LARGE))
    speed = (ROOT / "benchmarks" / "speed.py").read_text()
    assert found.pop("build_cost") == {"d": re.search(r"^D = (\d+)$", speed, flags=re.M)[1]} and not found


@pytest.mark.parametrize("document, text", [("notebooks/capacity", "## Part"), ("book/claims", "# Title")])
def test_other_cells_and_pages_get_no_note(document, text):
    assert scales.noted(document, text) == text


# --- what a GPU adds ---------------------------------------------------------------------------------------------


def test_every_page_with_runs_is_looked_at():
    assert set(STUDIES) == set(PAGES) - READ_ONLY


@pytest.mark.parametrize("page", STUDIES)
def test_the_note_names_the_sizes_of_the_paper_profile(page):
    """A table that grows in n, v or d is there with its sizes, and no size is there that no table has."""
    grown, known = set(), set()
    for run in STUDIES[page]:
        (name, laptop), (same, larger) = (jobs_of(run, profile) for profile in ("laptop", "paper"))
        assert name == same and name in PAGES[page].tables
        before, after = ends(laptop), ends(larger)
        grown |= {(symbol, size) for symbol, size in after.items() if size[1] > before[symbol][1]}
        known |= set(after.items())
    named = spans(PAGES[page].figure)
    assert grown <= named <= known
    assert named or not grown


def test_what_the_paper_profile_has_stored_is_said():
    folder = ROOT / "results" / "paper"
    computed = {page: [jobs_of(run, "paper")[0] for run in runs] for page, runs in STUDIES.items()}
    stored = {page for page, names in computed.items() if any((folder / f"{name}.csv").is_file() for name in names)}
    assert stored == {page for page, scale in PAGES.items() if "stored already" in scale.figure}
    measured = store.read_table(ROOT / "results" / "laptop" / "decodability_benchmark.csv")
    assert ((measured.v == 65_536) & (measured.d == 128) & measured.device.str.startswith("cpu")).any()  # "on a CPU"


@pytest.mark.parametrize("page", [page for page in STUDIES if not PAGES[page].figure])
def test_where_the_note_has_nothing_the_paper_profile_is_the_laptop_s(page):
    for run in STUDIES[page]:
        (_, laptop), (_, larger) = (jobs_of(run, profile) for profile in ("laptop", "paper"))
        pd.testing.assert_frame_equal(laptop, larger)


def test_the_list_of_make_paper_is_on_its_pages():
    whose = {table: page for page, scale in PAGES.items() for table in scale.tables}
    whose |= {"scaling_widths": "scaling", "editing_large": "editing"}
    listed = {}
    for chunk in paper.chunks():
        listed.setdefault(whose[chunk.table], []).extend(job | {"name": chunk.name} for job in chunk.jobs)
    assert set(listed) == {page for page, scale in PAGES.items() if scale.paper}
    for page, symbol in {"build_cost": "n", "editing": "n_facts", "solver": "v"}.items():
        most = max(job[symbol] for job in listed[page])
        assert f"{symbol[0]} = {most:,}" in PAGES[page].paper
    assert "n = 16,384" in PAGES["scaling"].paper and any("n = 16,384" in job["name"] for job in listed["scaling"])
    assert max(job["n_values"] for job in listed["build_cost"]) == 100_000
    stored = store.read_table(ROOT / "results" / "laptop" / "usable_published.csv")
    jobs = pd.DataFrame(listed["usable"]).drop(columns="name")
    beside = jobs.merge(stored[jobs.columns].drop_duplicates(), how="left", indicator="where")
    assert (beside["where"] == "both").all()  # "usable_published has its trainings"


def test_what_the_map_of_figures_says_of_sizes_is_so():
    said = (ROOT / "book" / "figures.md").read_text()
    most = max(d for _, d in block_facts.SIZES["paper"])
    assert (
        re.search(rf"facts in a block go\s+to d = {most}, theirs to 1,024", said)
        and "1,024" in PAGES["block_facts"].papers
    )
    assert "those of editing not at all" in said and not PAGES["editing"].figure and not PAGES["editing_time"].figure
    assert all(word in said for word in ("`PROFILE=paper DEVICE=cuda`", "`make paper DEVICE=cuda BUDGET=25m`"))


def test_the_commands_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    seen = [line for page, scale in PAGES.items() for line in scales.commands(page, scale)]
    assert len(seen) > len(PAGES) // 2
    for line in seen:
        target, *given = re.search(r"`make (.*?)`", line)[1].split()
        assert re.search(rf"^{target}:", makefile, flags=re.M)
        for name, value in (word.split("=") for word in given):
            assert name in re.search(r"^GIVEN := (.*)", makefile, flags=re.M)[1].split()
            assert name != "FIG" or (ROOT / "notebooks" / f"{value}.py").is_file()
        if "FIG=" not in line:
            assert re.fullmatch(r"[1-9][0-9]{0,4}[smh]", line.split("BUDGET=")[1].split("`")[0])

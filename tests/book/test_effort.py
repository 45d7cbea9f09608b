"""The page of rows and hours, against a count of its own over the files."""

import csv
import math
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
effort = pytest.importorskip("effort")
FILES = sorted((ROOT / "results").glob("*/*.csv"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def counted(path: Path) -> dict:
    """Rows, hours, places and commits of a file, line by line."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    found = {"rows": len(rows), "clock": math.fsum(float(row["seconds"]) for row in rows) / 3600, "busy": None}
    if "cpu_s" in rows[0]:
        found["busy"] = math.fsum(float(row["cpu_s"]) for row in rows) / 3600
    found["threads"] = {row.get("threads") or row["device"].removeprefix("cpu x") for row in rows}
    return found | {"commits": {row["commit"] for row in rows}, "last": rows[-1]["commit"]}


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    """The row of each file, by its path in results/, and that of the sum, as they stand on the page."""
    lines = [cells(line) for line in effort.markdown().splitlines()[2:]]
    names = [found[1] if (found := re.search(r"\(\.\./results/(.+?)\)", line[0])) else "sum" for line in lines]
    assert len(set(names)) == len(names)
    return dict(zip(names, lines))


def agree(told: str, hours: float) -> bool:
    return hours < 0.01 if told.startswith("<") else abs(float(told) - hours) <= 0.005 + 1e-9


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_rows_hours_threads_and_commits_of_a_table(shown, path):
    found, (name, rows, hours, where) = counted(path), shown[f"{path.parent.name}/{path.name}"]
    busy, clock = re.fullmatch(r"(\S.*?)†? \((.+)\)", hours).groups()
    assert int(rows.replace(",", "")) == found["rows"] and agree(clock, found["clock"])
    assert busy == "–" if found["busy"] is None else agree(busy, found["busy"])
    assert set(re.search(r", (.+) threads?<br>", where)[1].split(" and ")) == found["threads"]
    assert found["last"] in where and (len(found["commits"]) == 1) == ("commits" not in where)
    assert len(found["commits"]) == 1 or f"{len(found['commits'])} commits, last" in where
    assert ("paper profile" in name) == (path.parent.name == "paper")
    for page in re.findall(r"\[\]\((.+?)\)", name):
        there = ROOT / "book" / page
        assert there.with_suffix(".py" if "notebooks" in page else ".md").resolve().is_file()


def test_the_sum_is_of_all_files_and_the_dearest_is_first(shown):
    every = [counted(path) for path in FILES]
    name, rows, hours, _ = (cell.strip("*") for cell in shown["sum"])
    assert name == f"All {len(FILES)} tables" and int(rows.replace(",", "")) == sum(found["rows"] for found in every)
    busy, clock = re.fullmatch(r"(.+) \((.+)\)", hours).groups()
    assert agree(busy, math.fsum(found["busy"] or 0 for found in every))
    assert agree(clock, math.fsum(found["clock"] for found in every))
    assert list(shown)[-1] == "sum" and len(shown) == len(FILES) + 1
    order = [counted(ROOT / "results" / name)["busy"] or 0 for name in list(shown)[:-1]]
    assert order == sorted(order, reverse=True)


def test_the_page_names_the_tables_without_processor_seconds(shown):
    text = (ROOT / "book" / "effort.md").read_text()
    assert {Path(name).stem for name, line in shown.items() if line[2].startswith("–")} == set(
        re.findall(r"`(\w+)`", text)
    )
    assert text.endswith("\n% generated: effort\n")


def test_a_gpu_has_its_name_and_two_devices_stand_apart():
    table = pd.DataFrame(
        {"device": ["cpu x2", "NVIDIA H100", "cpu x1"], "commit": ["a", "b", "a"], "threads": [2, 1, 1]}
    )
    assert effort.run_on(table) == "CPU, 1 and 2 threads; NVIDIA H100, 1 thread<br><small>2 commits, last a</small>"
    assert effort.run_on(table[1:2].drop(columns="threads")).startswith("NVIDIA H100, – threads<br>")


def test_what_a_study_measured_itself_is_marked():
    own = pd.DataFrame(columns=["n", "cpu_s", "device", "seconds"])
    assert effort.alone(own) and not effort.alone(own[["n", "device", "seconds", "cpu_s"]])
    assert not effort.alone(own[["n", "device", "seconds"]])
    assert effort.hours(72.0, 3600.0, True) == "0.02† (1.00)" and effort.hours(None, 1.0) == "– (<\u00a00.01)"

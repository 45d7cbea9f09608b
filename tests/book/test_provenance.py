"""What a table must tell of its rows, on tables written here; and the project's own against its list of exceptions."""

import subprocess

import pandas as pd
import pytest

from factbook import provenance

WHOLE = {"n": [1, 2], "device": "cpu x1", "torch": "2", "commit": ["abc1234", "def5678"], "seconds": 1.0}
WHOLE |= {"threads": 1, "cpu_s": 0.5, "profile": "laptop"}


def checkout(folder, table, *, exceptions=""):
    for name in ("notebooks", "results/laptop", "factbook"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "notebooks" / "page.py").write_text('table = store.results_file("mine", profile)\n')
    pd.DataFrame(table).to_csv(folder / "results" / "laptop" / "mine.csv", index=False)
    (folder / "results" / "allowed.csv").write_text(f"table,reason\n{exceptions}")
    return provenance.check(folder)


def test_a_whole_table_passes(tmp_path):
    assert checkout(tmp_path, WHOLE) == ({}, [])


@pytest.mark.parametrize("column", ["threads", "cpu_s", "profile"])
def test_each_column_is_asked_for(tmp_path, column):
    found, _ = checkout(tmp_path, {name: cells for name, cells in WHOLE.items() if name != column})
    assert found == {"laptop/mine": [f"no column {column}"]}


@pytest.mark.parametrize("commit", ["abc1234+", "unknown"])
def test_code_that_was_not_committed_is_told(tmp_path, commit):
    found, _ = checkout(tmp_path, WHOLE | {"commit": ["abc1234", commit]})
    assert found == {"laptop/mine": ["1 of 2 rows from code that was not committed"]}


def test_empty_cells_are_told(tmp_path):
    found, _ = checkout(tmp_path, WHOLE | {"threads": [1.0, None]})
    assert found == {"laptop/mine": ["1 rows without threads"]}


def test_an_exception_that_nothing_needs_is_told(tmp_path):
    assert checkout(tmp_path, WHOLE, exceptions="laptop/mine,begun early\n") == ({}, ["laptop/mine"])
    found, needless = checkout(
        tmp_path, {k: v for k, v in WHOLE.items() if k != "threads"}, exceptions="laptop/mine,x\n"
    )
    assert found and not needless


def test_rows_older_than_the_streams_and_rows_of_nowhere_are_told(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        run = subprocess.run(["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    git("init", "-q")
    old, since, new = (
        git("commit", "-q", "--allow-empty", "-m", word) or git("rev-parse", "--short", "HEAD") for word in "abc"
    )
    monkeypatch.setattr(provenance.age.__wrapped__, "__defaults__", (since,))
    table = pd.DataFrame(WHOLE | {"n": range(4), "commit": [old, since, new, "fedcba9"]})
    assert provenance.problems(table, tmp_path) == [
        f"1 of 4 rows from before {provenance.SEPARATED}, when purposes shared random streams",
        "1 of 4 rows of commits that this repository does not have",
    ]


def test_a_table_is_read_however_its_name_gets_there(tmp_path):
    checkout(tmp_path, {name: cells for name, cells in WHOLE.items() if name != "threads"})
    (tmp_path / "notebooks" / "page.py").write_text('prose.findings(study.findings, "mine")\n')
    assert provenance.tables_read(tmp_path) == ["mine"]


def test_tables_are_found_where_pages_and_verdicts_name_them():
    names = provenance.tables_read()
    assert {"capacity", "scaling", "shapes", "frontier", "training_grid_width", "editing", "editing_time"} <= set(names)
    assert "notebooks" not in names


def test_captions_name_the_commits_in_the_order_of_the_rows():
    table = pd.DataFrame({"commit": ["b", "a", "b"]})
    assert provenance.caption(table, "capacity") == "capacity.csv at b, a"
    assert provenance.at_commits("abcd") == "at a … d (4 commits)"


def test_every_exception_of_the_project_has_a_reason_and_is_needed():
    found, needless = provenance.check()
    excused = provenance.allowed()
    assert not needless and not set(found) - set(excused) and all(reason.strip() for reason in excused.values())

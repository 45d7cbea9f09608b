"""The resumable store and the fitted exponents."""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tqdm import tqdm

from factbook import fit, store

JOBS = [{"method": m, "n": n, "tol": 1e-6} for m in ("a", "b") for n in (10, 20)]


def test_a_second_run_does_only_what_is_missing(tmp_path):
    calls = []

    def run(method, n, tol):
        calls.append((method, n))
        return {"score": n * 1.5}

    path = tmp_path / "deep" / "table.csv"
    store.resume(path, JOBS[:2], run)
    table = store.resume(path, JOBS[::-1], run)
    assert calls == [("a", 10), ("a", 20), ("b", 20), ("b", 10)]
    assert table.method.tolist() == ["b", "b", "a", "a"] and table.n.tolist() == [20, 10, 20, 10], "in the jobs' order"
    assert list(table.columns) == ["method", "n", "tol", "score", *store.PROVENANCE, *store.MEASURED]
    assert len(store.resume(path, JOBS[:1], run)) == 1 and len(calls) == 4


@pytest.mark.parametrize(
    "values",
    [
        [1234567890123, 1234567890124, -(2**63), 2**63 - 1],
        [0.1 + 0.2, 0.3, 1.0, 1e-300, -0.0, float("inf"), float("nan")],
        [1, 0.5, 1.0, 2**53, 2, 1e16],
        [True, False],
        ["a", "", " ", "None", "NA", "1 ×", "1-2", "0x10", 'say "7", please', "a\vb\x1c\x85\u2028c", "é"],
        [np.int64(3), np.int32(4)],
        [np.float64(0.1), 0.7],
        [np.True_, np.False_],
        [np.str_("x")],
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_parameters_come_back_by_type_and_value(tmp_path, values):
    calls, jobs = [], [{"x": value} for value in values]
    for _ in range(2):
        table = store.resume(tmp_path / "t.csv", jobs, lambda x: calls.append(x) or {"score": 1})
        for got, value in zip(table.x.tolist(), values, strict=True):
            plain = value.item() if isinstance(value, np.generic) else value
            assert type(got) is type(plain) and repr(got) == repr(plain)
    assert len(calls) == len(values)


def test_ints_and_floats_of_one_column_are_told_apart(tmp_path):
    for values in ([1, 2], [1.0], [2, 0.5], [1, 2], [1.0, 0.5], [1, 1.0]):
        table = store.resume(
            tmp_path / "t.csv", [{"x": value} for value in values], lambda x: {"kind": type(x).__name__}
        )
        assert list(map(repr, table.x.tolist())) == list(map(repr, values))
        assert table.kind.tolist() == [type(value).__name__ for value in values]
    assert len(store.read_table(tmp_path / "t.csv")) == 4


@pytest.mark.parametrize(
    "values, said",
    [
        ([value], "a CSV cell would not give back 'x' of the job")
        for value in (
            *(None, "007", "1e5", "12", " 7", "-inf", "nan", "True", "false", "a\rb", "a\nb", "a\0b", "\udc80"),
            *(2**63, 10**20, np.uint64(2**63), np.float32(0.1), 1j, (1, 2), [1], torch.tensor(1), torch.float32),
        )
    ]
    + [
        ([True, None], "a CSV cell would not give back 'x' of the job {'x': None}"),
        ([True, 1], r"parameter 'x' is ['bool', 'int'] in the jobs"),
        (["a", 1], r"parameter 'x' is ['int', 'str'] in the jobs"),
    ],
    ids=repr,
)
def test_parameters_that_would_not_come_back_are_told_before_any_run(tmp_path, values, said):
    ran = []
    with pytest.raises(ValueError) as error:
        store.resume(tmp_path / "t.csv", [{"x": value} for value in values], lambda x: ran.append(x) or {"score": 1})
    assert said in str(error.value) and not ran and not list(tmp_path.iterdir())


def test_a_parameter_of_another_type_than_the_table_s_is_told_before_any_run(tmp_path):
    path, ran = tmp_path / "t.csv", []
    store.resume(path, [{"x": 1}], lambda x: {"score": 1})
    before = path.read_bytes()
    for job in ({"x": True}, {"x": "one"}):
        with pytest.raises(ValueError, match="parameter 'x' is .* in the jobs and .*t.csv: a column holds one type"):
            store.resume(path, [job], lambda x: ran.append(x) or {"score": 1})
    assert not ran and path.read_bytes() == before


@pytest.mark.parametrize(
    "jobs, said",
    [
        ([{"n": 1}, {"n": 2, "d": 3}], r"the parameters of a job are ['n', 'd'], those of the first ['n']"),
        ([{"n": 1, "device": "cpu"}], "parameters ['device']: the table fills these columns in"),
        ([{"n": 1, "profile": "smoke"}], "parameters ['profile']: the table fills these columns in"),
    ],
)
def test_jobs_that_no_table_can_hold_are_told_before_any_run(tmp_path, jobs, said):
    ran = []
    with pytest.raises(ValueError) as error:
        store.resume(tmp_path / "t.csv", jobs, lambda **job: ran.append(job) or {"score": 1})
    assert said in str(error.value) and not ran


@pytest.mark.parametrize(
    "result, said",
    [
        ({"n": 11}, r"the run gave its parameters ['n'] other values"),
        ({"text": "a\rb"}, "['text'] of the new row"),
        ({"text": "a\nb"}, "['text'] of the new row"),
    ],
)
def test_results_that_would_spoil_the_table_are_told_and_leave_it_whole(tmp_path, result, said):
    path, jobs = tmp_path / "t.csv", [{"n": 10}, {"n": 20}]
    store.resume(path, jobs[1:], lambda n: {"n": n} | {name: "x" for name in result if name != "n"})
    before = path.read_bytes()
    with pytest.raises(ValueError) as error:
        store.resume(path, jobs, lambda n: result)
    assert said in str(error.value) and path.read_bytes() == before


@pytest.mark.parametrize("commit", ["2918e60", "1234567", "0012345", "9e6526a+"])
def test_a_commit_is_read_as_it_was_written(tmp_path, monkeypatch, commit):
    monkeypatch.setattr(store, "commit", lambda: commit)
    for _ in range(2):
        table = store.resume(tmp_path / "table.csv", JOBS, lambda method, n, tol: {"score": 1})
        assert table.commit.tolist() == [commit] * len(JOBS)


def test_a_failing_run_keeps_the_rows_before_it(tmp_path):
    def run(method, n, tol):
        if method == "b":
            raise RuntimeError("out of memory")
        return {"score": 1}

    with pytest.raises(RuntimeError):
        store.resume(tmp_path / "t.csv", JOBS, run)
    assert len(store.read_table(tmp_path / "t.csv")) == 2


def test_a_torn_last_line_is_cut_off(tmp_path):
    path = tmp_path / "t.csv"
    store.resume(path, JOBS[:2], lambda **_: {"score": 1})
    path.write_text(path.read_text() + "b,10,1e-")
    table = store.resume(path, JOBS, lambda **_: {"score": 1})
    assert len(table) == 4 and len(store.read_table(path)) == 4


def test_a_killed_run_loses_one_row_at_most(tmp_path):
    path = tmp_path / "t.csv"
    code = (
        "import sys, time; from pathlib import Path; from factbook import store\n"
        "def run(k): time.sleep(0.05); print(k, flush=True); return {'square': k * k}\n"
        "store.resume(Path(sys.argv[1]), [{'k': k} for k in range(100)], run)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for _ in range(5):
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        finished = 5 + len(process.stdout.read().split())
    assert finished - 1 <= len(store.read_table(path)) <= finished


@pytest.fixture(autouse=True)
def own_progress_lock():
    """tqdm's lock is shared with forked processes: one killed while it holds it would stop all others for good."""
    tqdm.set_lock(threading.RLock())


def in_child(work) -> int:
    """Run ``work`` in a forked process; its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: the child uses none of them
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child


def test_kills_at_random_points_lose_one_row_each_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "commit", lambda: "abc1234")  # git would take most of the time
    path, log = tmp_path / "t.csv", tmp_path / "finished.log"
    jobs, rng, kills = [{"k": k, "name": f"job, {k}"} for k in range(40)], random.Random(0), 0

    def run(k, name):
        with open(log, "ab", buffering=0) as file:
            file.write(b"%d\n" % k)
        return {"square": k * k, "text": "x" * 2000}

    for _ in range(20):
        child = in_child(lambda: store.resume(path, jobs, run))
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    table = store.resume(path, jobs, run)
    ran = log.read_text().split()
    assert (table.square == table.k**2).all() and len(table) == len(store.read_table(path, key=["k", "name"])) == 40
    assert set(ran) == {str(k) for k in range(40)} and len(ran) <= 40 + kills and kills > 0


@pytest.mark.parametrize("cut", range(1, 40, 2))
def test_a_row_torn_anywhere_is_run_again(tmp_path, monkeypatch, cut):
    monkeypatch.setattr(store, "commit", lambda: "abc1234")  # git would take most of the time
    path = tmp_path / "t.csv"
    store.resume(path, JOBS, lambda **_: {"score": 12345.5})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    table = store.resume(path, JOBS, lambda **_: {"score": 12345.5})
    assert len(table) == 4 and (table.score == 12345.5).all() and len(store.read_table(path)) == 4


def test_two_runs_at_once_share_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "commit", lambda: "abc1234")
    path, log = tmp_path / "t.csv", tmp_path / "finished.log"
    jobs = [{"k": k} for k in range(30)]

    def run(k):
        with open(log, "ab", buffering=0) as file:
            file.write(b"%d\n" % k)
        time.sleep(0.002)
        return {"square": k * k}

    children = [in_child(lambda order=order: store.resume(path, jobs[::order], run)) for order in (1, -1, 1)]
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
    table = store.read_table(path, key=["k"])
    assert sorted(table.k) == list(range(30)) and (table.square == table.k**2).all()
    assert sorted(map(int, log.read_text().split())) == list(range(30)), "no process does what another does or has done"
    assert {file.name for file in tmp_path.iterdir()} == {"t.csv", "finished.log"}, "no claim outlives its run"


def test_the_claim_of_a_dead_process_expires(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "commit", lambda: "abc1234")
    path, begun = tmp_path / "t.csv", tmp_path / "begun"

    def endless(k):
        begun.touch()
        time.sleep(600)

    child = in_child(lambda: store.resume(path, [{"k": 0}], endless))
    while not begun.exists():
        time.sleep(0.01)
    other = in_child(lambda: store.resume(path, [{"k": 0}, {"k": 1}], lambda k: {"square": k * k}))
    while not path.read_bytes().count(b"\n") == 2:  # the other process does what is free, and waits for the rest
        time.sleep(0.01)
    time.sleep(0.1)
    assert store.read_table(path).k.tolist() == [1] and os.waitpid(other, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 0 and store.read_table(path).k.tolist() == [1, 0]
    assert not list(tmp_path.glob(".*.claim"))


def test_a_full_disk_is_told_and_leaves_the_table_whole(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    store.resume(path, JOBS[:1], lambda **_: {"score": 1})
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(ValueError, match="cannot write results to .*t.csv: No space left on device. Free some space"):
        store.resume(path, JOBS, lambda **_: {"score": 1})
    assert path.read_bytes() == before


@pytest.mark.parametrize("room", [0, 1, 40, 90])
def test_a_nearly_full_disk_loses_nothing_that_is_stored(tmp_path, monkeypatch, room):
    """The disk takes ``room`` bytes of the next row, as the limit on a file's size lets it: a short write, no error."""
    monkeypatch.setattr(store, "commit", lambda: "abc1234")
    path = tmp_path / "t.csv"
    store.resume(path, [{"k": 0}], lambda k: {"text": "x" * 100})
    before = path.read_bytes()

    def next_row():
        limit = len(before) + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ValueError, match="cannot write results to .*t.csv: File too large. Free some space"):
            store.resume(path, [{"k": 0}, {"k": 1}], lambda k: {"text": "x" * 100})

    assert os.waitstatus_to_exitcode(os.waitpid(in_child(next_row), 0)[1]) == 0
    assert path.read_bytes() == before
    assert store.resume(path, [{"k": 0}, {"k": 1}], lambda k: {"text": "y"}).text.tolist() == ["x" * 100, "y"]


@pytest.mark.parametrize("mode, file", [(0o555, None), (0o555, 0o644), (0o755, 0o444)])
def test_what_is_read_only_is_told_before_any_run(mode, file):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder, ran = Path(name, "laptop"), Path(name, "ran")
        folder.mkdir()
        if file:
            store.append_row(folder / "t.csv", {"k": 0} | dict.fromkeys(store.PROVENANCE, 1))
            (folder / "t.csv").chmod(file)
        folder.chmod(mode)

        def as_an_ordinary_user():
            if os.geteuid() == 0:
                os.setuid(65534)  # root may write anything
            with pytest.raises(ValueError, match="cannot write results to .*: Permission denied"):
                store.resume(folder / "t.csv", [{"k": 1}], lambda k: ran.touch() or {})

        assert os.waitstatus_to_exitcode(os.waitpid(in_child(as_an_ordinary_user), 0)[1]) == 0 and not ran.exists()
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_told_before_any_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    ran = []
    with pytest.raises(ValueError, match="cannot write results to .*FACTCORE_RESULTS"):
        store.resume(tmp_path / "file" / "t.csv", JOBS, lambda **_: ran.append(1))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ValueError, match="t.csv: Permission denied"):
        store.resume(tmp_path / "t.csv", JOBS, lambda **_: ran.append(1))
    assert not ran


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t + t.splitlines(keepends=True)[1], r"the same job, .*'n': .*'10'.*, in rows \[1, 3\]: keep one"),
        (lambda t: t.replace("b,10,1e-06,1", "b,10,1e-06"), "line 3: 9 cells, the header has 10; delete that line"),
        (lambda t: t.replace("b,10,1e-06,1", "b,10,1e-06,1,1"), "not a readable results table"),
        (lambda t: t.replace("abc1234", "", 1), "row 1: not all of .* are given"),
        (lambda t: t.replace("abc1234,", "abc1234,soon", 1), "row 1: not all of .* are given"),
    ],
)
def test_tables_are_validated_on_load(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(store, "commit", lambda: "abc1234")
    path = tmp_path / "t.csv"
    store.resume(path, [JOBS[0], JOBS[2]], lambda **_: {"score": 1})
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message):
        store.resume(path, JOBS, lambda **_: {"score": 1})


def test_rows_say_their_profile_and_are_held_to_it(tmp_path):
    laptop, paper = tmp_path / "laptop" / "t.csv", tmp_path / "paper" / "t.csv"
    for path in (laptop, paper):
        table = store.resume(path, JOBS[:2], lambda **_: {"score": 1})
        assert store.resume(path, JOBS, lambda **_: {"score": 1}).profile.tolist() == [path.parent.name] * 4
    assert list(table.columns) == ["method", "n", "tol", "score", *store.PROVENANCE, *store.MEASURED, "profile"]
    mixed = paper.read_text() + laptop.read_text().splitlines(keepends=True)[2]
    for path, text, message in [
        (paper, laptop.read_text(), "row 1: its profile is 'laptop'; it does not belong in paper/"),
        (laptop, paper.read_text(), "row 1: its profile is 'paper'; it does not belong in laptop/"),
        (paper, mixed, "row 5: its profile is 'laptop'"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            store.read_table(path)


def test_tables_without_a_profile_stay_so(tmp_path):
    laptop, paper = tmp_path / "laptop" / "t.csv", tmp_path / "paper" / "t.csv"
    store.resume(tmp_path / "t.csv", JOBS[:2], lambda **_: {"score": 1})
    for path in (laptop, paper):
        path.parent.mkdir()
        path.write_bytes((tmp_path / "t.csv").read_bytes())
    before = laptop.read_text()
    table = store.resume(laptop, JOBS, lambda **_: {"score": 1})
    assert len(table) == 4 and "profile" not in table.columns and laptop.read_text().startswith(before)
    assert "profile" not in store.read_table(paper).columns


def test_a_row_tells_its_threads_and_the_seconds_of_all_its_processes(tmp_path):
    code = "import time\nwhile time.process_time() < 0.3: pass"

    def run(k):
        begun = time.process_time()
        while time.process_time() < begun + 0.2:
            pass
        subprocess.run([sys.executable, "-c", code], check=True)
        return {"score": 1}

    row = store.resume(tmp_path / "t.csv", [{"k": 0}], run).iloc[0]
    assert row.threads == torch.get_num_threads() and 0.45 < row.cpu_s < 5 and row.cpu_s < row.seconds * 4


def test_a_study_s_own_seconds_stay(tmp_path):
    for _ in range(2):
        table = store.resume(tmp_path / "t.csv", [{"k": 0, "threads": 3}], lambda k, threads: {"cpu_s": 123.5})
        assert table.cpu_s.tolist() == [123.5] and table.threads.tolist() == [3]


@pytest.mark.parametrize("measured", [[], ["cpu_s"]])
def test_tables_begun_before_a_column_was_measured_go_on_without(tmp_path, measured):
    path = tmp_path / "laptop" / "t.csv"
    row = {"k": 0, "score": 1} | dict.fromkeys(store.PROVENANCE, 1) | dict.fromkeys(measured, 0.5)
    path.parent.mkdir()
    pd.DataFrame([row]).to_csv(path, index=False, lineterminator="\n")
    before = path.read_text()
    table = store.resume(path, [{"k": 0}, {"k": 1}], lambda k: {"score": 2})
    assert list(table.columns) == list(row) and path.read_text().startswith(before) and table.score.tolist() == [1, 2]


def test_every_committed_table_is_valid():
    tables = sorted((Path(store.__file__).parent.parent / "results").glob("*/*.csv"))
    if not tables:
        pytest.skip("not in a checkout")
    for path in tables:
        assert path.parent.name in store.PROFILES
        if path.name != "notebooks.csv":
            assert len(store.read_table(path)) > 0 and path.read_bytes().endswith(b"\n")


def test_tables_of_another_study_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    store.resume(path, JOBS[:1], lambda **_: {"score": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"lacks the column\(s\) \['depth'\]"):
        store.resume(path, [{"depth": 3}], lambda **_: {"score": 1})
    with pytest.raises(ValueError, match="has the columns .* move the file away"):
        store.resume(path, JOBS[1:2], lambda **_: {"other": 1})
    assert path.read_bytes() == before
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="lacks the column"):
        store.read_table(tmp_path / "odd.csv")
    with pytest.raises(ValueError, match="no results table at"):
        store.read_table(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="no jobs"):
        store.resume(path, [], lambda: {})


def test_where_results_live(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTCORE_RESULTS", str(tmp_path))
    assert store.results_file("capacity", "paper") == tmp_path / "paper" / "capacity.csv"
    assert store.results_file("capacity", "smoke") != store.results_file("capacity", "smoke"), "smoke starts afresh"
    assert store.stored("capacity", "laptop") is None
    with pytest.raises(ValueError, match="profile must be one of"):
        store.results_file("capacity", "huge")


def test_a_table_that_no_page_computes_is_the_checkout_s_where_the_folder_has_none(tmp_path, monkeypatch):
    monkeypatch.delenv("FACTCORE_RESULTS", raising=False)
    own = store.committed("shapes")
    monkeypatch.setenv("FACTCORE_RESULTS", str(tmp_path))
    pd.testing.assert_frame_equal(store.committed("shapes"), own)
    (tmp_path / "laptop").mkdir()
    own.head(3).to_csv(tmp_path / "laptop" / "shapes.csv", index=False)
    assert len(store.committed("shapes")) == 3
    with pytest.raises(ValueError, match="no results table at"):
        store.committed("nothing")


def test_relative_results_start_at_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("FACTCORE_RESULTS", "my results")
    monkeypatch.chdir(tmp_path)
    root = Path(store.__file__).resolve().parent.parent
    where = root if (root / "results").is_dir() else tmp_path
    assert store.results_file("capacity", "laptop") == where / "my results" / "laptop" / "capacity.csv"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_any_run(tmp_path):
    ran = []
    with pytest.raises(ValueError, match="device 'cuda' is not there: torch sees 0 CUDA devices"):
        store.resume(tmp_path / "t.csv", [{"k": 0}], lambda k: ran.append(k) or {}, device="cuda")
    assert not ran


def test_provenance_names_thread_count_and_commit():
    assert store.device_name("cpu").startswith("cpu x")
    commit = store.commit()
    assert commit == "unknown" or len(commit.rstrip("+")) >= 7
    assert os.environ.get("HOME") not in commit


def test_power_law_recovers_an_exponent():
    rng = np.random.default_rng(1)
    n = np.repeat([64, 128, 256, 512], 5)
    table = pd.DataFrame({"n": n, "params": 3 * n**1.2 * np.exp(0.05 * rng.standard_normal(20))})
    law = fit.power_law(table, "n", "params")
    slope, constant = np.polyfit(np.log(table.n), np.log(table.params), 1)
    assert law.exponent == pytest.approx(slope) and law.constant == pytest.approx(np.exp(constant))
    assert law.low < law.exponent < law.high and law.low < 1.2 < law.high
    np.testing.assert_allclose(law(np.array([100.0])), np.exp(constant) * 100**slope)


def test_power_law_says_what_is_wrong():
    table = pd.DataFrame({"n": [1.0, 1.0], "y": [2.0, -3.0]})
    with pytest.raises(ValueError, match="no column 'x'"):
        fit.power_law(table, "x", "y")
    with pytest.raises(ValueError, match="n and y must be positive"):
        fit.power_law(table, "n", "y")
    with pytest.raises(ValueError, match="at least two different values of n"):
        fit.power_law(table.abs(), "n", "y")


def test_a_row_names_the_device_of_the_tensors_that_did_the_work(tmp_path, monkeypatch):
    """Whatever was asked for: a run that stays on the CPU says so, and one that tells nothing is refused on a GPU."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {torch.device(device).index or 0}")
    path, where = tmp_path / "t.csv", {0: torch.device("cuda", 1), 1: torch.zeros(1).device, 2: "cuda"}
    table = store.resume(path, [{"k": k} for k in where], lambda k: {"device": where[k], "y": k}, device="cuda")
    assert table.device.tolist() == ["GPU 1", f"cpu x{torch.get_num_threads()}", "GPU 0"] and table.y.tolist() == [
        0,
        1,
        2,
    ]
    with pytest.raises(ValueError, match=r"'cuda', the run of {'k': 3} must return the device of the tensors"):
        store.resume(path, [{"k": 3}], lambda k: {"y": k}, device="cuda")
    assert (
        store.resume(path, [{"k": 4}], lambda k: {"y": k}).device[0].startswith("cpu x")
        and len(store.read_table(path)) == 4
    )


def test_what_is_missing_is_told_without_running_anything(tmp_path):
    path, jobs = tmp_path / "t.csv", [{"k": k, "name": "a"} for k in range(3)]
    assert store.missing(path, jobs) == jobs and not path.exists()
    store.resume(path, jobs[1:2], lambda k, name: {"y": k})
    assert store.missing(path, jobs) == [jobs[0], jobs[2]] and store.missing(path, jobs[1:2]) == []

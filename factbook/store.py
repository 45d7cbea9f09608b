"""Resumable results: one CSV row per finished run, keyed by its parameters, written as the run ends."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

PROFILES = ("smoke", "laptop", "paper")
PROVENANCE = ("device", "torch", "commit", "seconds")  # columns that every table carries


def results_file(name: str, profile: str) -> Path:
    """Where the table ``name`` lives: results/<profile>/<name>.csv in the checkout (or FACTCORE_RESULTS).

    The smoke profile gets a fresh temporary file each time, so that it always computes.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {list(PROFILES)}, got {profile!r}")
    if profile == "smoke":
        return Path(tempfile.mkdtemp(prefix="factcore-smoke-")) / f"{name}.csv"
    checkout = Path(__file__).resolve().parent.parent
    beside = checkout if (checkout / "results").is_dir() else Path.cwd()
    return Path(os.environ.get("FACTCORE_RESULTS") or beside / "results") / profile / f"{name}.csv"


def resume(
    path: Path, jobs: Iterable[dict[str, Any]], run: Callable[..., dict[str, Any]], *, device: str = "cpu"
) -> pd.DataFrame:
    """Call ``run(**job)`` for every job that ``path`` has no row for; return the rows of all ``jobs``, in order.

    A row holds the job, what ``run`` returned, the columns of `PROVENANCE` and, in results/<profile>/, the profile. It
    is appended, locked and synced when its run ends: a killed process loses the row it was working on, and nothing
    else. Several processes may work on one table: each skips what another has finished, and a job has one row.
    ValueError when the file has other columns or cannot be written; the latter is found out before the first run.
    """
    jobs = list(jobs)
    if not jobs:
        raise ValueError("no jobs to run")
    names = list(jobs[0])
    done = _done(path, names)
    missing = [job for job in jobs if _key(job) not in done]
    if missing:
        with _locked(path):  # told now, not when the first run has taken its hours
            pass
    hide = os.environ.get("FACTCORE_PROGRESS") == "0"
    for job in tqdm(missing, desc=f"{path.stem}: runs", delay=5, disable=hide):
        if _key(job) in _done(path, names):  # another process has done it meanwhile
            continue
        begun = time.perf_counter()
        result = run(**job)
        seconds = round(time.perf_counter() - begun, 3)
        provenance = dict(zip(PROVENANCE, (device_name(device), torch.__version__, commit(), seconds)))
        append_row(path, {**job, **result, **provenance}, key=names)
    table = read_table(path, key=names)
    position = {_key(row): at for at, row in enumerate(table[names].to_dict("records"))}
    return table.iloc[[position[_key(job)] for job in jobs]].reset_index(drop=True)


def read_table(path: Path, *, key: Sequence[str] = ()) -> pd.DataFrame:
    """The table at ``path``, without the torn last line of a killed run.

    ValueError when it is missing or unreadable, lacks a column of `PROVENANCE`, has a row of another length, without
    its provenance or of another profile than its folder, and, with ``key``, when two rows have the same entries in
    these columns.
    """
    if not path.is_file():
        raise ValueError(f"no results table at {path}")
    try:
        text = path.read_bytes().decode()
        text = text[: text.rfind("\n") + 1]
        lengths = [(line, len(row)) for line, row in enumerate(csv.reader(io.StringIO(text)), 1) if row]
        words = {"commit": str}  # 2918e60 is no number
        table = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=["nan"], dtype=words)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a readable results table: {error}") from error
    lacking = [column for column in (*key, *PROVENANCE) if column not in table.columns]
    if lacking:
        raise ValueError(f"{path} lacks the column(s) {lacking}: it was made by another study; move it away")
    for line, length in lengths:
        if length != lengths[0][1]:
            raise ValueError(f"{path}, line {line}: {length} cells, the header has {lengths[0][1]}; delete that line")
    unknown = (table[list(PROVENANCE)].isna() | (table[list(PROVENANCE)] == "")).any(axis=1)
    unknown |= ~(pd.to_numeric(table.seconds, errors="coerce") >= 0)
    if unknown.any():
        raise ValueError(f"{path}, row {int(unknown.argmax()) + 1}: not all of {PROVENANCE} are given; delete that row")
    _check_profile(path, table)
    keys = [_key(row) for row in table[list(key)].to_dict("records")] if key else []
    twins = [row for row, count in Counter(keys).items() if count > 1]
    if twins:
        at = [row + 1 for row, other in enumerate(keys) if other == twins[0]]
        raise ValueError(f"{path} has the same job, {dict(zip(key, twins[0]))}, in rows {at}: keep one of them")
    return table


def _check_profile(path: Path, table: pd.DataFrame) -> None:
    """ValueError when a row of results/<profile>/ says that it is of another profile; without the column, none does."""
    folder = path.parent.name
    if folder in PROFILES and "profile" in table.columns and len(wrong := table.index[table.profile != folder]):
        said = table.profile[wrong[0]]
        raise ValueError(f"{path}, row {wrong[0] + 1}: its profile is {said!r}; it does not belong in {folder}/")


def stored(name: str, profile: str = "paper") -> pd.DataFrame | None:
    """The committed table of a profile, or None where there is none yet."""
    path = results_file(name, profile)
    return read_table(path) if path.is_file() else None


def append_row(path: Path, row: dict[str, Any], *, key: Sequence[str] = ()) -> None:
    """Append one row, creating the file with its header; a torn last line of a killed run is cut off first.

    In results/<profile>/ the column ``profile`` is filled in, but for tables that never had it. With ``key``, nothing
    is added where the table has a row with the same entries in these columns. ValueError when the table has other
    columns, and when the disk is full: the table is then as it was before.
    """
    with _locked(path) as file:
        file.seek(0)
        text = file.read().decode()
        whole = text[: text.rfind("\n") + 1]
        columns = next(csv.reader([whole.split("\n", 1)[0]])) if whole else list(row)
        if path.parent.name in PROFILES and ("profile" in columns or not whole):
            row = {**row, "profile": path.parent.name}
            columns = columns if whole else list(row)
        if set(columns) != set(row):
            raise ValueError(f"{path} has the columns {columns}, the new row has {list(row)}: move the file away")
        if key and _key({name: row[name] for name in key}) in _done(path, key):
            return
        line = io.StringIO()
        writer = csv.DictWriter(line, columns, lineterminator="\n")
        if not whole:
            writer.writeheader()
        writer.writerow(row)
        end = len(whole.encode())
        try:
            file.truncate(end)
            file.seek(end)
            file.write(line.getvalue().encode())
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)  # half a row is none
            raise


@contextmanager
def _locked(path: Path) -> Iterator[io.FileIO]:
    """The table opened for reading and writing, unbuffered, for this process alone; ValueError when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
    except OSError as error:
        raise ValueError(
            f"cannot write results to {path}: {error.strerror or error}. Free some space, or name a folder that can be "
            "written to by the environment variable FACTCORE_RESULTS; finished rows are kept"
        ) from error


def commit() -> str:
    """Short hash of the checkout that runs, with + when it has local changes; 'unknown' outside of git."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device_name(device: str) -> str:
    """The name of the GPU, or 'cpu' with the number of threads."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu x{torch.get_num_threads()}"


def _key(job: dict[str, Any]) -> tuple[str, ...]:
    """A job's parameters as they read in a CSV file, so that stored and new jobs compare equal."""
    return tuple(_text(value) for value in job.values())


def _text(value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{float(value):.12g}" if number else str(value)


def _done(path: Path, names: Sequence[str]) -> set[tuple[str, ...]]:
    if not path.is_file() or b"\n" not in path.read_bytes():
        return set()
    return {_key(row) for row in read_table(path, key=names)[list(names)].to_dict("records")}

"""Resumable results: one CSV row per finished run, keyed by its parameters, written as the run ends."""

from __future__ import annotations

import csv
import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
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
    root = (
        os.environ.get("FACTCORE_RESULTS") or (checkout if (checkout / "results").is_dir() else Path.cwd()) / "results"
    )
    return Path(root) / profile / f"{name}.csv"


def resume(
    path: Path, jobs: Iterable[dict[str, Any]], run: Callable[..., dict[str, Any]], *, device: str = "cpu"
) -> pd.DataFrame:
    """Call ``run(**job)`` for every job that ``path`` has no row for; return the rows of all ``jobs``, in order.

    A row holds the job, what ``run`` returned, and the columns of `PROVENANCE`. It is appended, locked and synced
    when its run ends: a killed process loses the row it was working on, and nothing else. ValueError when the file
    has other columns.
    """
    jobs = list(jobs)
    if not jobs:
        raise ValueError("no jobs to run")
    done = _done(path, jobs[0])
    missing = [job for job in jobs if _key(job) not in done]
    hide = os.environ.get("FACTCORE_PROGRESS") == "0"
    for job in tqdm(missing, desc=f"{path.stem}: runs", delay=5, disable=hide):
        begun = time.perf_counter()
        result = run(**job)
        seconds = round(time.perf_counter() - begun, 3)
        provenance = dict(zip(PROVENANCE, (device_name(device), torch.__version__, commit(), seconds)))
        append_row(path, {**job, **result, **provenance})
    table = read_table(path)
    position = {_key(row): at for at, row in enumerate(table[list(jobs[0])].to_dict("records"))}
    return table.iloc[[position[_key(job)] for job in jobs]].reset_index(drop=True)


def read_table(path: Path) -> pd.DataFrame:
    """The table at ``path``. ValueError when it is missing, unreadable or lacks a column of `PROVENANCE`."""
    if not path.is_file():
        raise ValueError(f"no results table at {path}")
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable results table: {error}") from error
    lacking = [column for column in PROVENANCE if column not in table.columns]
    if lacking:
        raise ValueError(f"{path} lacks the column(s) {lacking}")
    return table


def stored(name: str, profile: str = "paper") -> pd.DataFrame | None:
    """The committed table of a profile, or None where there is none yet."""
    path = results_file(name, profile)
    return read_table(path) if path.is_file() else None


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append one row, creating the file with its header; a torn last line of a killed run is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", newline="", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            file.truncate(len(whole.encode()))
        columns = next(csv.reader([whole.split("\n", 1)[0]])) if whole else list(row)
        if set(columns) != set(row):
            raise ValueError(f"{path} has the columns {columns}, the new row has {list(row)}: move the file away")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not whole:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


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


def _done(path: Path, job: dict[str, Any]) -> set[tuple[str, ...]]:
    if not path.is_file() or path.stat().st_size == 0:
        return set()
    table = read_table(path)
    lacking = [column for column in job if column not in table.columns]
    if lacking:
        raise ValueError(f"{path} lacks the column(s) {lacking}: it was made by another study; move it away")
    return {_key(row) for row in table[list(job)].to_dict("records")}

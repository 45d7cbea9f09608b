"""Resumable results: one CSV row per finished run, keyed by its parameters, written as the run ends."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch

from factbook.origin import commit, device_name
from factcore.support import progress_bar

PROFILES = ("smoke", "laptop", "paper")
PROVENANCE = ("device", "torch", "commit", "seconds")  # columns that every table carries
CHECKOUT = Path(__file__).resolve().parent.parent
MEASURED = ("threads", "cpu_s")  # and every table begun since they exist; cpu_s: of all threads and ended children
Key = tuple[tuple[str, str], ...]  # a job's parameters: type and text of each


def results_file(name: str, profile: str) -> Path:
    """Where the table ``name`` lives: results/<profile>/<name>.csv in the checkout (or FACTCORE_RESULTS).

    The smoke profile gets a fresh temporary file each time, so that it always computes. A relative FACTCORE_RESULTS
    starts at the checkout: the working folder of a notebook is notebooks/.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {list(PROFILES)}, got {profile!r}")
    if profile == "smoke":
        return Path(tempfile.mkdtemp(prefix="factcore-smoke-")) / f"{name}.csv"
    beside = CHECKOUT if (CHECKOUT / "results").is_dir() else Path.cwd()
    return beside / (os.environ.get("FACTCORE_RESULTS") or "results") / profile / f"{name}.csv"


def draws(profile: str, seed: int = 0) -> range:
    """The seeds of a study's draws from ``seed`` on: three, and one in the smoke profile, which is to run the code."""
    return range(seed, seed + (1 if profile == "smoke" else 3))


def resume(
    path: Path, jobs: Iterable[dict[str, Any]], run: Callable[..., dict[str, Any]], *, device: str = "cpu"
) -> pd.DataFrame:
    """Call ``run(**job)`` for every job that ``path`` has no row for; return the rows of all ``jobs``, in order.

    A row holds the job, what ``run`` returned, the columns of `PROVENANCE` and `MEASURED` and, in results/<profile>/,
    the profile. Runs are asked to work on ``device``; the row names the one of the tensors that did the work, which
    ``run`` returns as ``device`` (on the CPU it may leave that out). It is appended, locked and synced when its run
    ends: a killed process loses the row it was working on, and nothing else. Several processes may work on one table: a
    job is claimed while it runs, and has one row. Jobs are told apart by type and value. ValueError before the first
    run when a CSV cell would not give a parameter back, the device is not there, or the file has other parameters or
    cannot be written; after it when it has other columns or tells no device.
    """
    jobs = list(jobs)
    device_name(device)  # told now where it is not there
    keys, names = _checked(jobs), list(jobs[0])
    done = _done(path, names)
    for name, column in zip(names, zip(*done, *keys)):
        if len(kinds := {kind for kind, _ in column}) > 1 and kinds != {"int", "float"}:
            raise ValueError(f"parameter {name!r} is {sorted(kinds)} in the jobs and {path}: a column holds one type")
    if missing := {key: job for key, job in zip(keys, jobs) if key not in done}:
        with _locked(path):  # told now, not when the first run has taken its hours
            pass
    _run_all(path, missing, lambda job: _row(job, run, device))
    table = read_table(path, key=names)
    position = {key: at for at, key in enumerate(_keys(path, names))}
    table = table.iloc[[position[key] for key in keys]].reset_index(drop=True)
    for name, kinds in zip(names, ({kind for kind, _ in column} for column in zip(*keys))):
        if "int" in kinds and table[name].dtype == float:  # read beside floats an int is one, in the table it is not
            table[name] = pd.Series([job[name] for job in jobs], dtype=object if "float" in kinds else None)
    return table


def missing(path: Path, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ``jobs`` that the table at ``path`` has no row for."""
    keys, done = _checked(jobs), _done(path, list(jobs[0]))
    return [job for key, job in zip(keys, jobs) if key not in done]


def _run_all(path: Path, missing: dict[Key, dict[str, Any]], row: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Append ``row(job)`` of each job: first of those that no process works on, then of what others leave undone."""
    with progress_bar(None, f"{path.stem}: runs", total=len(missing)) as bar:
        for wait in (False, True):
            for key, job in list(missing.items()):
                if (claim := _claim(path, key, wait=wait)) is None:
                    continue
                with claim:
                    try:
                        if key not in _done(path, list(job)):
                            append_row(path, row(job), key=list(job))
                    finally:
                        Path(claim.name).unlink(missing_ok=True)
                del missing[key]
                bar.update()


def _row(job: dict[str, Any], run: Callable[..., dict[str, Any]], asked: str) -> dict[str, Any]:
    """The job, what its run returns, and where, by what and for how long it ran."""
    begun, busy = time.perf_counter(), sum(os.times()[:4])
    result = dict(run(**job))
    seconds, cpu_s = time.perf_counter() - begun, sum(os.times()[:4]) - busy
    worked = result.pop("device", "cpu" if asked == "cpu" else None)
    if worked is None:
        raise ValueError(
            f"asked for {asked!r}, the run of {job} must return the device of the tensors that did the work"
        )
    if other := [name for name in result if name in job and _key([result[name]]) != _key([job[name]])]:
        raise ValueError(f"the run gave its parameters {other} other values than the job {job}")
    provenance = dict(zip(PROVENANCE, (device_name(str(worked)), torch.__version__, commit(), round(seconds, 3))))
    own, measured = job | result, zip(MEASURED, (torch.get_num_threads(), round(cpu_s, 3)))  # its own of these stay
    return own | provenance | {name: value for name, value in measured if name not in own}


def read_table(path: Path, *, key: Sequence[str] = ()) -> pd.DataFrame:
    """The table at ``path``, without the torn last line of a killed run.

    ValueError when it is missing or unreadable, lacks a column of `PROVENANCE`, has a row of another length, without
    its provenance or of another profile than its folder, and, with ``key``, when two rows have the same entries in
    these columns.
    """
    if not path.is_file():
        raise ValueError(f"no results table at {path}")
    try:
        text = _whole(path)
        lengths = [(line, len(row)) for line, row in enumerate(csv.reader(io.StringIO(text)), 1) if row]
        words = {"commit": str}  # 2918e60 is no number
        table = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=["nan"], dtype=words)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a readable results table: {error}") from error
    if lacking := [column for column in (*key, *PROVENANCE) if column not in table.columns]:
        raise ValueError(f"{path} lacks the column(s) {lacking}: it was made by another study; move it away")
    for line, length in lengths:
        if length != lengths[0][1]:
            raise ValueError(f"{path}, line {line}: {length} cells, the header has {lengths[0][1]}; delete that line")
    unknown = (table[list(PROVENANCE)].isna() | (table[list(PROVENANCE)] == "")).any(axis=1)
    unknown |= ~(pd.to_numeric(table.seconds, errors="coerce") >= 0)
    if unknown.any():
        raise ValueError(f"{path}, row {int(unknown.argmax()) + 1}: not all of {PROVENANCE} are given; delete that row")
    folder = path.parent.name
    told = folder in PROFILES and "profile" in table.columns  # tables begun without the column go on without
    for at in table.index[table.profile != folder] if told else []:
        raise ValueError(f"{path}, row {at + 1}: its profile is {table.profile[at]!r}; it does not belong in {folder}/")
    keys = _keys(path, key) if key else []
    if len({*keys}) < len(keys):
        ((job, _),) = Counter(keys).most_common(1)
        at = [row for row, other in enumerate(keys, 1) if other == job]
        raise ValueError(f"{path} has the same job, {dict(zip(key, job))}, in rows {at}: keep one of them")
    return table


def stored(name: str, profile: str = "paper") -> pd.DataFrame | None:
    """The committed table of a profile, or None where there is none yet."""
    return read_table(path) if (path := results_file(name, profile)).is_file() else None


def committed(name: str, profile: str = "laptop") -> pd.DataFrame:
    """A table that no page computes: that of the results folder, or where it holds none the checkout's own."""
    path = results_file(name, profile)
    return read_table(path if path.is_file() else CHECKOUT / "results" / profile / f"{name}.csv")


def append_row(path: Path, row: dict[str, Any], *, key: Sequence[str] = ()) -> None:
    """Append one row, creating the file with its header; a torn last line of a killed run is cut off first.

    In results/<profile>/ the column ``profile`` is filled in. A table begun without it, or without those of `MEASURED`,
    goes on without. With ``key``, nothing is added where the table has a row with the same entries in these columns.
    ValueError when the table has other columns, when a text has a line break, and when the disk is full: the table is
    then as it was before.
    """
    if broken := [name for name, value in row.items() if isinstance(value, str) and not _one_line(value)]:
        raise ValueError(f"{broken} of the new row for {path} must be text of one line, got {row[broken[0]]!r}")
    with _locked(path) as file:
        whole = _whole(path)
        columns = next(csv.reader([whole.split("\n", 1)[0]])) if whole else [*row, "profile"]
        if path.parent.name in PROFILES and "profile" in columns:
            row = {**row, "profile": path.parent.name}
        columns = columns if whole else list(row)
        row = {name: value for name, value in row.items() if name in columns or name not in MEASURED}
        if set(columns) != set(row):
            raise ValueError(f"{path} has the columns {columns}, the new row has {list(row)}: move the file away")
        if key and _key(row[name] for name in key) in _done(path, key):
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
            rest = line.getvalue().encode()
            while rest:  # a disk that is nearly full takes a part without a word
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)  # half a row is none
            raise


@contextmanager
def _locked(path: Path) -> Iterator[io.FileIO]:
    """The table opened for reading and writing, unbuffered, for this process alone; ValueError when it cannot be."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _claim(path: Path, key: Key, *, wait: bool) -> BinaryIO | None:
    """A job's claim, None while another process has it: a lock, which ends with its process, on a file of its own."""
    name = path.with_name(f".{path.stem}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.claim")
    with _told(name):
        while True:
            file = open(name, "ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                file.close()
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
                    return file
            file.close()  # the process that had it removed the file meanwhile: what is locked has no name


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """The file system's errors as a ValueError that says what to do."""
    try:
        yield
    except OSError as error:
        advice = "Free some space, or set FACTCORE_RESULTS to a folder that can be written to; finished rows are kept"
        raise ValueError(f"cannot write results to {path}: {error.strerror or error}. {advice}") from error


def _checked(jobs: Sequence[dict[str, Any]]) -> list[Key]:
    """The keys of the jobs; ValueError for parameters that a CSV cell would not give back by type and value."""
    if not jobs:
        raise ValueError("no jobs to run")
    if taken := {*jobs[0]} & {*PROVENANCE, "profile"}:
        raise ValueError(f"parameters {sorted(taken)}: the table fills these columns in; give them other names")
    for job in jobs:
        if list(job) != list(jobs[0]):
            raise ValueError(f"the parameters of a job are {list(job)}, those of the first {list(jobs[0])}")
        if lost := [name for name, value in job.items() if not _survives(value)]:
            kinds = "int (64 bits), float, bool, and text of one line that reads as none of these"
            raise ValueError(f"a CSV cell would not give back {lost[0]!r} of the job {job}: it keeps {kinds}")
    return [_key(job.values()) for job in jobs]


def _survives(value: Any) -> bool:
    known = isinstance(value, (int, float, str, np.bool_, np.integer)) and _one_line(str(value))
    large = isinstance(value, (int, np.integer)) and not -(2**63) <= int(value) < 2**63
    return known and not large and _key([value]) == _key([_parsed(str(value))])


def _key(values: Iterable[Any]) -> Key:
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return tuple((type(value).__name__, repr(value)) for value in plain)


def _parsed(text: str) -> bool | int | float | str:
    """A cell, of the type that reading a column of such cells gives it."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def _one_line(text: str) -> bool:
    return not set(text) & set("\r\n\0") and text.encode(errors="ignore").decode() == text


def _whole(path: Path) -> str:  # the lines that were written to their end
    return "".join(path.read_bytes().decode().rpartition("\n")[:2])


def _keys(path: Path, names: Sequence[str]) -> list[Key]:  # of the stored rows, in their order
    rows = list(csv.reader(io.StringIO(_whole(path))))
    at = [rows[0].index(name) for name in names]
    return [_key(_parsed(row[column]) for column in at) for row in rows[1:] if row]


def _done(path: Path, names: Sequence[str]) -> set[Key]:
    if not path.is_file() or b"\n" not in path.read_bytes():
        return set()
    read_table(path, key=names)
    return set(_keys(path, names))

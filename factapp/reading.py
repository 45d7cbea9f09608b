"""Facts of your own: a CSV file with a column of keys and one of values, and their embeddings as .npy files."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factapp.arrays import file_bytes, load_rows
from factapp.encoder import embed, fingerprints, unrelated_sentences, unseen_difference
from factcore.facts import FactSet

SHOWN = 10  # faulty rows listed before "and … more"
SEPARATORS = ",;\t|"
_FAULTS = {
    "unexpected end of data": "a quote is opened and never closed",
    "field larger than field limit (131072)": "a cell has more than 131,072 characters; is a quote never closed?",
}


class Table(NamedTuple):
    """What a CSV file says: per fact its line, key, value, and row among the ``rows`` of the file; and how many empty
    rows were left out."""

    lines: list[int]
    keys: list[str]
    values: list[str]
    places: list[int]
    rows: int
    skipped: int


class Own(NamedTuple):
    """Facts of a CSV file; where MiniLM embedded them, the `fingerprints` of their keys and the embeddings of unrelated
    sentences; remarks; and what messages call each key: 'Schiphol' (line 2)."""

    facts: FactSet
    texts: Tensor | None
    unrelated: Tensor | None
    notes: list[str]
    said: list[str]


def read_facts(
    path: str | Path,
    key: str,
    value: str,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
) -> Table:
    """The rows of a CSV file with a header: UTF-8, or as its mark or ``encoding`` says; rows end at CR, LF or CRLF.

    ``separator=None``: the one of `SEPARATORS` at which the header names both columns, or what a first line "sep=;"
    says. Runs of spaces become one; ``skip_empty`` leaves out rows with an empty key or value. ValueError, listing the
    lines, for a missing file or column, a file without rows, bytes that are not of the encoding, a quote that is never
    closed, rows with more cells than the header, empty cells and rows that contradict each other: the same key with
    different values.
    """
    if _tidy(key) == _tidy(value):
        raise ValueError(f"keys and values are the same column, {key!r}")
    text = _text(path, encoding)
    if told := re.match(r'"?sep=(.)"?(?:\r\n|\r|\n)', text):  # as spreadsheets write it
        text, separator = text[told.end() :], separator or told[1]
    before = 1 if told else 0
    separator = _checked(separator) or _found_separator(path, text, (_tidy(key), _tidy(value)))
    rows = [(line + before, row) for line, row in _rows(path, text, separator) if any(row)]
    if not rows:
        raise ValueError(f"{path} is empty: it needs a header and at least one row")
    header = [_tidy(cell) for cell in rows[0][1]]
    for column in (key, value):
        if header.count(_tidy(column)) != 1:
            what = "no column" if _tidy(column) not in header else "more than one column"
            named = ", ".join(map(_short, header[:20]))
            hint = _hint(_tidy(column), header)
            raise ValueError(f"{path} has {what} {column!r}; its first line names {named}{hint}")
    at = header.index(_tidy(key)), header.index(_tidy(value))
    long = [f"line {line}: {_short(', '.join(row))}" for line, row in rows[1:] if any(row[len(header) :])]
    what = f"more cells than the {len(header)} columns (put quotes around a cell with {separator!r} in it)"
    _refuse(path, what, long)
    cells = [[_tidy(row[i]) if i < len(row) else "" for i in at] for _, row in rows[1:]]
    lines = [line for line, _ in rows[1:]]
    kept = [i for i, pair in enumerate(cells) if all(pair) or not skip_empty]
    if not kept:
        raise ValueError(f"{path} has a header and no rows" + (" without an empty cell" if cells else ""))
    empty = [f"line {lines[i]}" for i in kept if not all(cells[i])]
    _refuse(path, "empty cells (--skip-empty leaves such rows out)", empty)
    keys, values = ([cells[i][side] for i in kept] for side in (0, 1))
    table = Table([lines[i] for i in kept], keys, values, kept, len(cells), len(cells) - len(kept))
    what = "contradictory rows (a key has one value: keep one row, or make the names differ)"
    _refuse(path, what, _contradictions(table))
    return table


def own_facts(
    path: str | Path, key: str, value: str, *, embeddings: tuple[str, str] | None = None, **reading: Any
) -> Own:
    """The facts of a CSV file, with names; ``reading`` are options of `read_facts`.

    ``embeddings``: two .npy files. The first has one row per row of the CSV file, in its order; the second one row
    per distinct value, in order of first appearance. They are used as they are, in float32: nothing is normalised.
    Without them texts are embedded by MiniLM (unit norm). A row that repeats another is stored once. ValueError, before
    any fact is built, for arrays of the wrong shape, for texts whose embeddings coincide and for a repeated key with
    another embedding.
    """
    table = read_facts(path, key, value, **reading)
    names = list(dict.fromkeys(table.values))
    first: dict[str, int] = {}
    for i, text in enumerate(table.keys):
        first.setdefault(text, i)
    kept = list(first.values())
    lined = [f"{_short(key)} (line {line})" for key, line in zip(table.keys, table.lines)]
    said = [lined[i] for i in kept]
    named = [_short(name) for name in names]
    texts = unrelated = None
    notes = [f"left out {table.skipped:,} row(s) with empty cells"] if table.skipped else []
    if embeddings:
        given = load_rows(embeddings[0], table.rows, "one per row of the CSV file", dict(zip(table.places, lined)))
        given = given[table.places]
        what = "keys repeated with another embedding (keep one row, or make the names differ)"
        _refuse(path, what, _repeated_otherwise(table, [first[text] for text in table.keys], given))
        key_rows, what = given[kept], "one per distinct value, in order of first appearance"
        value_rows = load_rows(embeddings[1], len(names), what, dict(enumerate(named)))
    else:
        key_rows, value_rows, unrelated = embed(list(first)), embed(names), embed(unrelated_sentences())
        texts = fingerprints(list(first))
    number = {name: i for i, name in enumerate(names)}
    targets = torch.tensor([number[table.values[i]] for i in kept])

    def twins(texts: list[str], labels: list[str], rows: Tensor, clash: Callable[[int, int], bool]) -> list[str]:
        why = (lambda a, b: f": {unseen_difference(texts[a], texts[b])}") if not embeddings else (lambda a, b: "")
        return [f"{labels[a]} and {labels[b]}{why(a, b)}" for a, b in _equal_rows(rows) if clash(a, b)]

    _refuse(path, "values with the same embedding", twins(names, named, value_rows, lambda a, b: True))
    apart = twins(list(first), said, key_rows, lambda a, b: bool(targets[a] != targets[b]))
    _refuse(path, "keys of different values with the same embedding", apart)
    if alike := twins(list(first), said, key_rows, lambda a, b: True):
        notes.append(_listed(f"{len(alike):,} key(s) that cannot be told from another of the same value", alike))
    facts = FactSet(key_rows, value_rows, targets, tuple(first), tuple(names))
    return Own(facts, texts, unrelated, notes, said)


def decoded(content: bytes, encoding: str | None, name: str | Path) -> str:
    """Text from bytes: in ``encoding``, or as its byte-order mark says, or UTF-8. ValueError naming byte and line."""
    marked = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        if encoding is not None and not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError
        text = content.decode(encoding or marked)
        wide = encoding is not None and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        if wide and content and b"\0" not in content:  # in a line break of either there is one
            raise UnicodeDecodeError(str(encoding), content, 0, 1, "no zeros")
        return text.removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"{encoding!r} is no encoding of text; try utf-8, utf-16 or windows-1252") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, byte = len(re.findall(rb"\r\n|\r|\n", before)) + 1, error.object[error.start]
        advice = "save it as UTF-8 (in a spreadsheet: CSV UTF-8), or name its encoding: --encoding windows-1252"
        if encoding and _is_utf_8(content):
            advice = "it reads as UTF-8: leave --encoding out"
        what = f"{name} is not {(encoding or error.encoding).upper()}: byte {byte:#x} in line {line}"
        raise ValueError(f"{what}; {advice}") from None


def _is_utf_8(content: bytes) -> bool:
    try:
        return bool(content.decode())
    except UnicodeDecodeError:
        return False


def _text(path: str | Path, encoding: str | None) -> str:
    content = file_bytes(path)
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is a spreadsheet or an archive, not a CSV file: save it as CSV (UTF-8)")
    text = decoded(content, encoding, path)
    if "\0" in text:
        raise ValueError(f"{path} holds NUL characters: is it UTF-16? Then name it: --encoding utf-16-le")
    return text


def _checked(separator: str | None) -> str | None:
    separator = {"tab": "\t", "\\t": "\t"}.get(separator or "", separator)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise ValueError(f"the separator must be one character (or tab), no quote or line break, got {separator!r}")
    return separator


def _found_separator(path: str | Path, text: str, columns: tuple[str, str]) -> str:
    """The separator at which the header names both ``columns``; or else the one that gives it the most cells."""
    cells: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        try:
            header = next((row for _, row in _rows(path, text, separator) if any(row)), [])
        except ValueError:  # quotes that are none at this separator
            continue
        cells[separator] = [_tidy(cell) for cell in header]
    naming = [separator for separator, header in cells.items() if set(columns) <= set(header)]
    return naming[0] if naming else max(cells, key=lambda separator: len(cells[separator]), default=",")


def _rows(path: str | Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The stripped cells of every row, each with the number of its last line."""
    lines = io.StringIO(text, newline="")  # ends lines at CR, LF and CRLF, and keeps them
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=separator != " ")
    begun = 1
    try:
        for row in reader:
            yield reader.line_num, [cell.strip() for cell in row]
            begun = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, the row that begins in line {begun}: {_FAULTS.get(str(error), error)}") from error


def _hint(column: str, header: list[str]) -> str:
    """What a column that the header does not name once may be."""
    if column in header:
        return ""
    if len(header) == 1:
        return " (is it separated otherwise? --sep)"
    folded = {name.casefold(): name for name in header}
    close = difflib.get_close_matches(column.casefold(), folded, 1)
    return f" (did you mean {_short(folded[close[0]])}?)" if close else " (the first line must be the header)"


def _contradictions(table: Table) -> list[str]:
    first: dict[str, int] = {}
    return [
        f"lines {table.lines[first[k]]} and {table.lines[i]}: {_short(k)} has {_short(table.values[first[k]])} "
        f"and {_short(v)}"
        for i, (k, v) in enumerate(zip(table.keys, table.values))
        if table.values[first.setdefault(k, i)] != v
    ]


def _repeated_otherwise(table: Table, before: list[int], rows: Tensor) -> list[str]:
    """The facts whose embedding is not that of the row ``before`` which names their key first."""
    differ = (rows != rows[before]).any(dim=1).nonzero().flatten().tolist()
    return [f"lines {table.lines[before[i]]} and {table.lines[i]}: {_short(table.keys[i])}" for i in differ]


def _equal_rows(rows: Tensor) -> list[tuple[int, int]]:
    """Every row that repeats an earlier one, with the first of its kind before it."""
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    first: dict[int, int] = {}
    pairs = [(first.setdefault(g, i), i) for i, g in enumerate(group.tolist())]
    return [(a, b) for a, b in pairs if a != b]


def _tidy(cell: str) -> str:
    return " ".join(cell.split())


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:60]}…{text[-15:]}")


def _listed(what: str, faults: list[str]) -> str:
    more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return f"{what}:\n  " + "\n  ".join(faults[:SHOWN]) + more


def _refuse(path: str | Path, what: str, faults: list[str]) -> None:
    if faults:
        raise ValueError(_listed(f"{path} has {what}", faults))

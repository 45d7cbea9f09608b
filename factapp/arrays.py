"""Files as bytes, and arrays of numbers in .npy files: read only where the bytes bear out what the header says."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from factcore.support.files import MissingFileError


def load_rows(path: str | Path, count: int | None = None, what: str = "", names: Mapping[int, str] = {}) -> Tensor:
    """The rows of a .npy file as float32 (rows, d). Pickles are refused.

    ValueError if they are not ``count``, and for rows that float32 cannot hold: the first by its number and its name.
    """
    content = file_bytes(path)
    if not content.startswith(b"\x93NUMPY"):
        raise ValueError(f"{path} is not a .npy file, which numpy.save writes")
    array = _array(path, content)
    if count is not None and len(array) != count:
        raise ValueError(f"{path} has {len(array)} rows, it needs {count}: {what}")
    with np.errstate(over="ignore", under="ignore"):
        rows = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(f"{path} has NaN or infinite entries (in float32) in {_rows(bad, names)}")
    largest = np.abs(rows).max(axis=1)
    if len(bad := np.flatnonzero((array != 0).any(axis=1) & (largest < np.finfo(np.float32).tiny))):
        raise ValueError(f"{path} has {_rows(bad, names, ' too small for float32')}: scale it up")
    return torch.from_numpy(rows)


def _rows(bad: np.ndarray, names: Mapping[int, str], what: str = "") -> str:
    name = f", {names[bad[0]]}" if bad[0] in names else ""
    return f"{len(bad)} row{'s' * (len(bad) > 1)}{what}, the first is row {bad[0]} (counted from 0){name}"


def file_bytes(path: str | Path) -> bytes:
    """What a file or a pipe holds. ValueError where there is none, and for folders and devices."""
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise ValueError(f"{path} is a folder")
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise ValueError(f"{path} is a device, not a file")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"no such file: {path or repr(path)}") from None
    except (OSError, MemoryError) as error:
        raise ValueError(f"cannot read {path}: {error or 'it does not fit into memory'}") from error


def _array(path: str | Path, content: bytes) -> np.ndarray:
    """The array of a .npy file: its header is believed only where the bytes behind it bear it out."""
    file = io.BytesIO(content)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        shape, by_columns, dtype = read[version](file)
    except Exception as error:  # a header is parsed as Python, which fails in many ways
        raise ValueError(f"{path} is not a .npy file of numbers: {error}") from error
    plain = all(type(size) is int and size > 0 for size in shape)
    if dtype.kind not in "fiu" or len(shape) != 2 or not plain:
        raise ValueError(f"{path} must hold one array of numbers of shape (rows, d), it holds {dtype} {shape}")
    needs, holds = shape[0] * shape[1] * dtype.itemsize, len(content) - file.tell()
    if needs != holds:
        raise ValueError(f"{path} is damaged: {dtype} {shape} takes {needs:,} bytes, it holds {holds:,}")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if by_columns else "C")

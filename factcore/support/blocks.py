"""Rows in blocks, so that a temporary of rows × row_size numbers is never held whole; a GPU takes larger blocks."""

from collections.abc import Iterator

import torch

ENTRIES = 2**25  # numbers held at once where speed does not depend on it: 128 MB in float32
GPU_ENTRIES = 2**26  # on anything but a CPU at least that many: launches cost more than memory


def row_blocks(rows: int, row_size: int, device: torch.device, *, entries: int = ENTRIES) -> Iterator[slice]:
    """Slices of ``rows`` rows, each of as many as keep ``entries`` numbers on a CPU, at ``row_size`` numbers a row."""
    size = block_size(row_size, device, entries=entries)
    return (slice(at, min(rows, at + size)) for at in range(0, rows, size))


def block_size(row_size: int, device: torch.device, *, entries: int = ENTRIES) -> int:
    """Rows in a block of `row_blocks`, at least one."""
    held = entries if device.type == "cpu" else max(entries, GPU_ENTRIES)
    return max(1, held // max(1, row_size))

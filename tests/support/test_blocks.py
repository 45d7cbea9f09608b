"""Rows in blocks: every row once, in order, and no block larger than it may be."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from factcore.support import block_size, row_blocks
from factcore.support.blocks import GPU_ENTRIES


@given(rows=st.integers(0, 500), row_size=st.integers(0, 300), entries=st.integers(1, 5000))
def test_every_row_once_and_no_block_too_large(rows, row_size, entries):
    cpu = torch.device("cpu")
    blocks = list(row_blocks(rows, row_size, cpu, entries=entries))
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(rows))
    for block in blocks:
        held = (block.stop - block.start) * row_size
        assert held <= entries or block.stop - block.start == 1
    if len(blocks) > 1:  # as few as that: one more row would not have fitted
        assert (blocks[0].stop + 1) * max(1, row_size) > entries


def test_a_gpu_takes_blocks_that_are_worth_a_launch():
    assert block_size(1, torch.device("cuda"), entries=1) == GPU_ENTRIES
    assert block_size(1, torch.device("cuda"), entries=4 * GPU_ENTRIES) == 4 * GPU_ENTRIES

"""What every room uses: files, checks of arguments, random streams, blocks of rows, progress bars."""

from factcore.support.blocks import block_size, row_blocks
from factcore.support.checks import check_choice, check_embeddings, check_integer, check_options, described
from factcore.support.files import (
    data_file,
    pack_names,
    read_safetensors,
    unpack_lines,
    unpack_names,
    write_safetensors,
)
from factcore.support.progress import progress_bar
from factcore.support.streams import stream

__all__ = [
    "block_size",
    "row_blocks",
    "check_choice",
    "check_embeddings",
    "check_integer",
    "check_options",
    "described",
]
__all__ += ["data_file", "pack_names", "read_safetensors", "unpack_lines", "unpack_names", "write_safetensors"]
__all__ += ["progress_bar", "stream"]

"""What every room uses: files, checks of arguments, random streams, blocks of rows, progress bars."""

from factcore.support.blocks import block_size, row_blocks
from factcore.support.checks import check_choice, check_embeddings, check_integer, check_options, described
from factcore.support.files import data_file, read_safetensors, unpack_lines
from factcore.support.progress import progress_bar
from factcore.support.streams import stream

__all__ = ["block_size", "check_choice", "check_embeddings", "check_integer", "check_options", "data_file", "described"]
__all__ += ["progress_bar", "read_safetensors", "row_blocks", "stream", "unpack_lines"]

"""An MLP of a language model as facts: what goes in at each position of a text is the key, what comes out the value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import normalize

from factcore.facts import FactSet
from factcore.support import check_integer
from factcore.support.files import MissingFileError
from factcore.support.progress import progress_bar

MOST = 16_384  # positions that are read unless told otherwise: 128 MB of rows at d = 1,024
CONTEXT = 512  # tokens of a sequence, or fewer where the model takes fewer
PIECE = 2**16  # characters tokenised at a time
TWINS = 1e-5  # relative distance within which two inputs are one: sums of another length round otherwise
SHADOWS = 8  # projections in which pairs are compared first
BLOCK = 4096  # rows compared or moved at a time
# Where the MLP of a block begins and ends, by the names of its parts: Llama, Qwen, GPT-2, GPT-NeoX and their kin; BERT
# and RoBERTa; DistilBERT; OPT.
PARTS = (("mlp", "mlp"), ("intermediate", "output.dense"), ("ffn", "ffn"), ("fc1", "fc2"))


class Positions(NamedTuple):
    """Of one sequence the tokens (n), as text, and what goes into (n, d) and comes out of the MLP (n, e)."""

    tokens: list[str]
    keys: Tensor
    values: Tensor


class _Reached(Exception):
    """The layer has answered: what follows it is not computed."""


def capture(folder: str | Path, layer: int, text: str | Path, *, most: int = MOST) -> FactSet:
    """Inputs and outputs of the MLP of block ``layer`` (from 0) as facts (n, d) in float32, one to one, norms kept.

    folder: a causal or masked language model as `transformers` saves it (safetensors weights), read without a network.
    Each line of the file ``text`` (UTF-8) is a sequence, cut at 512 tokens or at what the model takes. The first
    ``most`` positions are read, special tokens left out; of positions with the same input, as the first words of equal
    sentences have, the first is kept. Names: the token and the number of its position, "city @17". At the peak twice
    the memory of these keys and values is needed, beside the model's.

    ValueError, in a line, without `transformers`, for a folder without a model or with one whose blocks have another
    form, a layer out of range, weights that are missing, a text without a token, and more positions than fit in memory.
    """
    check_integer("most", most)
    transformers = _transformers()
    tokenizer, model = _loaded(transformers, Path(folder), layer)
    config = model.config.get_text_config()
    longest = min(CONTEXT, getattr(config, "max_position_embeddings", CONTEXT), tokenizer.model_max_length)
    parts = mlp_parts(model, layer)
    words: list[str] = []
    rows: list[Tensor] = []  # keys and values, room for ``most``: memory is taken as they are filled
    with progress_bar(None, "positions", total=most) as bar:
        for tokens, special in sequences(tokenizer, Path(text), longest):
            read = _positions(tokenizer, model, parts, tokens, special)
            rows = rows or _room(most, read.keys.shape[1], read.values.shape[1])
            before, after = len(words), min(most, len(words) + len(read.tokens))
            for held, new in zip(rows, (read.keys, read.values)):
                held[before:after] = new[: after - before]
            words += read.tokens[: after - before]
            bar.update(after - before)
            if after == most:
                break
    if not words:
        raise ValueError(f"{text} holds no text: there is no token to capture")
    kept = first_of_twins(rows[0][: len(words)])
    names = [f"{words[row]} @{row}" for row in kept.tolist()]
    keys, values = (to_front(held, kept) for held in rows)
    return FactSet(keys, values, torch.arange(len(kept)), tuple(names), tuple(names))


def to_front(rows: Tensor, kept: Tensor) -> Tensor:
    """The rows ``kept``, ascending, moved in place to the head of ``rows``: no second copy of them is made."""
    for part in torch.arange(len(kept)).split(BLOCK):
        rows[part] = rows[kept[part]]
    return rows[: len(kept)]


def mlp_parts(model: Any, layer: int) -> tuple[nn.Module, nn.Module]:
    """The modules of block ``layer`` whose input is the MLP's and whose output is; ValueError where none is known."""
    count = model.config.get_text_config().num_hidden_layers
    for blocks in model.modules():
        if isinstance(blocks, nn.ModuleList) and len(blocks) == count:
            for names in PARTS:
                try:
                    first, last = (blocks[layer].get_submodule(name) for name in names)
                    return first, last
                except AttributeError:
                    continue
    known = "; ".join(" … ".join(dict.fromkeys(names)) for names in PARTS)
    raise ValueError(f"no MLP found in the blocks of a {type(model).__name__}; known are blocks with {known}")


def sequences(tokenizer: Any, path: Path, longest: int) -> Iterator[tuple[list[int], list[bool]]]:
    """The lines of a text as tokens, at most ``longest`` at a time, with the marks of the special ones."""
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    with open(path, encoding="utf-8") as file:
        while line := _line(file, path):
            read = tokenizer(
                [line.strip()],
                truncation=True,
                max_length=longest,
                return_overflowing_tokens=True,
                return_special_tokens_mask=True,
            )
            for tokens, special in zip(read["input_ids"], read["special_tokens_mask"]):
                if not all(special):
                    yield tokens, [bool(mark) for mark in special]


def first_of_twins(keys: Tensor) -> Tensor:
    """Rows of ``keys`` (n, d) but for those that repeat an earlier one up to rounding: (k,) int64, in order.

    Twins lie side by side in the order of any projection, but for rows that only happen to be near there. Pairs that
    are 1, 2, … places apart are compared until none is near even there; of twins the later row goes, and as its place
    goes with it, the search begins anew. No two rows that stay are twins, and each that went has an earlier one.
    """
    directions = torch.randn(keys.shape[1], SHADOWS, generator=torch.Generator().manual_seed(0), dtype=keys.dtype)
    shadows, reach = keys @ normalize(directions, dim=0), TWINS * keys.norm(dim=1)
    left, apart = shadows[:, 0].argsort(stable=True), 1
    while apart < len(left):
        one, other = left[:-apart], left[apart:]
        near = (shadows[other] - shadows[one]).abs() <= reach[one, None]  # shadows are no further apart than their rows
        if not near[:, 0].any():
            break
        one, other = (rows[near.all(dim=1)].split(BLOCK) for rows in (one, other))
        twins = [(keys[a] - keys[b]).norm(dim=1) <= reach[a] for a, b in zip(one, other)]
        later = torch.cat([a.maximum(b)[same] for a, b, same in zip(one, other, twins)])
        left, apart = (left[~torch.isin(left, later)], 1) if len(later) else (left, apart + 1)
    return left.sort().values


@torch.inference_mode()
def _positions(
    tokenizer: Any, model: nn.Module, parts: tuple[nn.Module, nn.Module], tokens: list[int], special: list[bool]
) -> Positions:
    """The positions of one sequence, special tokens left out. One sequence at a time: no padding enters a row."""
    met: dict[str, Any] = {}

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        met["value"] = output
        raise _Reached

    hooks = [parts[0].register_forward_pre_hook(lambda _, inputs: met.update(key=inputs[0]))]
    hooks.append(parts[1].register_forward_hook(leave))
    try:
        model(input_ids=torch.tensor([tokens]))
    except _Reached:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    if not all(isinstance(rows, Tensor) for rows in met.values()):
        raise ValueError(f"the MLP of a {type(model).__name__} gives no single tensor: a mixture of experts is no MLP")
    keys, values = (met[part].reshape(len(tokens), -1) for part in ("key", "value"))
    places = [place for place, mark in enumerate(special) if not mark]
    return Positions([tokenizer.decode([tokens[at]]).strip() for at in places], keys[places], values[places])


def _room(most: int, *sizes: int) -> list[Tensor]:
    try:
        return [torch.empty(most, size) for size in sizes]
    except RuntimeError as error:
        raise ValueError(f"no memory for {most:,} positions of {sum(sizes):,} numbers: read fewer") from error


def _loaded(read: Any, folder: Path, layer: int) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, float32, no code and no pickle of it run; what is wrong is told beforehand."""
    if not (folder / "config.json").is_file():
        raise MissingFileError(f"{folder} holds no model: it has no config.json, as transformers saves it")
    with _told(folder):
        config = read.AutoConfig.from_pretrained(folder, local_files_only=True)
    blocks = getattr(config.get_text_config(), "num_hidden_layers", None)
    if config.is_encoder_decoder or blocks is None:
        raise ValueError(f"a {config.model_type} is no causal or masked language model")
    if not 0 <= layer < blocks:
        raise ValueError(f"layer must be from 0 to {blocks - 1}, got {layer}")
    with _told(folder):
        tokenizer = read.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, told = read.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    if not tokenizer.is_fast:
        raise ValueError(f"{folder} has no tokenizer.json: its tokenizer cannot say which tokens are special")
    if missing := sorted(name for name in told["missing_keys"] if not name.startswith("pooler.")):
        raise ValueError(f"the weights in {folder} lack {len(missing)} tensors, the first is {missing[0]}")
    return tokenizer, model.eval()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What `transformers` says of a folder, often pages, as one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise ValueError(f"cannot read the model in {folder}: {str(error).strip().splitlines()[0]}") from error


def _line(file: Any, path: Path) -> str:
    try:
        return str(file.readline(PIECE))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def _transformers() -> Any:
    """The package, quiet and without a network; ValueError, saying what to install, where it is not there."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import transformers
        from transformers.utils import logging
    except ImportError:
        raise ValueError("reading a language model needs the package transformers: pip install transformers") from None
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return transformers

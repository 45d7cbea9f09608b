"""Memory files: a safetensors file with a checksum over all that it holds, believed only where everything fits."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from torch import Tensor

from factapp.arrays import file_bytes
from factapp.encoder import COLUMNS
from factapp.sketch import BITS
from factcore.mlp import GATES, GatedMLP
from factcore.support.files import pack_names, unpack_names, write_safetensors

FORMAT = "factcore-memory-2"
WEIGHTS = ("gate_weight", "up", "down", "gate_bias")
NO_MEMORY = "{} is not a memory: write one with 'factcore store'"
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class Parts(NamedTuple):
    """The fields of a `factapp.memory.Memory`."""

    mlp: GatedMLP
    values: Tensor
    names: tuple[str, ...]
    about: dict[str, Any]
    sketch: Tensor | None
    texts: Tensor | None


def save(parts: Parts, path: str | Path) -> None:
    """Write a memory. An existing file is replaced only once the new one is complete."""
    tensors = {**parts.mlp.state_dict(), "values": parts.values, "names": pack_names(parts.names)}
    tensors |= {name: t for name, t in (("sketch", parts.sketch), ("texts", parts.texts)) if t is not None}
    about = parts.about | {"tensors": sorted(tensors)}
    metadata = {"format": FORMAT, "gate": parts.mlp.gate, "about": json.dumps(about)}
    write_safetensors(path, tensors, metadata | {"sha256": checksum(tensors, metadata)})


def load(path: str | Path) -> Parts:
    """The memory of a file; ValueError when it is missing, of another format, altered, or does not fit together."""
    content = file_bytes(path)
    try:
        tensors, metadata = tensors_of(content), _metadata(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if content[8:9] != b"{":  # where the header of a safetensors file begins
            raise ValueError(NO_MEMORY.format(path)) from error
        raise ValueError(f"{path} is damaged: {error}; store the facts again, or copy the file again") from error
    _check_format(path, metadata.get("format"))
    told = metadata.pop("sha256", None)
    try:
        if told != checksum(tensors, metadata):
            raise ValueError("its checksum does not fit what it holds; store the facts again, or copy the file again")
        about = json.loads(metadata["about"])
        _check_tensors(tensors, about)
        _check_about(about, tensors)
        names = unpack_names(tensors["names"], path)
        if len(names) != len(tensors["values"]):
            raise ValueError(f"{len(names)} names for {len(tensors['values'])} values")
        if metadata.get("gate") not in GATES:
            raise ValueError(f"the gate {metadata.get('gate')!r} is not known")
        weights = {name: tensors.get(name) for name in WEIGHTS}
        mlp = GatedMLP(**weights, gate=metadata["gate"], n_solved=about["n_solved"])  # type: ignore[arg-type]
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is damaged: {reason}") from error
    about.pop("tensors")
    return Parts(mlp, tensors["values"], names, about, tensors.get("sketch"), tensors.get("texts"))


def checksum(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the tensors, and over the metadata."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{json.dumps(name)} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, from its JSON header."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__") or {})


def _check_format(path: str | Path, found: str | None) -> None:
    if found == FORMAT:
        return
    if found == "factcore-memory-1":
        raise ValueError(
            f"{path} was written by an older version of factcore ({found}), this one reads {FORMAT}: "
            "store the facts again"
        )
    if str(found).startswith("factcore-memory-"):
        raise ValueError(f"{path} was written by a newer version of factcore ({found}), this one reads {FORMAT}")
    raise ValueError(NO_MEMORY.format(path))


def _check_tensors(tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Tensors of the shapes and dtypes that they must have, all finite."""
    if not isinstance(about, dict) or about["tensors"] != sorted(tensors):
        raise ValueError("it lacks tensors that it names, or has others")
    if unknown := set(tensors) - {*WEIGHTS, "values", "names", "sketch", "texts"}:
        raise ValueError(f"it has unknown tensors {sorted(unknown)}")
    gates, values = tensors["gate_weight"], tensors["values"]
    if gates.ndim != 2 or values.ndim != 2:
        raise ValueError("gate_weight and values must have two dimensions")
    (h, d), (v, e), n = gates.shape, values.shape, about["n_facts"]
    shapes = {"gate_weight": (h, d), "up": (h, d), "gate_bias": (h,), "down": (e, h), "values": (v, e)}
    shapes |= {"sketch": (n, BITS // 8), "texts": (n, len(COLUMNS))}
    dtypes = {"names": torch.uint8, "sketch": torch.uint8, "texts": torch.int64}
    for name, tensor in tensors.items():
        if name == "names":
            fits = tensor.ndim == 1
        else:
            fits = tuple(tensor.shape) == shapes[name] and 0 not in tensor.shape
        if not fits or tensor.dtype != dtypes.get(name, gates.dtype):
            raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}, which does not fit the others")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has NaN or infinite entries")
    if gates.dtype not in FLOATS:
        raise ValueError(f"weights of {gates.dtype}")
    for name in ("down", "sketch"):
        if name not in tensors:
            raise ValueError(f"{name} is missing")


def _check_about(about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Numbers in the ranges that they can have."""
    params = sum(tensors[name].numel() for name in WEIGHTS if name in tensors)
    whole = {"n_facts": (1, math.inf), "seed": (0, math.inf), "n_solved": (0, params)}
    ranges = {**whole, "threshold": (0, 1), "least_similarity": (-1, 1), "smallest_margin": (0, math.inf)}
    ranges |= {name: (0, 1) for name in ("held_out_answered", "held_out_at_most", "unrelated_answered")}
    for name, (low, high) in ranges.items():
        number = about[name]
        if number is None and name == "unrelated_answered":
            continue
        kinds = (int,) if name in whole else (int, float)
        if isinstance(number, bool) or not isinstance(number, kinds) or not low <= number <= high:
            raise ValueError(f"{name} is {number!r}")
    if len(tensors["values"]) > 1 and about["smallest_margin"] > 1:
        raise ValueError(f"smallest_margin is {about['smallest_margin']!r}")
    for name in ("method", "embeddings"):
        if not isinstance(about.get(name), str | None):
            raise ValueError(f"{name} is {about[name]!r}")

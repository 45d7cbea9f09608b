"""Rounded weights: how many bits a weight needs before facts are lost (bits = parameters × bits)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from factcore.facts import FactSet
from factcore.mlp import GatedMLP
from factcore.scoring import recall

SCHEMES = ("fp32", "bf16", "fp16", "fp8", "int8", "int6", "int5", "int4", "int3", "int2")
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FP8_LARGEST = 448.0  # of torch.float8_e4m3fn
SCALE_BITS = 32  # a row's scale and a bias stay float32 in 'fp8' and the whole numbers


class Quantised(NamedTuple):
    """An MLP whose weights hold rounded numbers in the dtype that it had, and the bits that those numbers take."""

    mlp: GatedMLP
    bits: int  # all weights, with the scales of their rows
    bits_per_weight: float  # bits / n_params


def quantise(mlp: GatedMLP, scheme: str) -> Quantised:
    """Round every weight of ``mlp`` to ``scheme`` and back: the arithmetic keeps its dtype, the numbers do not.

    'fp32', 'bf16', 'fp16': a cast. 'fp8' (e4m3): a cast after each row was scaled to the format's largest number.
    'int2' … 'int16': the multiples q·s of a row's scale s = max|w| / (2^(b−1) − 1), q a whole number, so an error of at
    most s/2. Rows are those of the (h, d) and (d, h) matrices; their scales and the biases stay float32 and count
    32 bits each. ValueError for another scheme and for a weight that 'fp16' cannot hold.
    """
    bits, rounded = scheme_bits(scheme), {}
    total = 0
    for name, weight in mlp.named_parameters():
        if scheme in FLOATS:
            rounded[name] = weight.to(FLOATS[scheme]).to(weight.dtype)
            total += bits * weight.numel()
            if not torch.isfinite(rounded[name]).all():
                raise ValueError(f"{name} has entries up to {float(weight.abs().max()):.1e}, too large for {scheme!r}")
        elif weight.ndim == 1:
            rounded[name] = weight.float().to(weight.dtype)
            total += SCALE_BITS * weight.numel()
        else:
            rounded[name] = round_rows(weight, scheme)
            total += bits * weight.numel() + SCALE_BITS * len(weight)
    new = GatedMLP(
        rounded["gate_weight"],
        rounded.get("up"),
        rounded["down"],
        gate=mlp.gate,
        gate_bias=rounded.get("gate_bias"),
        n_solved=mlp.n_solved,
    )
    return Quantised(new, total, total / mlp.n_params)


def round_rows(weight: Tensor, scheme: str) -> Tensor:
    """``weight`` (rows, columns) in 'fp8' or 'int2' … 'int16' with one float32 scale per row, as its own dtype."""
    bits = scheme_bits(scheme)
    levels = FP8_LARGEST if scheme == "fp8" else 2.0 ** (bits - 1) - 1
    scale = (weight.abs().amax(dim=1, keepdim=True).double() / levels).float().double()
    scale = torch.where(scale > 0, scale, 1.0)  # a row of zeros stays one
    units = weight.double() / scale
    if scheme == "fp8":
        # The float32 scale may lie an ulp low, and the cast has no infinity to go to.
        units = units.clamp(-levels, levels).float().to(torch.float8_e4m3fn).double()
    else:
        units = units.round().clamp(-levels, levels)
    return (units * scale).to(weight.dtype)


def scheme_bits(scheme: str) -> int:
    """Bits of one number in ``scheme``; ValueError for a name that is none of `SCHEMES` or int2 … int16."""
    if scheme in SCHEMES or re.fullmatch("int([2-9]|1[0-6])", str(scheme)):
        return int(re.sub(r"\D", "", scheme))
    raise ValueError(f"scheme must be one of {list(SCHEMES)} or int7, got {scheme!r}")


def precision_rows(mlp: GatedMLP, facts: FactSet, schemes: Iterable[str] = SCHEMES) -> list[dict[str, Any]]:
    """Per scheme a dict of scheme, bits_per_weight, bits_per_fact and recall, NaN where a weight is too large."""
    rows: list[dict[str, Any]] = []
    for scheme in schemes:
        scheme_bits(scheme)
        row: dict[str, Any] = {"scheme": scheme, "bits_per_weight": math.nan, "bits_per_fact": math.nan}
        try:
            done = quantise(mlp, scheme)
        except ValueError:  # overflow; the name was checked above
            rows.append(row | {"recall": math.nan})
            continue
        row["bits_per_weight"] = done.bits_per_weight
        row["bits_per_fact"] = mlp.n_params * done.bits_per_weight / len(facts)
        rows.append(row | {"recall": recall(done.mlp, facts)})
    return rows

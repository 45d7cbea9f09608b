"""`construct`: one entry for every way to build a fact-storing MLP, and the one verification of what they build."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from factcore.facts import FactSet
from factcore.geometry import undecodable
from factcore.methods import METHODS, Method
from factcore.mlp import GatedMLP
from factcore.scoring import lost_rows
from factcore.support import check_choice, check_integer, check_options, stream

ORDINARY = 20  # powers of two around 1 in which facts are left at their scale
LEAST = 1e-6  # margin below which a value counts as one that no output can pick
SHORT = (torch.float16, torch.bfloat16)  # built in float32, then cast


def construct(
    facts: FactSet,
    method: str = "encoder-decoder",
    *,
    width: int | None = None,
    seed: int = 0,
    strict: bool = True,
    **options: Any,
) -> GatedMLP:
    """Build an MLP that stores ``facts`` and verify it: every fact decodes, by more than its rounding error.

    method: a name in `factcore.methods.METHODS`, such as 'block-convex'; the docstring of its function states the
    formula and the ``options``. ``width`` is the number of hidden units allowed; None takes as few as the method finds
    it needs, or doubles them until nothing is lost. The same seed gives the same network. For float16 and bfloat16
    facts it is built in float32 and cast.

    ValueError for an unknown method or option, for a width that has no room at all, and when facts are lost, with their
    count, the first row and the reason. ``strict=False`` returns the network all the same, the rows in ``mlp.lost``.
    """
    record = checked_method(facts, method, width, seed, options)
    with torch.inference_mode(False), torch.enable_grad():
        for units in _widths(record, facts, width):
            mlp = build_verified(record, facts, units, seed, options)
            if not strict or len(mlp.lost) == 0:
                return mlp
            if width is None and not record.finds_width:
                check_storable(facts, mlp)
        raise ValueError(_complaint(mlp, facts, width is None and not record.finds_width))


def checked_method(facts: FactSet, method: str, width: int | None, seed: int, options: dict[str, Any]) -> Method:
    """The record of ``method``; ValueError for what no construction can be asked."""
    if not isinstance(facts, FactSet):
        raise ValueError(f"facts must be a FactSet, got {type(facts).__name__}")
    check_choice("method", method, METHODS)
    if width is not None:
        check_integer("width", width)
    stream(seed, "weights")  # names a seed that is none
    check_options(method, METHODS[method].build, options)
    return METHODS[method]


def build_verified(record: Method, facts: FactSet, width: int | None, seed: int, options: dict[str, Any]) -> GatedMLP:
    """The network of ``width`` and ``seed``, its lost rows in ``mlp.lost``.

    Constructions get facts with entries near 1, so that nothing overflows or drowns: keys and values of unusual scale
    times exact powers of two. The keys' factor returns in the weights, the values' factor changes no decision.
    """
    dtype = facts.keys.dtype
    prepared, scale = _prepared(facts, torch.float32 if dtype in SHORT else dtype)
    mlp = record.build(prepared, width, seed, **options)
    for weight in (mlp.gate_weight, mlp.up) if scale != 1.0 else ():
        if weight is not None:
            weight.mul_(scale)
    mlp.to(dtype)
    if mlp.lost is None or dtype in SHORT:
        mlp.lost = lost_rows(mlp, facts)
    return mlp


def _prepared(facts: FactSet, dtype: torch.dtype) -> tuple[FactSet, float]:
    """The facts with entries near 1, no inference tensors, and the factor of their keys."""
    powers = [-torch.frexp(t.double().abs().amax()).exponent.clamp(-1000, 1000) for t in (facts.keys, facts.values)]
    powers = [power.where(power.abs() > ORDINARY, 0) for power in powers]
    if not any(powers) and dtype == facts.keys.dtype and not facts.keys.is_inference():
        return facts, 1.0
    keys, values = (torch.ldexp(t.double(), power).to(dtype) for t, power in zip((facts.keys, facts.values), powers))
    return replace(facts, keys=keys, values=values, targets=facts.targets.clone()), 2.0 ** int(powers[0])


def check_storable(facts: FactSet, mlp: GatedMLP) -> None:
    """ValueError when no network can store a fact that ``mlp`` lost: its value lies in the hull of the others."""
    outside = undecodable(facts.values.double(), facts.targets[mlp.lost].unique(), least=LEAST)
    if len(outside):
        first = int(outside[0])
        name = f" ({facts.value_names[first]!r})" if facts.value_names else ""
        what = f"{len(outside)} of {facts.n_values} values cannot be decoded, the first is values[{first}]{name}"
        raise ValueError(f"{what}: it lies in (or too near) the convex hull of the others, so no output can pick it")


def _widths(record: Method, facts: FactSet, width: int | None) -> Iterator[int | None]:
    """The widths to try in turn: the one asked for, the method's own choice, or ⌈n/d⌉, its doublings and the most."""
    if width is not None or record.finds_width:
        yield width
        return
    least = -(-len(facts) // facts.d)
    most = max(least, record.most(facts))
    yield from [least << k for k in range(64) if least << k < most] + [most]


def _complaint(mlp: GatedMLP, facts: FactSet, doubled: bool) -> str:
    """What was lost, and why as far as it can be told."""
    check_storable(facts, mlp)
    row, dtype = int(mlp.lost[0]), facts.keys.dtype
    what = f"{len(mlp.lost)} of {len(facts)} facts are lost at width {mlp.width}, the first in row {row}"
    exact = "" if dtype == torch.float64 else f", or convert the facts from {dtype} to float64"
    if not facts.keys[row].any():
        return f"{what}: keys[{row}] is a row of zeros, which only gates with biases can tell; remove it"
    if (twin := _twin(facts, row)) is not None:
        return f"{what}: keys[{row}] and keys[{twin}] nearly coincide or are parallel; remove one of them{exact}"
    if doubled:
        return f"no width up to {mlp.width} stores all {len(facts)} facts, and this method gains nothing beyond: {what}"
    return f"{what}; allow more width{exact}"


def _twin(facts: FactSet, row: int) -> int | None:
    """A key of another value whose direction is, to the precision of the facts, that of ``row``."""
    keys = torch.nn.functional.normalize(facts.keys.double() / facts.keys.double().abs().amax(), dim=1)
    apart, nearest = (keys - keys[row]).norm(dim=1).where(facts.targets != facts.targets[row], torch.inf).min(dim=0)
    return int(nearest) if float(apart) < min(0.05, 100 * torch.finfo(facts.keys.dtype).eps ** 0.5) else None

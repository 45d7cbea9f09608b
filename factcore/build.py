"""`construct`: one entry for every way to build a fact-storing MLP, and the one verification of what they build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from factcore.facts import FactSet
from factcore.geometry.many import undecodable
from factcore.methods import METHODS, Method
from factcore.mlp import GatedMLP
from factcore.scoring import lost_rows
from factcore.support.checks import check_choice, check_integer, check_options
from factcore.support.streams import stream

ORDINARY = 20  # powers of two around 1 in which facts are left at their scale
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

    method: 'one-hot', 'ntk', 'hebbian', 'encoder-decoder', 'max-margin', 'block-convex' or 'trained'; the docstring
    of the function of that name (`encoder_decoder`, `one_hot` …) states the formula and the ``options``. ``width`` is
    the number of hidden units allowed; None takes as few as the method finds it needs, or doubles them until nothing is
    lost. The same seed gives the same network. float16 and bfloat16 facts are built for in float32 and verified as the
    cast network decodes them.

    ValueError for an unknown method or option, for a width that has no room at all, and when facts are lost, with their
    count, the first row and the reason. ``strict=False`` returns the network all the same, the rows in ``mlp.lost``.
    """
    record = checked_method(facts, method, width, seed, options)
    with torch.inference_mode(False), torch.enable_grad():
        mlp = None
        for units in _widths(record, facts, width):
            mlp = build_verified(record, facts, units, seed, options)
            if not strict or len(mlp.lost) == 0:  # type: ignore[arg-type]
                return mlp
            if width is None and not record.finds_width:
                check_storable(facts, mlp)
        assert mlp is not None
        raise ValueError(_complaint(mlp, facts, width, record))


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
    """The network of one width, its lost rows in ``mlp.lost``."""
    prepared, scale = _prepared(facts)
    mlp = record.build(prepared, width, seed, **options)
    return finish(mlp, facts, scale)


def build_verified_many(
    record: Method, facts: FactSet, widths: list[int], seeds: list[int], options: dict[str, Any]
) -> list[GatedMLP]:
    """The networks of several widths and seeds, built together where the method can."""
    if record.build_many is None:
        return [build_verified(record, facts, width, seed, options) for width, seed in zip(widths, seeds)]
    prepared, scale = _prepared(facts)
    return [finish(mlp, facts, scale) for mlp in record.build_many(prepared, widths, seeds, **options)]


def finish(mlp: GatedMLP, facts: FactSet, scale: float) -> GatedMLP:
    """``mlp``, built for keys times ``scale``, as the network of ``facts`` in their dtype, verified."""
    dtype, lost = facts.keys.dtype, mlp.lost
    if scale != 1.0:
        mlp.gate_weight.mul_(scale)
        if mlp.up is not None:
            mlp.up.mul_(scale)
    mlp = mlp.to(dtype)
    mlp.lost = lost_rows(mlp, facts) if lost is None or dtype in SHORT else lost
    return mlp


def check_storable(facts: FactSet, mlp: GatedMLP) -> None:
    """ValueError when no network can store a fact that ``mlp`` lost: its value lies in the hull of the others."""
    assert mlp.lost is not None
    hidden = undecodable(facts.values.double(), facts.targets[mlp.lost].unique(), least=1e-6)
    if len(hidden):
        raise ValueError(_hull_complaint(facts, hidden))


def _prepared(facts: FactSet) -> tuple[FactSet, float]:
    """The facts as constructions get them, and the factor of their keys: entries near 1, by exact powers of two.

    So that nothing overflows or drowns whatever the scale of the facts; the values' factor changes no decision. Facts
    of ordinary scale, dtype and kind are handed on as they are.
    """
    dtype = torch.float32 if facts.keys.dtype in SHORT else facts.keys.dtype
    powers = [-torch.frexp(t.double().abs().amax()).exponent.clamp(-1000, 1000) for t in (facts.keys, facts.values)]
    powers = [power.where(power.abs() > ORDINARY, 0) for power in powers]
    if not any(powers) and dtype == facts.keys.dtype and not facts.keys.is_inference():
        return facts, 1.0
    keys, values = (torch.ldexp(t.double(), power).to(dtype) for t, power in zip((facts.keys, facts.values), powers))
    return replace(facts, keys=keys, values=values, targets=facts.targets.clone()), 2.0 ** int(powers[0])


def _widths(record: Method, facts: FactSet, width: int | None) -> Iterator[int | None]:
    """The widths to try in turn: the one asked for, the method's own choice, or ⌈n/d⌉ and its doublings."""
    if width is not None or record.finds_width:
        yield width
        return
    units = max(1, -(-len(facts) // facts.d))
    while units <= max(record.most(facts), -(-len(facts) // facts.d)):
        yield units
        units *= 2


def _complaint(mlp: GatedMLP, facts: FactSet, width: int | None, record: Method) -> str:
    """What was lost, and why as far as it can be told."""
    lost = mlp.lost
    assert lost is not None
    row = int(lost[0])
    if len(hidden := undecodable(facts.values.double(), facts.targets[lost].unique())):
        return _hull_complaint(facts, hidden)
    what = f"{len(lost)} of {len(facts)} facts are lost at width {mlp.width}, the first in row {row}"
    if not facts.keys[row].any():
        return f"{what}: its key is a row of zeros, which only gates with biases can tell; remove it"
    if (twin := _twin(facts, row)) is not None:
        return (
            f"{what}: keys[{row}] and keys[{twin}] nearly coincide or are parallel and cannot be told apart in "
            f"{facts.keys.dtype}; remove one, or convert the facts to float64"
        )
    if width is None and not record.finds_width:
        return f"no width up to {mlp.width} stores all {len(facts)} facts, and this method gains nothing beyond: {what}"
    return f"{what}; allow more width" + (
        "" if facts.keys.dtype == torch.float64 else f", or convert the facts from {facts.keys.dtype} to float64"
    )


def _hull_complaint(facts: FactSet, hidden: Tensor) -> str:
    first = int(hidden[0])
    name = f" ({facts.value_names[first]!r})" if facts.value_names else ""
    return (
        f"{len(hidden)} of {facts.n_values} values cannot be decoded, the first is values[{first}]{name}: it lies in "
        f"(or too near) the convex hull of the others, so no output can pick it"
    )


def _twin(facts: FactSet, row: int) -> int | None:
    """A key of another value whose direction is, to the precision of the facts, that of ``row``."""
    keys = torch.nn.functional.normalize(facts.keys.double() / facts.keys.double().abs().amax(), dim=1)
    apart = (keys - keys[row]).norm(dim=1).where(facts.targets != facts.targets[row], torch.inf)
    nearest = int(apart.argmin())
    return nearest if float(apart[nearest]) < 100 * torch.finfo(facts.keys.dtype).eps ** 0.5 else None

"""Checks of what a caller passes in: a ValueError names the argument, and the row where there is one."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def check_choice(name: str, choice: Any, allowed: Iterable[Any]) -> None:
    """ValueError unless ``choice`` is one of ``allowed``."""
    if choice not in (known := list(allowed)):
        raise ValueError(f"{name} must be one of {known}, got {choice!r}")


def check_integer(name: str, number: Any, most: int | None = None) -> None:
    """ValueError unless ``number`` is an integer from 1 on, up to ``most`` where that is given."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1 or (most is not None and number > most):
        which = "a positive integer" if most is None else f"an integer from 1 to {most}"
        raise ValueError(f"{name} must be {which}, got {number!r}")


def check_options(method: str, function: Callable[..., Any], options: Iterable[str]) -> None:
    """ValueError for an option that ``function`` does not have, unless it hands on whatever it is given."""
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise ValueError(f"method {method!r} has no option {name!r}; it has {known}")


def check_embeddings(name: str, rows: Tensor) -> None:
    """ValueError unless ``rows`` is a non-empty, finite, floating (rows, d) tensor."""
    if not isinstance(rows, Tensor) or rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be a non-empty 2-D tensor (rows, d), got {described(rows)}")
    if not rows.is_floating_point():
        raise ValueError(f"{name} must have a floating dtype, got {rows.dtype}")
    bad = (~torch.isfinite(rows).all(dim=1)).nonzero().flatten()
    if len(bad):
        raise ValueError(f"{name} has NaN or infinite entries in {len(bad)} row(s), the first is row {int(bad[0])}")


def described(thing: object) -> str:
    return f"shape {tuple(thing.shape)}" if isinstance(thing, Tensor) else type(thing).__name__

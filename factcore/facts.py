"""Fact sets: keys, values and the map between them (paper section 2)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from factcore.support import check_embeddings, check_integer, described, files, stream


@dataclass(frozen=True, eq=False)
class FactSet:
    """n facts: key ``keys[i]`` (a row of (n, d)) has the value ``values[targets[i]]`` (a row of (v, e), mostly e = d).

    Several keys may share a value. ``key_names`` (n strings) and ``value_names`` (v strings) are optional. ValueError,
    naming the row, for NaN or infinite entries, targets outside [0, v), one key with two different values, names that
    are no strings, and shapes, dtypes or devices that do not fit together.
    """

    keys: Tensor
    values: Tensor
    targets: Tensor
    key_names: tuple[str, ...] | None = None
    value_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_tensors(self.keys, self.values, self.targets)
        _check_contradictions(self.keys, self.targets)
        for field in ("keys", "values"):
            object.__setattr__(self, field, getattr(self, field).detach())
        for field, rows in (("key_names", len(self.keys)), ("value_names", len(self.values))):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, _checked_names(field, getattr(self, field), rows))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def d(self) -> int:
        """Dimension of the keys, and of the values unless `e` is another."""
        return self.keys.shape[1]

    @property
    def e(self) -> int:
        """Dimension of the values."""
        return self.values.shape[1]

    @property
    def n_values(self) -> int:
        return len(self.values)

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same facts on another device or in another floating dtype."""
        keys, values = (rows.to(device=device, dtype=dtype) for rows in (self.keys, self.values))
        return replace(self, keys=keys, values=values, targets=self.targets.to(device=device))

    def subset(self, rows: Tensor) -> Self:
        """The facts in ``rows`` (int64 indices), with the values they use and no others."""
        used, targets = torch.unique(self.targets[rows], return_inverse=True)
        keys = self.key_names and tuple(self.key_names[row] for row in rows.tolist())
        values = self.value_names and tuple(self.value_names[row] for row in used.tolist())
        return type(self)(self.keys[rows], self.values[used], targets, keys, values)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file. An existing file is replaced only once the new one is complete."""
        tensors = {"keys": self.keys, "values": self.values, "targets": self.targets}
        names = {"key_names": self.key_names, "value_names": self.value_names}
        packed = {field: files.pack_names(strings) for field, strings in names.items() if strings is not None}
        files.write_safetensors(path, tensors | packed, {"format": "factcore-1"})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. ValueError when the file is missing, damaged or lacks a tensor."""
        tensors, _ = files.read_safetensors(path)
        for name in ("keys", "values", "targets"):
            if name not in tensors:
                raise ValueError(f"{path} holds no tensor {name!r}; it has {sorted(tensors)}")
        names = {f: files.unpack_names(tensors[f], path) for f in ("key_names", "value_names") if f in tensors}
        return cls(tensors["keys"], tensors["values"], tensors["targets"].long(), **names)


def spherical_facts(
    n_facts: int, d: int, *, n_values: int | None = None, seed: int = 0, dtype: torch.dtype = torch.float32
) -> FactSet:
    """Random facts: keys and values uniform on the unit sphere of R^d, the map drawn at random.

    With ``n_values=None`` there are as many values as facts and the map is a random permutation; otherwise every
    value is used as evenly as possible. The same seed gives the same facts on every machine.
    """
    n_values = n_facts if n_values is None else n_values
    for name, size in (("n_facts", n_facts), ("d", d), ("n_values", n_values)):
        check_integer(name, size)
    generator = stream(seed, "facts")
    drawn = (torch.randn(rows, d, generator=generator, dtype=torch.float64) for rows in (n_facts, n_values))
    keys, values = (torch.nn.functional.normalize(rows, dim=1) for rows in drawn)
    targets = torch.randperm(max(n_facts, n_values), generator=generator)[:n_facts] % n_values
    return FactSet(keys.to(dtype), values.to(dtype), targets)


def distinct_keys(facts: FactSet) -> tuple[Tensor, Tensor]:
    """The keys without repetitions in float64 (n', d), and a row of the fact set for each (n',)."""
    distinct, group = torch.unique(facts.keys, dim=0, return_inverse=True)
    rows = torch.empty(len(distinct), dtype=torch.int64, device=group.device)
    rows[group] = torch.arange(len(group), device=group.device)
    return distinct.double(), rows


def _checked_names(field: str, names: Sequence[str], rows: int) -> tuple[str, ...]:
    if len(names) != rows:
        raise ValueError(f"{field} has {len(names)} strings for {rows} rows")
    for row, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"{field}[{row}] must be a string, got {name!r}")
    return tuple(names)


def _check_tensors(keys: Tensor, values: Tensor, targets: Tensor) -> None:
    check_embeddings("keys", keys)
    check_embeddings("values", values)
    if keys.dtype != values.dtype:
        raise ValueError(f"keys are {keys.dtype} but values are {values.dtype}: convert one with .to(dtype)")
    if not isinstance(targets, Tensor) or targets.shape != keys.shape[:1]:
        raise ValueError(f"targets must have shape ({len(keys)},), one per key, got {described(targets)}")
    if targets.dtype != torch.int64:
        raise ValueError(f"targets must be int64, got {targets.dtype}: convert with .long()")
    if not keys.device == values.device == targets.device:
        raise ValueError(f"keys, values, targets are on {keys.device}, {values.device}, {targets.device}")
    for row in ((targets < 0) | (targets >= len(values))).nonzero().flatten()[:1].tolist():
        raise ValueError(f"targets[{row}] = {int(targets[row])} is out of range for {len(values)} values")


def _check_contradictions(keys: Tensor, targets: Tensor) -> None:
    _, group = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(keys), device=keys.device)
    first = first.scatter_reduce(0, group, torch.arange(len(keys), device=keys.device), "amin")[group]
    bad = (targets != targets[first]).nonzero().flatten()
    if len(bad):
        row, twin = int(bad[0]), int(first[bad[0]])
        both = f"targets {int(targets[twin])} and {int(targets[row])}"
        raise ValueError(f"keys {twin} and {row} are the same but have different values ({both}); {len(bad)} such rows")

"""Fact sets: keys, values and the map between them (paper section 2)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from factcore.checks import check_embeddings, check_integer, described


class MissingFileError(ValueError, FileNotFoundError):
    """A file that should hold facts is not there."""


class UnwritableError(ValueError, OSError):
    """A file that cannot be written: a full disk, a read-only folder."""


@dataclass(frozen=True, eq=False)
class FactSet:
    """n facts: key ``keys[i]`` (a row of (n, d)) has the value ``values[targets[i]]`` (a row of (v, d)).

    Several keys may share a value. ``key_names`` (n strings) and ``value_names`` (v strings) are optional.
    ValueError, naming the row, for NaN or infinite entries, targets outside [0, v), one key with two different
    values, and shapes, dtypes or devices that do not fit together.
    """

    keys: Tensor
    values: Tensor
    targets: Tensor
    key_names: tuple[str, ...] | None = None
    value_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_tensors(self.keys, self.values, self.targets)
        _check_contradictions(self.keys, self.targets)
        for field, rows in (("key_names", len(self.keys)), ("value_names", len(self.values))):
            names = getattr(self, field)
            if names is None:
                continue
            if len(names) != rows:
                raise ValueError(f"{field} has {len(names)} strings for {rows} rows")
            object.__setattr__(self, field, tuple(names))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def d(self) -> int:
        """Embedding dimension."""
        return self.keys.shape[1]

    @property
    def n_values(self) -> int:
        return len(self.values)

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> FactSet:
        """The same facts on another device or in another floating dtype."""
        return replace(
            self,
            keys=self.keys.to(device=device, dtype=dtype),
            values=self.values.to(device=device, dtype=dtype),
            targets=self.targets.to(device=device),
        )

    def subset(self, rows: Tensor) -> FactSet:
        """The facts in ``rows`` (int64 indices), with the values they use and no others."""
        used, targets = torch.unique(self.targets[rows], return_inverse=True)
        pick = lambda names, at: None if names is None else tuple(names[i] for i in at.tolist())  # noqa: E731
        return FactSet(
            self.keys[rows], self.values[used], targets, pick(self.key_names, rows), pick(self.value_names, used)
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file. An existing file is replaced only once the new one is complete."""
        tensors = {"keys": self.keys, "values": self.values, "targets": self.targets}
        for field in ("key_names", "value_names"):
            if (names := getattr(self, field)) is not None:
                tensors[field] = pack_names(names)
        write_safetensors(path, tensors, {"format": "factcore-1"})

    @classmethod
    def load(cls, path: str | Path) -> FactSet:
        """Read what `save` wrote. ValueError when the file is missing, damaged or lacks a tensor."""
        tensors, _ = read_safetensors(path)
        for name in ("keys", "values", "targets"):
            if name not in tensors:
                raise ValueError(f"{path} holds no tensor {name!r}; it has {sorted(tensors)}")
        names = {f: unpack_names(tensors[f], path) for f in ("key_names", "value_names") if f in tensors}
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
    generator = torch.Generator().manual_seed(seed)
    unit = lambda rows: torch.nn.functional.normalize(  # noqa: E731
        torch.randn(rows, d, generator=generator, dtype=torch.float64), dim=1
    )
    keys, values = unit(n_facts), unit(n_values)
    targets = torch.randperm(max(n_facts, n_values), generator=generator)[:n_facts] % n_values
    return FactSet(keys.to(dtype), values.to(dtype), targets)


def airport_facts(n_facts: int | None = None) -> FactSet:
    """Real facts: airport name → the city it serves, as float32 MiniLM sentence embeddings (d = 384), unit norm.

    Read from ``data/airports.safetensors`` (source, licence and date: data/README.md). ``n_facts`` takes that many
    airports, the same ones every time, and only their cities.
    """
    tensors, _ = read_safetensors(data_file("airports.safetensors"))
    unit = lambda t: torch.nn.functional.normalize(t.float(), dim=1)  # noqa: E731
    facts = FactSet(
        unit(tensors["keys"]),
        unit(tensors["values"]),
        tensors["targets"].long(),
        unpack_lines(tensors["key_names"]),
        unpack_lines(tensors["value_names"]),
    )
    if n_facts is None:
        return facts
    check_integer("n_facts", n_facts, most=len(facts))
    rows = torch.randperm(len(facts), generator=torch.Generator().manual_seed(0))[:n_facts]
    return facts.subset(rows.sort().values)


def write_safetensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file. An existing file is replaced only once the new one is complete and on the disk.

    ValueError when the folder does not exist or cannot be written to.
    """
    with replacing(path) as partial:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, str(partial), metadata)


@contextmanager
def replacing(path: str | Path, *, keep: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to: it takes the place of ``path`` if the block ends well.

    ``keep=False`` leaves ``path`` alone: a rehearsal, which shows before long work that the file can be written.
    ValueError when it cannot.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise MissingFileError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file")
    partial = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
        partial = Path(name)
        os.close(handle)
        yield partial
        partial.chmod(0o666 & ~_umask())  # temporary files are for their owner alone
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        if keep:
            os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise UnwritableError(f"cannot write {path}: {error}; free some space or choose another folder") from error
    finally:
        if partial:
            partial.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file; ValueError when it is missing or damaged."""
    if not Path(path).is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        with safe_open(str(path), "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def data_file(name: str) -> Path:
    """A shipped file (data/README.md): in a checkout it lies in data/, in an installed wheel inside the package."""
    here = Path(__file__).resolve().parent
    inside = here / "data" / name
    return inside if inside.is_file() else here.parent / "data" / name


def unpack_lines(packed: Tensor) -> tuple[str, ...]:
    """The strings of a data file: UTF-8, joined by newlines."""
    return tuple(bytes(packed.tolist()).decode().split("\n"))


def pack_names(names: tuple[str, ...]) -> Tensor:
    """Strings as one uint8 tensor: a JSON list, so that any character survives."""
    return torch.tensor(list(json.dumps(list(names), ensure_ascii=False).encode()), dtype=torch.uint8)


def unpack_names(packed: Tensor, path: str | Path) -> tuple[str, ...]:
    try:
        return tuple(json.loads(bytes(packed.tolist()).decode()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the strings in {path} are not a JSON list: it was not written by FactSet.save") from error


def distinct_keys(facts: FactSet) -> tuple[Tensor, Tensor]:
    """The keys without repetitions in float64 (n', d), and a row of the fact set for each (n',)."""
    distinct, group = torch.unique(facts.keys, dim=0, return_inverse=True)
    rows = torch.empty(len(distinct), dtype=torch.int64, device=group.device)
    rows[group] = torch.arange(len(group), device=group.device)
    return distinct.double(), rows


def _check_tensors(keys: Tensor, values: Tensor, targets: Tensor) -> None:
    check_embeddings("keys", keys)
    check_embeddings("values", values)
    if keys.shape[1] != values.shape[1]:
        raise ValueError(f"keys have d = {keys.shape[1]} but values have d = {values.shape[1]}")
    if keys.dtype != values.dtype:
        raise ValueError(f"keys are {keys.dtype} but values are {values.dtype}: convert one with .to(dtype)")
    if not isinstance(targets, Tensor) or targets.shape != keys.shape[:1]:
        raise ValueError(f"targets must have shape ({len(keys)},), one per key, got {described(targets)}")
    if targets.dtype != torch.int64:
        raise ValueError(f"targets must be int64, got {targets.dtype}: convert with .long()")
    if not keys.device == values.device == targets.device:
        raise ValueError(f"keys, values, targets are on {keys.device}, {values.device}, {targets.device}")
    bad = ((targets < 0) | (targets >= len(values))).nonzero().flatten()
    if len(bad):
        row = int(bad[0])
        raise ValueError(f"targets[{row}] = {int(targets[row])} is out of range for {len(values)} values")


def _check_contradictions(keys: Tensor, targets: Tensor) -> None:
    _, group = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(keys), device=keys.device)
    first = first.scatter_reduce(0, group, torch.arange(len(keys), device=keys.device), "amin")[group]
    bad = (targets != targets[first]).nonzero().flatten()
    if len(bad):
        row, twin = int(bad[0]), int(first[bad[0]])
        raise ValueError(
            f"keys {twin} and {row} are the same but have different values (targets {int(targets[twin])} and "
            f"{int(targets[row])}); {len(bad)} such row(s) in all"
        )

"""The one place that writes and reads files: whole or not at all, through links, with the mode that was there."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class MissingFileError(ValueError, FileNotFoundError):
    """A file that should hold facts is not there."""


class UnwritableError(ValueError, OSError):
    """A file that cannot be written: a full disk, a read-only folder."""


@contextmanager
def replacing(path: str | Path, *, keep: bool = True) -> Iterator[Path]:
    """A temporary file to write to, which takes the place of ``path`` if the block ends well.

    A link is followed: the file that it names is replaced, and one with several names is written in place, so that
    all of them see it. The mode of an existing file stays. ``keep=False`` leaves ``path`` alone: a rehearsal, which
    shows before long work that the file can be written. ValueError when it cannot, and for a read-only file.
    """
    partial: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        mode = _mode_to_keep(Path(path), target)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".factcore-", suffix=".partial")
        partial = Path(name)
        os.close(handle)
        yield partial
        partial.chmod(mode)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        if keep and target.exists() and target.stat().st_nlink > 1:
            with open(partial, "rb") as source, open(target, "r+b") as sink:
                shutil.copyfileobj(source, sink)
                sink.truncate()
                sink.flush()
                os.fsync(sink.fileno())
        elif keep:
            os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        if isinstance(error, ValueError):
            raise
        raise UnwritableError(f"cannot write {path}: {error}; free some space or choose another folder") from error
    finally:
        if partial:
            partial.unlink(missing_ok=True)


def _mode_to_keep(path: Path, target: Path) -> int:
    """The permission bits of the file to be replaced, or of a new one; ValueError where it should not be replaced."""
    if not target.parent.is_dir():
        raise MissingFileError(f"cannot write {path}: the folder {target.parent} does not exist")
    if not target.exists():
        os.umask(mask := os.umask(0))
        return 0o666 & ~mask  # temporary files are for their owner alone
    if target.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file")
    if not target.is_file():
        raise ValueError(f"cannot write {path}: it is a device or a pipe; name a file")
    mode = target.stat().st_mode & 0o7777
    if not mode & 0o222:
        raise UnwritableError(f"cannot write {path}: it is read-only; choose another file, or chmod u+w it first")
    return mode


def write_safetensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, as `replacing` does."""
    alone = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}  # none shares its storage
    with replacing(path) as partial:
        save_file(alone, str(partial), metadata)


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a safetensors file; ValueError when it is missing or damaged."""
    if not Path(path).is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        with safe_open(str(path), "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def data_file(name: str) -> Path:
    """A shipped file (data/README.md): in a checkout it lies in data/, in an installed wheel inside the package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "data" / name
    return inside if inside.is_file() else package.parent / "data" / name


def unpack_lines(packed: Tensor) -> tuple[str, ...]:
    """The strings of a data file: UTF-8, joined by newlines."""
    return tuple(bytes(packed.tolist()).decode().split("\n"))


def pack_names(names: Sequence[str]) -> Tensor:
    """Strings as one uint8 tensor: a JSON list, so that any character survives."""
    return torch.tensor(list(json.dumps(list(names), ensure_ascii=False).encode()), dtype=torch.uint8)


def unpack_names(packed: Tensor, path: str | Path) -> tuple[str, ...]:
    """What `pack_names` packed; ValueError, naming ``path``, where it is no JSON list of strings."""
    try:
        names = json.loads(bytes(packed.tolist()).decode())
    except (ValueError, TypeError) as error:
        raise ValueError(f"the strings in {path} are not a JSON list: it was not written by FactSet.save") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the strings in {path} are not a JSON list of strings: it was not written by FactSet.save")
    return tuple(names)

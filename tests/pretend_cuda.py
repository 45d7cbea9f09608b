"""A CUDA device that is not there: with pretend_cuda() as device: ... runs code for "cuda" on any machine.

Tensors asked for on "cuda" live in the CPU's memory and carry a mark; what torch would refuse on a GPU is refused with
its words: two devices in one call, a generator of the other device, numpy on a CUDA tensor, a CPU tensor indexed by a
CUDA one, a factorisation that CUDA has not, a second device. Numbers of no dimension mix as torch allows; arange, zeros
and their like make tensors on the CPU unless device= says otherwise.

Code that takes the device and works on the CPU is found by what was made where: `device.made` counts numbers written on
"cuda" and on "cpu", to which those count, too, that were brought back from the device. Numbers moved to the device
count for neither, nor do views. Random numbers of a CPU generator are "drawn": the same streams serve every device.

The mark is on the storage, so that views share it. The mode sees what Python calls: autograd's own work is marked where
it comes back, and tensors inside torch.func are looked up beneath their wrappers. What C++ alone does is not seen.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from inspect import unwrap
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, _pop_mode_temporarily

HERE = __file__.rsplit("tests", 1)[0]
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
NAME = "Pretended CUDA device"
# Every tensor, of whatever dimension, has to be on one device.
NO_SCALARS = frozenset(
    "cat concat concatenate stack hstack vstack dstack column_stack block_diag gather scatter scatter_ scatter_reduce "
    "scatter_add scatter_add_ index_select index_add index_add_ index_copy index_copy_ take_along_dim bincount dot "
    "equal".split()
)
# Tensors of both devices may meet: copies, and what only looks.
MEET = frozenset(
    "__set__ __deepcopy__ copy_ set_ fill_ full_like is_set_to backward grad _has_compatible_shallow_copy_type".split()
)
READ = frozenset(("tensor", "as_tensor", "asarray"))  # tensors are read as numbers, and say where the result is
# They read tensors as numbers and make new ones on the CPU, unless they are told where.
MAKERS = frozenset(
    "arange linspace logspace eye zeros ones empty full rand randn randint randperm tril_indices triu_indices".split()
)
INDEXED = frozenset("__getitem__ __setitem__ index_put index_put_".split())
NO_MIXTURE = MEET | READ | MAKERS
BRING = READ | {"copy_"}  # numbers of the CPU to CUDA, as MOVES do
OF_FIRST = frozenset("__deepcopy__ copy_ set_ fill_ new_tensor".split())  # results are where the first one is
MOVES = frozenset("to cpu cuda type_as".split())
LEAVE = frozenset("numpy __array__ __dlpack__ tolist __setitem__".split())  # no tensor comes back
NOT_ON_CUDA = frozenset(("histogram", "histogramdd"))
# Calls for which it is not enough that all tensors are on one device.
SPECIAL = READ | MAKERS | MOVES | NOT_ON_CUDA | LEAVE | {"__get__", "__deepcopy__", "linalg_lstsq", "copy_"}
REAL_GENERATOR = torch.Generator


class Generator(REAL_GENERATOR):
    """torch.Generator, whose device is the one it was asked for."""

    def __new__(cls, device: str | torch.device = "cpu") -> "Generator":
        made = super().__new__(cls)
        made.pretended = CUDA if _is_cuda(device) else CPU
        return made

    def __init__(self, device: str | torch.device = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return self.pretended


class PretendCuda(TorchFunctionMode):
    """The mode; `made` counts numbers by where they were written, `blamed` those on the CPU by the line that did.

    What functions of ``apart`` and all that they call write on the CPU counts for neither side.
    """

    def __init__(self, apart: Iterable[Callable[..., Any]]) -> None:
        super().__init__()
        self.made: Counter[str] = Counter()
        self.blamed: Counter[str] = Counter()
        self.apart = {id(unwrap(function).__code__) for function in apart}

    def cpu_share(self, since: Counter[str] | None = None) -> float:
        """Share of the numbers made, ``since`` then, that are on the CPU."""
        made = self.made - (since or Counter())
        return made["cpu"] / max(1, made["cpu"] + made["cuda"])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        tensors = _tensors(args) + (_tensors(kwargs) if kwargs else [])
        here = [on_cuda(tensor) for tensor in tensors]
        simple = name not in SPECIAL and "device" not in kwargs and "generator" not in kwargs
        if name == "_parse_to":  # the arguments of Module.to, which then moves tensor by tensor
            return func(*args, **kwargs)
        if simple and (all(here) or not any(here)):  # nearly every call
            return self._marked(func(*args, **kwargs), bool(here and here[0]), tensors, name)
        if name == "__get__" and (told := _property(func, args[0])) is not None:
            return told
        if name in MOVES:
            out, cuda = _moved(func, name, args, kwargs)
            return self._marked(out, cuda, tensors, name, moved=cuda and not here[0])
        wanted = kwargs.get("device")
        _refuse(name, args, kwargs, tensors, here, wanted)
        out = func(*args, **(kwargs if wanted is None else kwargs | {"device": "cpu"}))
        if name in LEAVE:
            read, put = args[2 if name == "__setitem__" else 0], name == "__setitem__"
            if isinstance(read, Tensor) and (on_cuda(read) or (put and not here[0])):
                self._count(name, read.numel(), put and here[0])
            return out
        cuda, drawn = _where(name, args, kwargs, here, wanted), kwargs.get("generator") is not None
        moved = cuda and name in BRING and not (here and all(here))
        return self._marked(out, cuda, tensors, "drawn" if drawn else name, moved=moved)

    def _marked(self, out: Any, cuda: bool, given: list[Tensor], name: str, *, moved: bool = False) -> Any:
        """The result of a call on its device: other memory than the arguments' where they are on another."""
        if isinstance(out, Tensor):
            before = _mark_of(out)
            if before is not None and before != cuda and any(_same_memory(out, tensor) for tensor in given):
                out = out.clone()
            if before != cuda:
                _mark(out, cuda)
            if not moved and (before != cuda or (name.endswith("_") and not name.startswith("_"))):
                self._count(name, _bare(out).numel(), cuda)
        elif isinstance(out, (tuple, list)):
            for part in _tensors(out):
                self._marked(part, cuda, [], name)
        return out

    def _count(self, name: str, numbers: int, cuda: bool) -> None:
        if cuda or name == "drawn":
            self.made["cuda" if cuda else name] += numbers
            return
        frame, line = sys._getframe(1), ""
        while frame and id(frame.f_code) not in self.apart:
            where = frame.f_code.co_filename.removeprefix(HERE)
            if not line and where.startswith(("fact", "benchmarks", "notebooks")):
                line = f"{where}:{frame.f_lineno} {name}"
            frame = frame.f_back
        self.made["apart" if frame else "cpu"] += numbers
        self.blamed[line] += 0 if frame else numbers


@contextmanager
def pretend_cuda(apart: Iterable[Callable[..., Any]] = ()) -> Iterator[PretendCuda]:
    """One CUDA device while the block runs, as far as torch and torch.cuda can be asked from Python."""
    cuda = {"is_available": True, "device_count": 1, "current_device": 0, "get_device_name": NAME, "empty_cache": None}
    cuda |= {"synchronize": None, "reset_peak_memory_stats": None, "is_current_stream_capturing": False}
    cuda |= {"max_memory_allocated": 2**20, "memory_allocated": 2**19, "mem_get_info": (2**30, 2**31)}
    with ExitStack() as stack:
        for name, value in cuda.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, _value=value, **__: _value))
        stack.enter_context(patch.object(torch, "Generator", Generator))
        mode = PretendCuda(apart)
        for kind in (torch.optim.LBFGS, torch.optim.Adam, torch.optim.AdamW):
            if "step" in vars(kind):
                stack.enter_context(patch.object(kind, "step", _unwatched(kind.step, mode)))
        yield stack.enter_context(mode)


def _unwatched(step: Callable[..., Any], mode: PretendCuda) -> Callable[..., Any]:
    """torch's own arithmetic in an optimiser's step, most of all calls, with the mode off; the closure has it on."""

    def quick(optimiser: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        def watched() -> Any:
            with mode:
                return closure()

        with _pop_mode_temporarily():
            return step(optimiser, watched if closure else None)

    quick.hooked = True  # torch would wrap it once more, for good
    return quick


def on_cuda(tensor: Tensor) -> bool:
    """Whether the tensor is on the pretended device."""
    return bool(_mark_of(tensor))


def _mark_of(tensor: Tensor) -> bool | None:
    """Whether its memory is on CUDA; None where no call has said: new memory, and tensors without a storage."""
    try:
        return getattr(_bare(tensor).untyped_storage(), "pretended", None)
    except (NotImplementedError, RuntimeError):  # no storage: some wrappers, sparse tensors but for rows (CSR)
        return None


def _bare(tensor: Tensor) -> Tensor:
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor.values() if tensor.layout is torch.sparse_csr else tensor


def _mark(tensor: Tensor, cuda: bool) -> None:
    with suppress(NotImplementedError, RuntimeError):
        _bare(tensor).untyped_storage().pretended = cuda


def _same_memory(one: Tensor, other: Tensor) -> bool:
    with suppress(NotImplementedError, RuntimeError):
        return _bare(one).untyped_storage()._cdata == _bare(other).untyped_storage()._cdata
    return False


def _tensors(tree: Any) -> list[Tensor]:
    """Every tensor in nested tuples, lists and dictionaries."""
    found: list[Tensor] = []
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, Tensor):
            found.append(part)
        elif isinstance(part, (tuple, list, dict)):
            found += _tensors(part)
    return found


def _is_cuda(device: Any) -> bool:
    asked = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if asked.type == "cuda" and asked.index not in (None, CUDA.index):
        raise RuntimeError(f"CUDA error: invalid device ordinal ({asked})")
    return asked.type == CUDA.type


def _property(func: Any, tensor: Tensor) -> Any:
    """Attributes that tell the device; None for all others."""
    asked, cuda = getattr(getattr(func, "__self__", None), "__name__", ""), on_cuda(tensor)
    return {"device": CUDA if cuda else CPU, "is_cuda": cuda, "is_cpu": not cuda}.get(asked)


def _moved(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, bool]:
    """Tensor.to, cpu and cuda: the tensor, in another dtype or memory where it has to be, and whether it is on CUDA."""
    tensor, *rest = args
    cuda, dtype = {"cpu": False, "cuda": True}.get(name, on_cuda(tensor)), kwargs.get("dtype")
    for given in [*rest, kwargs.get("device"), kwargs.get("other")] if name != "cpu" else []:
        if isinstance(given, Tensor):
            cuda, dtype = on_cuda(given), given.dtype
        elif isinstance(given, torch.dtype):
            dtype = given
        elif isinstance(given, (str, torch.device)) or type(given) is int:
            cuda = _is_cuda(given)
    out = tensor if dtype is None else func(tensor, dtype)
    if (kwargs.get("copy") or cuda != on_cuda(tensor)) and _same_memory(out, tensor):
        out = out.clone()
    return out, cuda


def _where(name: str, args: Any, kwargs: dict[str, Any], here: list[bool], wanted: Any) -> bool:
    """Whether what a call gives back is on the pretended device."""
    if wanted is not None:
        return _is_cuda(wanted)
    if name in MAKERS:
        return False
    if name in READ:  # a list of tensors is read number by number
        return isinstance(args[0], Tensor) and on_cuda(args[0])
    if name in INDEXED or name in OF_FIRST or name.endswith("_like"):
        return on_cuda(args[0])
    return any(here)


def _refuse(name: str, args: Any, kwargs: dict[str, Any], tensors: list[Tensor], here: list[bool], wanted: Any) -> None:
    """The error that torch raises for this call on a machine with CUDA; nothing where it would run."""
    cuda = any(here)
    if name in ("numpy", "__array__") and cuda and not kwargs.get("force"):
        raise TypeError(f"can't convert {CUDA} device type tensor to numpy. Use Tensor.cpu() to copy the tensor first")
    if name == "__dlpack__" and cuda:
        raise BufferError("Unsupported device in DLTensor.")
    if name in NOT_ON_CUDA and cuda:
        raise NotImplementedError(f"Could not run 'aten::{name}' with arguments from the 'CUDA' backend")
    if name == "linalg_lstsq" and cuda and kwargs.get("driver", "gels") not in (None, "gels"):
        raise RuntimeError("torch.linalg.lstsq: `driver` other than `gels` is not supported on CUDA")
    made_on = "cuda" if (cuda and name not in MAKERS if wanted is None else _is_cuda(wanted)) else "cpu"
    if (generator := kwargs.get("generator")) is not None and generator.device.type != made_on:
        raise RuntimeError(f"Expected a {made_on!r} device type for generator but found {generator.device.type!r}")
    if name in INDEXED:
        _refuse_indices(args)
    elif cuda and name not in NO_MIXTURE:
        _refuse_mixture(name, args, tensors, here)


def _refuse_indices(args: Any) -> None:
    """Indices are where the indexed tensor is or on the CPU; what is put there is there, or a number."""
    tensor, index = args[0], _tensors(args[1:2])
    if not on_cuda(tensor) and any(on_cuda(part) for part in index):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    put = [part for part in _tensors(args[2:]) if part.ndim and on_cuda(part) != on_cuda(tensor)]
    if put and (index or isinstance(args[1], list)):
        raise RuntimeError("Expected all tensors to be on the same device, but found at least two (put by an index)")


def _refuse_mixture(name: str, args: Any, tensors: list[Tensor], here: list[bool]) -> None:
    """Two devices in one call, but for CPU numbers of no dimension beside CUDA tensors."""
    in_place = name.endswith("_") and (not name.startswith("__") or name.startswith("__i"))
    written = in_place and isinstance(args[0], Tensor) and not on_cuda(args[0])
    free = [tensor.ndim == 0 and name not in NO_SCALARS for tensor in tensors]
    if written or not all(cuda or loose for cuda, loose in zip(here, free)):
        shapes = [(tuple(tensor.shape), "cuda" if cuda else "cpu") for tensor, cuda in zip(tensors, here)]
        both = f"cuda:0 and cpu! ({name} of {shapes})"
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {both}")

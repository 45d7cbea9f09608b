"""What building a network costs: seconds and peak memory, each run in a process of its own."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

COUNTED_ONCE = 500_000  # facts
# Parameters per fact, with room above what a method needs at d = 64 and a few thousand facts.
COMFORTABLE = {"max-margin": 48.0, "block-convex": 12.0, "hebbian": 56.0, "trained": 9.0}


def comfortable_width(method: str, n: int, d: int) -> int | None:
    """h = ⌈p n / 3d⌉ at p = `COMFORTABLE` parameters per fact; None for the encoder-decoder, which finds its own."""
    return math.ceil(COMFORTABLE[method] * n / (3 * d)) if method in COMFORTABLE else None


def build_cost(
    method: str,
    n: int,
    d: int,
    seed: int,
    device: str = "cpu",
    *,
    width: int | None = None,
    n_values: int | None = None,
    fresh: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Build a network for n random facts, with ``n_values`` values or as many, and check recall, in a fresh process.

    A width too small loses facts, which recall tells. Returns device, width, parameters, recall, build_s (with the
    verification by `construct`) and verify_s (of recall, wall seconds both), cpu_s (of both, all threads), peak_mb (the
    process's largest resident memory), rest_mb (the same before the build: Python, torch, the facts and a network
    for 32 facts, built first so that what is loaded at first use does not count) and gpu_mb. ``width=None`` takes
    `comfortable_width`.
    From `COUNTED_ONCE` facts on recall is that of `construct`'s own verification, and verify_s 0: to count again would
    take as long as to build.
    ``fresh=False`` measures in this process: quicker, and the memory is that of all it has done. ValueError with the
    process's last line where it fails.
    """
    job: dict[str, Any] = {"method": method, "n": n, "d": d, "seed": seed, "device": device, "options": options}
    job |= {"threads": torch.get_num_threads(), "width": width, "n_values": n_values}
    if not fresh:
        return _measure(**job)
    command = [sys.executable, "-m", "factbook.cost", json.dumps(job)]
    child = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent)
    if child.returncode:
        raise ValueError(f"building {method!r} for {n} facts failed: {child.stderr.strip().splitlines()[-1]}")
    return json.loads(child.stdout)


def _measure(
    method: str,
    n: int,
    d: int,
    seed: int,
    device: str,
    *,
    threads: int,
    width: int | None,
    n_values: int | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    from factcore.build import construct
    from factcore.facts import spherical_facts
    from factcore.scoring import recall

    torch.set_num_threads(threads)
    facts = spherical_facts(n, d, n_values=n_values, seed=seed).to(device)
    width = width or comfortable_width(method, n, d)
    few = comfortable_width(method, 32, 8)
    loads = spherical_facts(32, 8).to(device)  # what torch loads at first use
    construct(loads, method, width=few, strict=False, **options)
    rest, cpu, begun = _peak_mb(), time.process_time(), time.perf_counter()
    mlp = construct(facts, method, width=width, seed=seed, strict=False, **options)
    if facts.keys.is_cuda:
        torch.cuda.synchronize()
    built = time.perf_counter()
    share = recall(mlp, facts) if n < COUNTED_ONCE else 1 - len(mlp.lost) / n
    return {
        "device": str(mlp.down.device),
        "width": mlp.width,
        "parameters": mlp.n_params,
        "recall": share,
        "build_s": round(built - begun, 3),
        "verify_s": round(time.perf_counter() - built, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
        "rest_mb": rest,
        "peak_mb": _peak_mb(),
        "gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if facts.keys.is_cuda else 0,
    }


def _peak_mb() -> int:
    """Largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it started this process
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) * 1024 / 1e6)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


if __name__ == "__main__":
    print(json.dumps(_measure(**json.loads(sys.argv[1]))))

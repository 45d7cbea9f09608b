"""Decodability against its peers, and how its time grows: one run, ratios printed.

    python benchmarks/decodability.py                        # peers at 1,024 x 64, growth in v and d: minutes
    python benchmarks/decodability.py --parts large          # 16,384 x 128: time and peak memory
    python benchmarks/decodability.py --parts growth large --large 65536x128 --device cuda
    python benchmarks/decodability.py --parts large peers growth --csv results/laptop/decodability_benchmark.csv

Peers: (a) ADMM on all differences held in memory at once, 300 iterations; (b) one quadratic program per value
with Clarabel (`pip install clarabel`), timed on a sample of the values and scaled to all of them. Each peer's
bounds are computed from its own primal and dual solution by the same formulas as ours.
Values are unit vectors: float64 normals from the torch generator with seed 0, rows normalised.
--csv appends one row per timed run, as it ends, with device, threads, processor seconds, torch version and commit (a
table in results/laptop/ has the profile, too): ratios and growth are of processor seconds. The solver page of the book
reads such a table. peak_gb (GiB) is the peak of the whole process so far, or of the device since it started.
"""

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from factbook import store
from factcore.geometry import decodability

Bounds = tuple[Tensor, Tensor]  # lower, upper (v,)
Times = tuple[float, float]  # seconds on the clock, and of the processor, all threads


def unit_vectors(v: int, d: int) -> Tensor:
    x = torch.randn(v, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def ours(values: Tensor, tol: float, only_min: bool = False) -> Bounds:
    result = decodability(values, tol=tol, only_min=only_min)
    return result.lower, result.upper


def admm(values: Tensor, iterations: int = 300, penalty: float = 10.0) -> Bounds:
    """Hard-margin form, min |u|^2 / 2 with Z_i u >= 1 for every i, split as s = Z_i u, s >= 1; Z is (v, v - 1, d).

    penalty is in units of d / (v - 1), the scale of Z'Z for directions spread evenly; 10 to 20 converged best
    of 0.1 to 100 on unit vectors.
    """
    v, d = values.shape
    others = torch.arange(v - 1).expand(v, -1) + (torch.arange(v - 1) >= torch.arange(v)[:, None])
    z = torch.nn.functional.normalize(values[:, None] - values[others.to(values.device)], dim=2)
    r = penalty * d / (v - 1)
    system = torch.cholesky_inverse(torch.linalg.cholesky(torch.eye(d).to(z) + r * z.mT @ z))
    s, y = z.new_ones(v, v - 1, 1), z.new_zeros(v, v - 1, 1)
    for _ in range(iterations):
        u = system @ (r * (z.mT @ (s - y)))
        zu = z @ u
        s = (zu + y).clamp(min=1.0)
        y += zu - s
    weight = (-y).clamp(min=0.0)
    lower = (zu / u.norm(dim=1, keepdim=True)).amin((1, 2))
    return lower.clamp(min=0.0), (z.mT @ (weight / weight.sum(1, keepdim=True))).norm(dim=(1, 2))


def clarabel_each(values: Tensor, rows: range) -> Bounds:
    """The same hard-margin program, one call per value of `rows`, at Clarabel's default accuracy."""
    import clarabel
    from scipy import sparse

    x = values.cpu().numpy()
    v, d = x.shape
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    lower, upper = [], []
    for i in rows:
        z = x[i] - np.delete(x, i, axis=0)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        quadratic, cone = sparse.identity(d, format="csc"), [clarabel.NonnegativeConeT(v - 1)]
        program = (quadratic, np.zeros(d), sparse.csc_matrix(-z), -np.ones(v - 1), cone, settings)
        solved = clarabel.DefaultSolver(*program).solve()
        u, weight = np.array(solved.x), np.maximum(solved.z, 0)
        lower.append(max(0.0, (z @ u).min() / np.linalg.norm(u)))
        upper.append(np.linalg.norm(z.T @ weight) / weight.sum())
    return torch.tensor(lower), torch.tensor(upper)


def timed(solve: Callable[[], Bounds], repeats: int = 1) -> tuple[Times, Bounds]:
    """Shortest wall and processor time of a few runs and the last run's bounds (read back: a device has finished)."""
    seconds, processor = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        lower, upper = solve()
        bounds = lower.cpu(), upper.cpu()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    return (min(seconds), min(processor)), bounds


def peak_gb() -> float:
    """Peak memory: of the device if one was used, else of this process so far (Linux counts in KiB)."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def report(args: argparse.Namespace, part: str, solver: str, v: int, d: int, times: Times, bounds: Bounds) -> None:
    """Print one timed run and append it to the table."""
    (lower, upper), (seconds, processor) = bounds, times
    row = {
        "part": part, "solver": solver, "v": v, "d": d,
        "rho": f"{lower.min():.10f}" if len(lower) == v else "nan",  # a sample of the values does not tell rho
        "largest_gap": f"{(upper - lower).max():.1e}", "peak_gb": round(peak_gb(), 2),
    }  # fmt: skip
    device = "cpu" if solver.startswith("clarabel") else args.device
    origin = (store.device_name(device), torch.__version__, store.commit(), round(seconds, 4))
    print(
        "  ".join(f"{key} {value}" for key, value in row.items()),
        f" seconds {seconds:.4f}, of the processor {processor:.4f}",
        flush=True,
    )
    if args.csv:
        row |= dict(zip(store.PROVENANCE, origin)) | {"threads": torch.get_num_threads(), "cpu_s": round(processor, 4)}
        store.append_row(args.csv, row)


def against_peers(args: argparse.Namespace, v: int, d: int) -> None:
    values = unit_vectors(v, d).to(args.device)
    mine = {}
    for tol in (1e-6, 1e-9):
        times, (lower, upper) = timed(lambda tol=tol: ours(values, tol), repeats=3)
        report(args, "peers", f"factcore tol={tol:g}", v, d, times, (lower, upper))
        mine[tol] = times[1], (upper - lower).max()
    quick, bounds = timed(lambda: ours(values, 1e-6, only_min=True), repeats=3)
    report(args, "peers", "factcore tol=1e-06 only_min", v, d, quick, bounds)
    for peer in args.peers:
        share = 1.0
        if peer == "admm":
            taken, bounds = timed(lambda: admm(values, args.iterations, args.penalty))
        else:
            rows = range(min(args.sample, v))
            clarabel_each(values[:3], range(1))  # the first call loads libraries
            taken, bounds = timed(lambda rows=rows: clarabel_each(values, rows))
            share = len(rows) / v
        solver = peer if share == 1 else f"{peer}, {len(rows)} values scaled up"
        taken = taken[0] / share, taken[1] / share
        report(args, "peers", solver, v, d, taken, bounds)
        error = (upper[: len(bounds[0])] - bounds[0]).max()
        print(f"  largest error of its rho_i: {error:.1e}")
        for tol, (own, gap) in mine.items():
            ratio = (bounds[1] - bounds[0]).max() / gap
            print(f"  {taken[1] / own:.0f} times our processor time at tol={tol:g}; its gap is {ratio:.2g} times ours")


def growth(args: argparse.Namespace) -> None:
    for axis, sizes in (("v", [(v, args.growth_d[1]) for v in args.growth_v]),
                        ("d", [(args.growth_v[1], d) for d in args.growth_d])):  # fmt: skip
        taken = []
        for v, d in sizes:
            values = unit_vectors(v, d).to(args.device)
            times, bounds = timed(lambda values=values: ours(values, 1e-6))
            report(args, f"growth in {axis}", "factcore tol=1e-06", v, d, times, bounds)
            taken.append(times[1])
        x = [size[axis == "d"] for size in sizes]
        slope = np.polyfit(np.log(x), np.log(np.maximum(taken, 1e-4)), 1)[0]
        print(f"  time grows as {axis}^{slope:.2f} over {axis} = {x[0]} to {x[-1]}")


def size(text: str) -> tuple[int, int]:
    v, d = text.split("x")
    return int(v), int(d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["peers", "growth"], choices=["peers", "growth", "large"])
    parser.add_argument("--sizes", nargs="+", type=size, default=[(1024, 64)], metavar="VxD")
    parser.add_argument("--peers", nargs="*", default=["admm", "clarabel"], choices=["admm", "clarabel"])
    parser.add_argument("--iterations", type=int, default=300, help="of ADMM")
    parser.add_argument("--penalty", type=float, default=10.0, help="of ADMM, in units of d / (v - 1)")
    parser.add_argument("--sample", type=int, default=32, help="values that Clarabel solves")
    parser.add_argument("--growth-v", nargs="+", type=int, default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--growth-d", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--large", type=size, default=(16384, 128), metavar="VxD")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--csv", type=Path, help="table that the runs are appended to")
    args = parser.parse_args()
    if "clarabel" in args.peers and importlib.util.find_spec("clarabel") is None:
        print("left out: the peer clarabel, which needs `pip install clarabel`")
        args.peers.remove("clarabel")
    if args.threads:
        torch.set_num_threads(args.threads)
    ours(unit_vectors(64, 8).to(args.device), 1e-6)  # the first call loads libraries
    if "large" in args.parts:  # first, so that the peak is its own
        values = unit_vectors(*args.large).to(args.device)
        report(args, "large", "factcore tol=1e-06", *args.large, *timed(lambda: ours(values, 1e-6)))
    if "peers" in args.parts:
        for v, d in args.sizes:
            against_peers(args, v, d)
    if "growth" in args.parts:
        growth(args)


if __name__ == "__main__":
    main()

"""Value embeddings of many shapes (paper section 3), and a language model's layer as facts."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from factcore.facts import FactSet
from factcore.support import check_choice, check_embeddings, check_integer, data_file, read_safetensors, stream

SYNTHETIC = ("sphere", "gaussian", "spiked", "clusters", "low-rank", "norms", "power-law")
STRENGTHS = {"spiked": 1.5, "clusters": 0.5, "low-rank": 0.1, "norms": 0.3, "power-law": 1.0}  # the defaults
INPUTS, OUTPUTS = ("inputs", "input_scales"), ("outputs", "output_scales")  # tensors of minilm_mlp.safetensors


def value_geometry(name: str, n_values: int, d: int, *, seed: int = 0, strength: float | None = None) -> Tensor:
    """Values (n_values, d) in float64, of the geometry ``name``; the same seed gives the same values.

    Synthetic, with z standard normal and u uniform on the unit sphere, drawn anew for every value:
        sphere      u.
        gaussian    z / √d.
        spiked      normalise(u + strength · z · s), z a number, s one fixed unit vector (β is the strength).
        clusters    normalise(c + strength · z / √d), c one of round(√n_values) centres on the sphere.
        low-rank    u in a fixed random subspace of dimension ⌈d / 4⌉, plus strength · z / √d.
        norms       u · exp(strength · z), z a number: equal directions, unequal norms.
        power-law   normalise(z_k · k^(−strength / 2), k = 1 … d) in a fixed random basis.
    Real (data/README.md), with no strength: a random sample of the stored rows.
        airports    sentence embeddings of city names (unit norm).
        tokens      whole words of a language model's token table.
        mlp-inputs, mlp-outputs    what goes into, and comes out of, the MLP in the middle of that model.
    For d < 384 a real sample is turned to its own d leading principal directions (largest second moments about the
    origin) and the rest is cut off. ValueError for an unknown name, sizes that are no positive integers, a strength
    that is negative, not finite or of no use, and more rows or dimensions than the real data have.
    """
    check_choice("name", name, (*SYNTHETIC, *REAL))
    check_integer("n_values", n_values)
    check_integer("d", d)
    if strength is not None and (name not in STRENGTHS or not 0 <= strength < math.inf):
        raise ValueError(f"strength must be finite, ≥ 0 and for one of {sorted(STRENGTHS)}, got {strength!r}")
    generator = stream(seed, "facts")
    if name in SYNTHETIC:
        return _synthetic(name, n_values, d, generator, STRENGTHS.get(name, 0.0) if strength is None else strength)
    rows = REAL[name]()
    if n_values > len(rows) or d > rows.shape[1]:
        raise ValueError(f"{name} has {len(rows)} rows and d = {rows.shape[1]}: too few for ({n_values}, {d})")
    chosen = rows[torch.randperm(len(rows), generator=generator)[:n_values]]
    return chosen if d == rows.shape[1] else chosen @ leading_directions(chosen, d)


def layer_facts(n_facts: int | None = None, *, seed: int = 0) -> FactSet:
    """An MLP of a language model as facts: what goes in is the key, what comes out the value, one to one (d = 384).

    4,096 positions of sentences, float32, norms kept, from ``data/minilm_mlp.safetensors`` (source, licence and date:
    data/README.md). ``n_facts`` takes a random sample of that many; the same seed gives the same sample.
    ValueError for an ``n_facts`` outside 1 to 4,096.
    """
    inputs, outputs = (_dequantised("minilm_mlp.safetensors", *names).float() for names in (INPUTS, OUTPUTS))
    rows = torch.arange(len(inputs))
    if n_facts is not None:
        check_integer("n_facts", n_facts, most=len(inputs))
        rows = torch.randperm(len(inputs), generator=stream(seed, "facts"))[:n_facts]
    return FactSet(inputs[rows], outputs[rows], torch.arange(len(rows)))


def cut_to_leading(facts: FactSet, d: int) -> FactSet:
    """The same facts in ``d`` dimensions: keys, and values, each turned to their own d leading principal directions.

    The rest is cut off, so norms shrink and close rows come closer. Names are kept. ValueError unless d is from 1 to
    the smaller of both dimensions, and when two keys with different values become one.
    """
    check_integer("d", d, most=min(facts.d, facts.e))
    keys, values = facts.keys.double(), facts.values.double()
    keys, values = keys @ leading_directions(keys, d), values @ leading_directions(values, d)
    return replace(facts, keys=keys.to(facts.keys.dtype), values=values.to(facts.values.dtype))


def whiten(values: Tensor, ridge: float = 0.0) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """(V - mean) S^(-1/2) and the map back, with S the covariance of ``values`` (v, d) plus a ridge.

    ridge is a share of the mean variance, S = cov + ridge * tr(cov) / d * I; 0 makes the covariance I. The map back
    takes whitened rows (..., d). Both keep the dtype of ``values``. ValueError for a singular S: give a ridge.
    """
    check_embeddings("values", values)
    if ridge < 0:
        raise ValueError(f"ridge must be non-negative, got {ridge}")
    x = values.detach().double()
    mean = x.mean(0)
    variance, axes = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    variance = variance.clamp(min=0.0) + ridge * variance.mean()
    rank = int((variance > variance.max() * x.shape[1] * torch.finfo(x.dtype).eps).sum())
    if rank < x.shape[1]:
        raise ValueError(f"the covariance of values has rank {rank} of {x.shape[1]}: pass ridge > 0 (say 1e-3)")
    root, inverse_root = (axes * variance.sqrt()) @ axes.T, (axes / variance.sqrt()) @ axes.T

    def unwhiten(whitened: Tensor) -> Tensor:
        return (whitened.double() @ root + mean).to(values.dtype)  # type: ignore[no-any-return]

    return ((x - mean) @ inverse_root).to(values.dtype), unwhiten


def _synthetic(name: str, v: int, d: int, generator: torch.Generator, strength: float) -> Tensor:
    """The synthetic geometries of `value_geometry`."""

    def normal(rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=generator, dtype=torch.float64)

    def sphere(rows: int, columns: int) -> Tensor:
        return normalize(normal(rows, columns), dim=1)

    match name:
        case "sphere":
            return sphere(v, d)
        case "gaussian":
            return normal(v, d) / math.sqrt(d)
        case "spiked":
            spike = sphere(1, d)
            return normalize(sphere(v, d) + strength * normal(v, 1) * spike, dim=1)
        case "clusters":
            centres = sphere(round(math.sqrt(v)), d)
            return normalize(centres[torch.arange(v) % len(centres)] + strength * (normal(v, d) / math.sqrt(d)), dim=1)
        case "low-rank":
            subspace = torch.linalg.qr(normal(d, -(-d // 4))).Q
            return sphere(v, subspace.shape[1]) @ subspace.T + strength * (normal(v, d) / math.sqrt(d))  # type: ignore[no-any-return]
        case "norms":
            return sphere(v, d) * (strength * normal(v, 1)).exp()
        case _:  # power-law
            basis = torch.linalg.qr(normal(d, d)).Q
            spread = torch.arange(1, d + 1, dtype=torch.float64) ** (-strength / 2)
            return normalize(normal(v, d) * spread @ basis.T, dim=1)


def _dequantised(file: str, rows: str, scales: str) -> Tensor:
    """The int8 tensor ``rows`` of a data file; ``scales`` restores the norms."""
    tensors, _ = read_safetensors(data_file(file))
    return tensors[rows].double() * tensors[scales].double()[:, None]


def leading_directions(rows: Tensor, d: int) -> Tensor:
    """The d principal directions of largest second moment of ``rows`` (n, D), as columns (D, d)."""
    return torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -d:].flip(1)  # type: ignore[no-any-return]


REAL: dict[str, Callable[[], Tensor]] = {
    "airports": lambda: normalize(read_safetensors(data_file("airports.safetensors"))[0]["values"].double(), dim=1),
    "tokens": lambda: _dequantised("minilm_tokens.safetensors", "rows", "scales"),
    "mlp-inputs": lambda: _dequantised("minilm_mlp.safetensors", *INPUTS),
    "mlp-outputs": lambda: _dequantised("minilm_mlp.safetensors", *OUTPUTS),
}

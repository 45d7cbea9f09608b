"""How an edit went: what the edited model states, what else moved, seconds and memory."""

import ctypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from factbook.editing.edits import change, check_method, request
from factbook.editing.model import FactLanguageModel, fact_accuracy, perplexity


class EditReport(NamedTuple):
    """How an edit went. Shares lie in [0, 1].

    efficacy: edited facts in training templates. paraphrase: edited facts in unseen templates. specificity: all other
    facts of the relation, in training templates. score: the harmonic mean of the three, 0 where one is 0. peak_mb: what
    the edit added to resident (CUDA: allocated) memory.
    """

    efficacy: float
    paraphrase: float
    specificity: float
    score: float
    perplexity_ratio: float
    seconds: float
    peak_mb: float


def evaluate_edit(
    model: FactLanguageModel,
    new_facts: Mapping[str, str],
    *,
    method: str = "swap",
    relation: str = "city",
    seed: int = 0,
    quick: bool = False,
    kept: dict[Any, torch.Tensor] | None = None,
    **options: Any,
) -> EditReport:
    """Do the edit as `edit` does and measure it; ``efficacy`` takes the place of its warning.

    The clock runs while the MLP changes: before, sentences have been run through attention. ``quick`` takes every
    fourth template and leaves the perplexity ratio out (NaN). ``kept``: as in `Edit`, of this request alone.
    """
    check_method(method, options)
    told, device = request(model, new_facts, relation, seed)._replace(kept=kept), model.device
    before = _memory_before(device)
    begun = time.perf_counter()
    edited = change(told, method, options)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds, peak = time.perf_counter() - begun, _peak_above(before, device)
    every = 4 if quick else 1
    stated = fact_accuracy(edited, relation, every=every)
    unseen = fact_accuracy(edited, relation, held_out=True, every=every)
    asked = torch.tensor([model.corpus.words[token] in new_facts for token in model.corpus.airports.tolist()])
    efficacy, paraphrase = float(stated[asked].mean()), float(unseen[asked].mean())
    specificity = 1.0 if asked.all() else float(stated[~asked].mean())
    score = harmonic_mean(efficacy, paraphrase, specificity)
    ratio = float("nan") if quick else perplexity(edited) / perplexity(model)
    return EditReport(efficacy, paraphrase, specificity, score, ratio, seconds, peak)


def harmonic_mean(*shares: float) -> float:
    """1 / mean(1 / share); 0 where a share is 0."""
    return len(shares) / sum(1 / share for share in shares) if min(shares) > 0 else 0.0


def _memory_before(device: torch.device) -> float:
    """Memory now, in MB, with the kernel's high-water mark set back to it; NaN where the system has no such mark."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 1e6
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else memory freed earlier is used again and no edit seems to need any
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return float("nan")
    return _status_mb("VmRSS")


def _peak_above(before: float, device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6 - before
    return max(0.0, _status_mb("VmHWM") - before) if before == before else before


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))

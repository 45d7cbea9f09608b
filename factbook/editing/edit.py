"""Edit facts of a language model: swap its fact MLP, or change weights as the known editors do.

model = load_language_model()
edited = edit(model, {"El Nido Airport": "Barcelona"})                  # the MLP is written anew
evaluate_edit(model, {"El Nido Airport": "Barcelona"}, method="memit")  # scores, seconds and memory
"""

from __future__ import annotations

import copy
import ctypes
import difflib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from factbook.editing.methods import METHODS, Edit
from factbook.editing.model import FactLanguageModel, fact_accuracy, fact_positions, insert, perplexity, write_facts
from factbook.editing.text import RELATIONS, airport_corpus
from factbook.editing.training import load_language_model, train_language_model
from factcore.support.checks import check_choice, check_integer, check_options

__all__ = ["METHODS", "EditReport", "airport_corpus", "complete", "draw_edits", "edit", "evaluate_edit", "insert"]
__all__ += ["load_language_model", "train_language_model", "write_facts"]


def edit(
    model: FactLanguageModel,
    new_facts: Mapping[str, str],
    *,
    method: str = "swap",
    relation: str = "city",
    seed: int = 0,
    **options,
) -> FactLanguageModel:
    """A model that states ``new_facts``, airport → city (or country), in place of what ``model`` stated.

    ``model`` is left as it is, and shares everything with the result but the fact MLP of the relation. method, each
    with its options (see the function of that name): 'swap', 'finetune', 'rome', 'memit', 'alphaedit', 'no_op' and
    'chance'. ValueError, naming it, for an unknown airport, value, relation, method or option.
    """
    told = _told(model, new_facts, relation, method, seed, options)
    edited = copy.copy(model)
    edited._modules = model._modules | {"facts": nn.ModuleDict(dict(model.facts.items()))}
    edited.targets = model.targets | {relation: told.targets}
    insert(edited, relation, METHODS[method](told, **options))
    return edited


class EditReport(NamedTuple):
    """How an edit went. Shares lie in [0, 1]; ``peak_mb`` is what it added to resident (CUDA: allocated) memory.

    efficacy: edited facts in training templates. paraphrase: edited facts in unseen templates. specificity: all other
    facts of the relation, in training templates. score: the harmonic mean of the three, 0 where one is 0.
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
    **options,
) -> EditReport:
    """Do the edit as `edit` does and measure it. Sentences are run through attention before the clock starts.

    ``quick`` takes every fourth template and leaves the perplexity ratio out (NaN).
    """
    rows = _told(model, new_facts, relation, method, seed, options).rows
    fact_positions(model, relation, held_out=False)
    device = model.names.device
    before = _memory_before(device)
    begun = time.perf_counter()
    edited = edit(model, new_facts, method=method, relation=relation, seed=seed, **options)
    if model.names.is_cuda:
        torch.cuda.synchronize()
    seconds, peak = time.perf_counter() - begun, _peak_above(before, device)
    every = 4 if quick else 1
    stated = fact_accuracy(edited, relation, every=every)
    unseen = fact_accuracy(edited, relation, held_out=True, every=every)
    others = torch.ones(len(stated), dtype=torch.bool).index_fill_(0, rows, False)
    efficacy, paraphrase = float(stated[rows].mean()), float(unseen[rows].mean())
    specificity = float(stated[others].mean()) if others.any() else 1.0
    score = harmonic_mean(efficacy, paraphrase, specificity)
    ratio = float("nan") if quick else perplexity(edited) / perplexity(model)
    return EditReport(efficacy, paraphrase, specificity, score, ratio, seconds, peak)


@torch.no_grad()
def complete(model: FactLanguageModel, sentence: str, airport: str) -> str:
    """The word that ``model`` puts after ``sentence``, in which @ stands for ``airport``.

    "the road from @ leads to" → "Amsterdam". ValueError for a word or an airport that the model does not know, for a
    sentence without @ and for one that is too long.
    """
    corpus, words = model.corpus, sentence.split()
    if words.count("@") != 1 or len(words) >= len(model.cos):
        raise ValueError(f"the sentence needs one @ and at most {len(model.cos) - 1} words, got {sentence!r}")
    airports = {corpus.words[token]: token for token in corpus.airports.tolist()}
    tokens = [_find(airports, airport, "airport") if w == "@" else _find(corpus.number, w, "word") for w in words]
    return corpus.words[int(model(torch.tensor([[1, *tokens]]).to(model.names.device))[0, -1].argmax())]


def harmonic_mean(*shares: float) -> float:
    """1 / mean(1 / share); 0 where a share is 0."""
    return len(shares) / sum(1 / share for share in shares) if min(shares) > 0 else 0.0


def draw_edits(model: FactLanguageModel, count: int, *, relation: str = "city", seed: int = 0) -> dict[str, str]:
    """``count`` airports at random, each with another value of the relation than it has now."""
    corpus, generator = model.corpus, torch.Generator().manual_seed(seed)
    check_integer("count", count, most=len(corpus))
    rows = torch.randperm(len(corpus), generator=generator)[:count].tolist()
    values, new = corpus.values[relation].tolist(), {}
    for row in rows:
        others = [v for v in values if v != int(model.targets[relation][row])]
        chosen = others[int(torch.randint(len(others), (), generator=generator))]
        new[corpus.words[int(corpus.airports[row])]] = corpus.words[chosen]
    return new


def _told(
    model: FactLanguageModel, new_facts: Mapping[str, str], relation: str, method: str, seed: int, options: dict
) -> Edit:
    """The request, checked: nothing has been changed when this raises."""
    check_choice("relation", relation, RELATIONS)
    check_choice("method", method, METHODS)
    check_options(method, METHODS[method], options)
    if not new_facts:
        raise ValueError("new_facts is empty: there is nothing to edit")
    corpus, targets = model.corpus, model.targets[relation].clone()
    row_of = {corpus.words[token]: row for row, token in enumerate(corpus.airports.tolist())}
    value_of = {corpus.words[token]: token for token in corpus.values[relation].tolist()}
    for airport, value in new_facts.items():
        row = _find(row_of, airport, "airport")
        targets[row] = _find(value_of, value, relation)
    return Edit(model, relation, targets, torch.tensor([row_of[airport] for airport in new_facts]), seed)


def _find(known: dict[str, int], name: str, kind: str) -> int:
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        raise ValueError(f"the model knows no {kind} {name!r}" + (f"; did you mean one of {near}?" if near else ""))
    return known[name]


def _memory_before(device: torch.device) -> float:
    """Memory now, in MB, with the kernel's high-water mark set back to it; NaN where the system has no such mark."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 1e6
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else memory freed earlier is used again and no edit seems to need any
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return float("nan")
    return _status_mb("VmRSS")


def _peak_above(before: float, device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6 - before
    return max(0.0, _status_mb("VmHWM") - before) if before == before else before


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))

"""Edit facts of a language model: check the request, leave out what is stated already, and tell what did not take."""

import copy
import difflib
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from factbook.editing.methods import CONTROLS, METHODS, Edit
from factbook.editing.model import STATED, FactLanguageModel, fact_accuracy, insert
from factbook.editing.text import RELATIONS
from factcore.support import check_choice, check_integer, check_options, stream

NAMED = 20  # airports in a warning, at most


def edit(
    model: FactLanguageModel,
    new_facts: Mapping[str, str],
    *,
    method: str = "swap",
    relation: str = "city",
    seed: int = 0,
    **options: Any,
) -> FactLanguageModel:
    """A model that states ``new_facts``, airport → city (or country), in place of what ``model`` stated.

    The model given stays as it was, and shares everything with the result but the fact MLP of the relation. Facts that
    it states already are no part of the edit; where nothing is left to do, the result equals it.

    method: 'swap', 'finetune', 'rome', 'memit', 'alphaedit', and to compare with 'no_op' and 'chance'. options: those
    of the function of that name in `factbook.editing.methods`.

    Warns, naming the airports, when an edit did not take (`not_taken`). ValueError, naming it, for an unknown airport,
    value, relation, method or option.
    """
    check_method(method, options)
    edited = change(request(model, new_facts, relation, seed), method, options)
    missed = [] if method in CONTROLS else not_taken(edited, new_facts, relation=relation)
    if missed:
        more = f" and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
        warnings.warn(
            f"{len(missed)} of {len(new_facts)} edits by {method!r} did not take: the model does not state the new "
            f"{relation} of {', '.join(map(repr, missed[:NAMED]))}{more}",
            stacklevel=2,
        )
    return edited


def not_taken(model: FactLanguageModel, new_facts: Mapping[str, str], *, relation: str = "city") -> list[str]:
    """The airports of ``new_facts`` whose value ``model`` does not state: in half or more of the training templates."""
    told = request(model, new_facts, relation, 0)
    return [model.corpus.words[token] for token in model.corpus.airports[told.rows].tolist()]


def draw_edits(model: FactLanguageModel, count: int, *, relation: str = "city", seed: int = 0) -> dict[str, str]:
    """``count`` airports at random, each with another value of the relation than it has now."""
    corpus, generator = model.corpus, torch.Generator().manual_seed(seed)
    check_choice("relation", relation, RELATIONS)
    check_integer("count", count, most=len(corpus))
    rows = torch.randperm(len(corpus), generator=generator)[:count].tolist()
    values, new = corpus.values[relation].tolist(), {}
    for row in rows:
        others = [v for v in values if v != int(model.targets[relation][row])]
        chosen = others[int(torch.randint(len(others), (), generator=generator))]
        new[corpus.words[int(corpus.airports[row])]] = corpus.words[chosen]
    return new


def permute_edits(model: FactLanguageModel, count: int, *, relation: str = "city", seed: int = 0) -> dict[str, str]:
    """``count`` airports at random, their values permuted among them, each to another value than it has now.

    The published study's edit: nothing new has to be said, only of another key. ValueError for fewer than two airports
    and where one value belongs to more than half of them.
    """
    corpus, generator = model.corpus, torch.Generator().manual_seed(seed)
    check_choice("relation", relation, RELATIONS)
    check_integer("count", count, most=len(corpus))
    rows = torch.randperm(len(corpus), generator=generator)[:count]
    values = model.targets[relation].cpu()[rows]
    order = values.argsort(stable=True)  # equal values side by side: turned by the largest group, none meets itself
    largest = int(values.unique(return_counts=True)[1].max())
    if 2 * largest > count:
        raise ValueError(f"{largest} of {count} {relation} values are the same: no permutation changes them all")
    new = torch.empty_like(values)
    new[order] = values[order.roll(largest)]
    airports = corpus.airports[rows].tolist()
    return {corpus.words[airport]: corpus.words[value] for airport, value in zip(airports, new.tolist())}


@torch.no_grad()
def complete(model: FactLanguageModel, sentence: str, airport: str) -> str:
    """The word that ``model`` puts after ``sentence``, in which @ stands for ``airport``.

    "the road from @ leads to" → "Amsterdam". ValueError for a word or an airport that the model does not know, for a
    sentence without @ and for one that is too long.
    """
    corpus, words = model.corpus, sentence.split()
    if words.count("@") != 1 or len(words) >= len(model.turns):
        raise ValueError(f"the sentence needs one @ and at most {len(model.turns) - 1} words, got {sentence!r}")
    airports = _numbers(corpus.words, corpus.airports)
    tokens = [_find(airports, airport, "airport") if w == "@" else _find(corpus.number, w, "word") for w in words]
    return corpus.words[int(model(torch.tensor([[1, *tokens]]).to(model.device))[0, -1].argmax())]


def check_method(method: str, options: Mapping[str, Any]) -> None:
    """ValueError for a method, or an option of it, that does not exist."""
    check_choice("method", method, METHODS)
    check_options(method, METHODS[method], options)


def request(model: FactLanguageModel, new_facts: Mapping[str, str], relation: str, seed: int) -> Edit:
    """The request, checked; its rows are those of ``new_facts`` that ``model`` does not state yet."""
    check_choice("relation", relation, RELATIONS)
    stream(seed, "weights")  # names a seed that is none
    if not new_facts:
        raise ValueError("new_facts is empty: there is nothing to edit")
    corpus, targets = model.corpus, model.targets[relation].clone()
    airports = _numbers(corpus.words, corpus.airports)
    row_of = {name: row for row, name in enumerate(airports)}
    value_of = _numbers(corpus.words, corpus.values[relation])
    for airport, value in new_facts.items():
        row = _find(row_of, airport, "airport")  # told before an unknown value
        targets[row] = _find(value_of, value, relation)
    rows = torch.tensor([row_of[airport] for airport in new_facts])
    stated = fact_accuracy(model, relation, targets=targets)[rows] > STATED
    return Edit(model, relation, targets, rows[~stated], seed)


def change(told: Edit, method: str, options: Mapping[str, Any]) -> FactLanguageModel:
    """The model of the request with its facts edited, and with the same MLP where there is nothing to do."""
    edited = copy.copy(told.model)
    edited._modules = told.model._modules | {"facts": nn.ModuleDict(dict(told.model.facts.items()))}
    edited.targets = told.model.targets | {told.relation: told.targets}
    if len(told.rows):
        insert(edited, told.relation, METHODS[method](told, **options))
    return edited


def _numbers(words: tuple[str, ...], tokens: torch.Tensor) -> dict[str, int]:
    return {words[token]: token for token in tokens.tolist()}


def _find(known: Mapping[str, int], name: str, kind: str) -> int:
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        raise ValueError(f"the model knows no {kind} {name!r}" + (f"; did you mean one of {near}?" if near else ""))
    return known[name]

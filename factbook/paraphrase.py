"""Questions in other words: stored paraphrases of airports; how well "I don't know" tells held-out queries apart."""

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from factbook.geometries import leading_directions
from factcore.data import airport_facts
from factcore.facts import FactSet
from factcore.support import data_file, read_safetensors, unpack_lines


class Questions(NamedTuple):
    """Unit-norm float32 embeddings (d = 384) of questions about airports, from ``data/airport_queries.safetensors``."""

    airports: Tensor  # (a,) rows of airport_facts()
    kinds: dict[str, str]  # kind of paraphrase → how it is made
    queries: Tensor  # (kinds, a, d)
    texts: list[list[str]]  # kinds × a
    said_airports: Tensor  # (s,) rows of airport_facts()
    said: Tensor  # (s, d) questions as people say them
    said_texts: list[str]
    off_topic: Tensor  # (o, d) questions about something else
    off_topic_texts: list[str]


def airport_questions() -> Questions:
    """The stored questions; how they were worded: data/README.md."""
    tensors, metadata = read_safetensors(data_file("airport_queries.safetensors"))
    unit = lambda name: normalize(tensors[name].float(), dim=-1)  # noqa: E731
    words = lambda name: list(unpack_lines(tensors[name]))  # noqa: E731
    a, texts = len(tensors["airports"]), words("texts")
    return Questions(
        tensors["airports"].long(),
        json.loads(metadata["kinds"]),
        unit("queries"),
        [texts[at : at + a] for at in range(0, len(texts), a)],
        tensors["said_airports"].long(),
        unit("said_queries"),
        words("said_texts"),
        unit("off_topic_queries"),
        words("off_topic_texts"),
    )


class Trial(NamedTuple):
    """Airports that are stored, questions about them, and questions about airports that are not."""

    facts: FactSet
    asked: Tensor  # (kinds, n, d) paraphrases of the keys
    held_out: Tensor  # (kinds, u, d) the same paraphrases of airports that are not stored
    held_out_keys: Tensor  # (u, d) their names
    off_topic: Tensor  # (o, d)


def airport_trial(n: int, unknown: int, d: int, seed: int) -> Trial:
    """``n`` airports to store and ``unknown`` others, drawn by ``seed``; in ``d`` dimensions.

    For d < 384 all questions are turned to the d leading principal directions of the stored keys, values to their own.
    ValueError when there are not enough airports with questions.
    """
    questions, everything = airport_questions(), airport_facts()
    if n + unknown > len(questions.airports):
        raise ValueError(f"{len(questions.airports)} airports have questions, {n} + {unknown} were asked for")
    order = torch.randperm(len(questions.airports), generator=torch.Generator().manual_seed(seed))
    known, others = order[:n], order[n : n + unknown]
    facts = everything.subset(questions.airports[known])
    turn = lambda rows: torch.eye(d) if d == facts.d else leading_directions(rows.double(), d).float()  # noqa: E731
    keys, values = turn(facts.keys), turn(facts.values)
    names = (facts.key_names, facts.value_names)
    return Trial(
        FactSet(facts.keys @ keys, facts.values @ values, facts.targets, *names),
        questions.queries[:, known] @ keys,
        questions.queries[:, others] @ keys,
        everything.keys[questions.airports[others]] @ keys,
        questions.off_topic @ keys,
    )


def angles(queries: Tensor, keys: Tensor) -> Tensor:
    """Angle in degrees between every query and its key, (…, n)."""
    cosine = (normalize(queries.double(), dim=-1) * normalize(keys.double(), dim=-1)).sum(dim=-1)
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))


def unrelated_sentences() -> dict[str, Tensor]:
    """Unit-norm embeddings (d = 384) of sentences about anything but airports, from ``data/unrelated.safetensors``.

    'calibration' (179) are those that the command sets its similarity by, 'held_out' (510) others.
    """
    tensors, _ = read_safetensors(data_file("unrelated.safetensors"))
    return {name: normalize(rows.float(), dim=1) for name, rows in tensors.items()}


def many(memories: Any, n: int, seed: int, device: str = "cpu") -> pd.DataFrame:
    """Percent right and wrong, by kind of question, of what `factcore store` makes of ``n`` airports.

    Those that questions are at hand for are among them, and asked about. A guess is what the memory would say without
    its thresholds.
    """
    questions, every, calibration = airport_questions(), airport_facts(), unrelated_sentences()["calibration"]
    asked = questions.airports[:n]
    others = torch.ones(len(every), dtype=torch.bool)
    others[asked] = False
    facts = every.subset(torch.cat([asked, others.nonzero().flatten()])[:n])
    memory = memories.store(facts.to(device), seed=seed, unrelated=calibration)
    assert facts.value_names
    right, rows = [facts.value_names[target] for target in facts.targets[: len(asked)].tolist()], {}
    for kind, queries in zip(questions.kinds, questions.queries[:, : len(asked)]):
        pairs = [*zip(memory.ask(queries), right)]
        shares = {"right, as a guess": [found.guess == want for found, want in pairs]}
        shares["right"] = [found.answer == want for found, want in pairs]
        shares["wrong"] = [found.answer not in (None, want) for found, want in pairs]
        rows[kind] = {name: round(100 * float(np.mean(share))) for name, share in shares.items()}
    return pd.DataFrame(rows).T.rename_axis(f"of {n:,} facts")


def auc(known: Tensor, unknown: Tensor) -> float:
    """Chance that a score of ``known`` beats one of ``unknown`` (ties count half): the area under the ROC curve.

    ValueError unless there are both.
    """
    if not len(known) or not len(unknown):
        raise ValueError("a ROC curve needs scores of both kinds")
    rank = torch.unique(torch.cat([known, unknown]), return_inverse=True)[1]
    counts = torch.bincount(rank[len(known) :], minlength=int(rank.max()) + 1).double()
    below = counts.cumsum(0) - counts / 2
    return float(below[rank[: len(known)]].mean() / len(unknown))


def roc(known: Tensor, unknown: Tensor, shares: Tensor) -> Tensor:
    """Share of ``known`` above the threshold at which a share of ``unknown`` is above it, for each of ``shares``."""
    limits = torch.quantile(unknown.double(), 1 - shares.double(), interpolation="higher")
    return (known.double()[None, :] > limits[:, None]).double().mean(dim=1)

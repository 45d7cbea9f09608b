"""Facts to try: real ones, and the pairs of a memorisation challenge."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from factcore.facts import FactSet
from factcore.support import check_choice, check_integer, data_file, read_safetensors, stream, unpack_lines

RELATIONS = ("city", "country", "iata")


def airport_facts(n_facts: int | None = None, *, relation: str = "city") -> FactSet:
    """Real facts: airport name → its city, country or IATA code, as float32 MiniLM embeddings (d = 384), unit norm.

    relation: 'city' (7,007 airports, 6,453 cities; a name often gives its city away), 'country' (233: many keys, few
    values) or 'iata' (one code per airport, which no name gives away). Read from ``data/`` (sources, licences, dates:
    data/README.md). ``n_facts`` takes that many airports, the same ones every time, and only their values.
    """
    check_choice("relation", relation, RELATIONS)
    airports, _ = read_safetensors(data_file("airports.safetensors"))
    others, _ = read_safetensors(data_file("airport_relations.safetensors"))
    values, targets, names = {
        "city": (airports["values"], airports["targets"], airports["value_names"]),
        "country": (others["country_values"], others["country_targets"], others["country_names"]),
        "iata": (others["iata_values"], torch.arange(len(airports["keys"])), airports["iata"]),
    }[relation]
    keys, values = (normalize(rows.float(), dim=1) for rows in (airports["keys"], values))
    facts = FactSet(keys, values, targets.long(), unpack_lines(airports["key_names"]), unpack_lines(names))
    if n_facts is None:
        return facts
    check_integer("n_facts", n_facts, most=len(facts))
    rows = torch.randperm(len(facts), generator=stream(0, "facts"))[:n_facts]
    return facts.subset(rows.sort().values)


def pair_facts(n_facts: int, d: int, *, seed: int = 42) -> FactSet:
    """The memorisation challenge: the first n of the (2d)² shuffled pairs as two-hot keys (n, 4d), d one-hot values.

    Labels are i mod d, sorted. The same seed gives the same pairs. ValueError for more facts than pairs.
    """
    tokens, labels = drawn_pairs(n_facts, d, seed=seed)
    keys = torch.zeros(n_facts, 4 * d).scatter_(1, tokens + torch.tensor([0, 2 * d]), 1.0)
    return FactSet(keys, torch.eye(d), labels)


def drawn_pairs(n_facts: int, d: int, *, seed: int = 42) -> tuple[Tensor, Tensor]:
    """The tokens (n, 2), below 2d, and labels (n,) of `pair_facts`."""
    check_integer("d", d)
    check_integer("n_facts", n_facts, 4 * d * d)
    chosen = torch.randperm(4 * d * d, generator=stream(seed, "facts"))[:n_facts]
    labels = torch.arange(n_facts) % d
    chosen, labels = chosen[labels.argsort(stable=True)], labels.sort().values
    return torch.stack([chosen // (2 * d), chosen % (2 * d)], 1), labels

"""Sentences that state facts, and filler that states none: the language of the editing study.

A sentence is a row of tokens. Names of airports, cities and countries are one token each; names of several tokens are
not supported. An example, with the position that must produce a fact marked:

    <s> the road from [Schiphol] leads to [Amsterdam] .
                                       ^ predicts the city
"""

import tomllib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from factcore.data import airport_facts
from factcore.support import check_integer, data_file, read_safetensors, unpack_lines

RELATIONS = ("city", "country")
AIRPORTS = 7007  # that have a name of their own
CONTEXT = 8  # words of a sentence that may stand before a fact
HELD_OUT = 12  # of the templates of a relation: the last ones are never trained on

# Read from data/sentences.toml, which says what they are. Capitals of the grammar are replaced by one of their
# expansions, @ is an airport.
_TEXTS = tomllib.loads(data_file("sentences.toml").read_text(encoding="utf-8"))
TEMPLATES = {relation: [line.split() for line in lines] for relation, lines in _TEXTS["templates"].items()}
GRAMMAR = {symbol: expansions.split(" | ") for symbol, expansions in _TEXTS["grammar"].items()}
COUNTRIES: dict[str, str] = _TEXTS["countries"]  # by ISO 3166 code


@dataclass(frozen=True, eq=False)
class Corpus:
    """Airports, their facts and every sentence, as tokens.

    ``words`` names the tokens; ``airports``, and per relation ``values`` (v,) and ``targets`` (n,) (the token of
    airport i's value), are token numbers. ``templates[relation]`` (t, length) holds sentences with the airport's and
    the value's place in ``slots[relation]`` (t, 2); the last `HELD_OUT` templates are paraphrases. ``filler`` (s,
    length) and ``held_out_filler`` hold whole sentences. Rows are padded with token 0 on the right. ``contexts`` are
    the short sentences of the filler, to stand before a fact.
    """

    words: tuple[str, ...]
    airports: Tensor
    values: dict[str, Tensor]
    targets: dict[str, Tensor]
    templates: dict[str, Tensor]
    slots: dict[str, Tensor]
    filler: Tensor
    held_out_filler: Tensor
    contexts: Tensor
    number: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.airports)

    def sentences(
        self, relation: str, targets: Tensor, rows: Tensor, which: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Airport ``rows[b]`` and its value ``targets[rows[b]]`` in template ``which[b]``, after ``context[b]`` if any.

        Returns tokens (b, length) and the position (b,) of the last word before the value, which must predict it.
        """
        tokens, slots = self.templates[relation][which].clone(), self.slots[relation][which]
        line = torch.arange(len(rows), device=rows.device)
        tokens[line, slots[:, 0]] = self.airports[rows]
        tokens[line, slots[:, 1]] = targets[rows]
        at = slots[:, 1] - 1
        if context is None:
            return tokens, at
        before = (context > 0).sum(dim=1, keepdim=True)  # (b, 1), <s> included
        place = torch.arange(tokens.shape[1], device=rows.device) - before + 1
        moved = tokens.gather(1, place.clamp(1))
        return torch.where(place > 0, moved, context), at + before[:, 0] - 1

    def template_numbers(self, relation: str, held_out: bool) -> Tensor:
        """The templates that were trained on, or the paraphrases."""
        count = len(self.templates[relation])
        return torch.arange(count - HELD_OUT, count) if held_out else torch.arange(count - HELD_OUT)

    def text(self, tokens: Tensor) -> str:
        """One row of tokens as a sentence."""
        return " ".join(self.words[token] for token in tokens.tolist() if token > 1)


def airport_corpus(n_facts: int = 256, *, n_filler: int = 2000, n_held_out: int = 200, seed: int = 0) -> Corpus:
    """``n_facts`` airports with the city that each serves and the country that it lies in, and filler sentences.

    The airports are those of `airport_facts(n_facts)`, whose names all differ; beyond its 7,007 they are numbered, and
    serve the same cities in turn. The same seed gives the same filler. ValueError for sizes out of range.
    """
    check_integer("n_facts", n_facts)
    facts = airport_facts(min(n_facts, AIRPORTS))
    check_integer("n_filler", n_filler)
    check_integer("n_held_out", n_held_out)
    airports, cities = facts.key_names or (), facts.value_names or ()
    country_of = _countries(airports)
    places = [(cities[target], country_of[name]) for target, name in zip(facts.targets.tolist(), airports)]
    places = [places[row % len(places)] for row in range(n_facts)]
    told = {"city": [city for city, _ in places], "country": [country for _, country in places]}
    airports += tuple(f"airport {number}" for number in range(len(airports), n_facts))
    generator = torch.Generator().manual_seed(seed)
    filler = [_expand("S", generator) for _ in range(n_filler + n_held_out)]
    filler = [[airports[_draw(len(airports), generator)] if w == "@" else w for w in line] for line in filler]
    written = sorted({w for lines in (filler, *TEMPLATES.values()) for line in lines for w in line} - {*airports, "@"})
    # a city that has an airport's name, or a country's, is still another token
    names = [("airport", a) for a in airports]
    names += [(relation, value) for relation in RELATIONS for value in dict.fromkeys(told[relation])]
    entries = [("word", w) for w in ("<pad>", "<s>", ".", *(w for w in written if w != "."))] + names
    at = {entry: number for number, entry in enumerate(entries)}
    of_airport = torch.tensor([at["airport", a] for a in airports])
    longest = max(len(line) for lines in TEMPLATES.values() for line in lines) + 3  # <s>, value, full stop
    length = CONTEXT + longest
    filler = [line for line in filler if len(line) < length]
    number = {w: at["word", w] for kind, w in entries if kind == "word"}
    lookup = number | {a: at["airport", a] for a in airports}
    slots = {r: torch.tensor([[1 + t.index("@"), 1 + len(t)] for t in TEMPLATES[r]]) for r in RELATIONS}
    rows = {r: [[number.get(w, 0) for w in t] + [0, number["."]] for t in TEMPLATES[r]] for r in RELATIONS}
    tokens = _padded([[lookup[w] for w in line] for line in filler], length)
    return Corpus(
        words=tuple(w for _, w in entries),
        airports=of_airport,
        values={r: torch.tensor([at[r, value] for value in dict.fromkeys(told[r])]) for r in RELATIONS},
        targets={r: torch.tensor([at[r, value] for value in told[r]]) for r in RELATIONS},
        templates={r: _padded(rows[r], length) for r in RELATIONS},
        slots=slots,
        filler=tokens[n_held_out:],
        held_out_filler=tokens[:n_held_out],
        contexts=tokens[n_held_out:][(tokens[n_held_out:] > 0).sum(dim=1) <= CONTEXT + 1],
        number=number,
    )


def _countries(airports: tuple[str, ...]) -> dict[str, str]:
    """The country of each airport by name."""
    tensors, _ = read_safetensors(data_file("airports.safetensors"))
    names, codes = unpack_lines(tensors["key_names"]), unpack_lines(tensors["country"])
    wanted = set(airports)
    return {name: COUNTRIES[code] for name, code in zip(names, codes) if name in wanted}


def _expand(symbol: str, generator: torch.Generator) -> list[str]:
    if symbol not in GRAMMAR:
        return [symbol]
    options = GRAMMAR[symbol]
    chosen = options[_draw(len(options), generator)]
    return [word for part in chosen.split() for word in _expand(part, generator)]


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _padded(lines: list[list[int]], length: int) -> Tensor:
    """<s> in front of every line, <pad> behind."""
    return torch.tensor([[1, *line] + [0] * (length - 1 - len(line)) for line in lines])

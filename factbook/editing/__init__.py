"""The editing study: a small language model whose facts lie in MLPs of their own, and ways to edit them (section 6).

model = load_language_model()
edited = edit(model, {"El Nido Airport": "Barcelona"})                  # the MLP is written anew
evaluate_edit(model, {"El Nido Airport": "Barcelona"}, method="memit")  # scores, seconds and memory
"""

from factbook.editing.edits import complete, draw_edits, edit, not_taken
from factbook.editing.measure import EditReport, evaluate_edit
from factbook.editing.methods import METHODS
from factbook.editing.model import insert, write_facts
from factbook.editing.text import airport_corpus
from factbook.editing.training import load_language_model, train_language_model

__all__ = [
    "METHODS",
    "EditReport",
    "airport_corpus",
    "complete",
    "draw_edits",
    "edit",
    "evaluate_edit",
    "insert",
    "load_language_model",
    "not_taken",
    "train_language_model",
    "write_facts",
]

"""The note on a page's scale: every page with a study has one, and what it says of a table is in the table."""

import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
scales = pytest.importorskip("scales")
openers = pytest.importorskip("openers")
WITHOUT = {"facts", "edit_yourself"}  # the tours


def test_every_page_with_a_study_tells_its_scale():
    shown = {page for part in openers.parts() for page in openers.pages(part["chapters"]) if "notebooks" in page}
    assert set(scales.pages()) == {page.removeprefix("notebooks/") for page in shown} - WITHOUT


def test_the_note_gives_sizes_draws_and_commits_of_the_table(tmp_path):
    row = {"n_facts": 64, "d": 32, "seed": 0, "device": "cpu", "torch": "2", "commit": "abc1234", "seconds": 1.0}
    other = row | {"n_facts": 2048, "seed": 1, "commit": "1e10000"}
    pd.DataFrame([row, other]).to_csv(tmp_path / "capacity.csv", index=False)
    text = scales.noted("notebooks/capacity", "# Title\n\nWords.", tmp_path)
    assert "n = 64 to 2,048, d = 32, 2 draws, at abc1234, 1e10000." in text
    assert text.startswith("# Title\n\nWords.\n\n```{margin} Scale\n") and text.count("```") == 2
    assert "not run yet" in scales.noted("notebooks/solves", "# Title", tmp_path)
    pd.DataFrame([row]).drop(columns=["n_facts", "d"]).to_csv(tmp_path / "editing.csv", index=False)
    assert "editing.csv): 1 draw, at abc1234" in scales.noted("notebooks/editing", "# Title", tmp_path)


@pytest.mark.parametrize("document, text", [("notebooks/capacity", "## Part"), ("book/claims", "# Title")])
def test_other_cells_and_pages_get_no_note(document, text):
    assert scales.noted(document, text) == text

"""What the pages on transformers, codes and bits say of their stored tables holds in these tables."""

import re

import pytest

from factbook import store, usable, usable_shown


def laptop(name: str):
    if (table := store.stored(name, "laptop")) is None:
        pytest.skip(f"results/laptop/{name}.csv is not there")
    return table


def said(page) -> list[float]:
    """The numbers of a page's findings, in order."""
    return [float(number.replace(",", "")) for number in re.findall(r"-?\d[\d,]*\.?\d*", page.findings())]


def test_findings_without_tables_say_so(monkeypatch):
    monkeypatch.setattr(store, "stored", lambda *_: None)
    assert "not here" in usable_shown.findings() and not said(usable_shown)


def test_usable_says_what_its_tables_hold():
    rows, fair = laptop("usable"), laptop("usable_training")
    recall = rows.groupby("memory").recall.median()
    assert rows.solved_recall.min() == 1 and list(usable_shown.proofs(rows).index) == ["Hebbian, whitened"]
    assert (1 - recall).max() / (1 - recall).min() > 50 and recall[usable_shown.TIGHT] < 0.5  # "by a factor of fifty"
    near = recall[[usable_shown.BEST, usable_shown.CHEAP]]
    assert (near > recall.max() - 0.005).all()  # "as usable"
    assert fair[fair.setting != "solved for"].groupby(["setting", "sharpened"]).through.max().max() < 1
    assert usable_shown.prediction(rows).iloc[:, 0].idxmax() == "angle tolerated over attention's noise"
    parts = usable_shown.parts(laptop("usable_ablation"))
    assert (parts["attention-first"]["recall"].idxmax(), parts["attention-first"]["after a swap"].idxmax()) == (
        "the recipe",
        "the recipe",
    )
    memorised = parts.loc["untied embeddings and head", "insert-first"]
    assert memorised["recall"] == 100 and memorised["after a swap"] < 5
    curves = laptop("usable_steps").groupby(["memory", "schedule"])[["recall_1000", "adaptive_1000"]].median()
    lost = (curves.recall_1000 - curves.adaptive_1000).droplevel("schedule")
    assert lost.idxmax() == usable.IN_PLACE and lost[usable.IN_PLACE] > 0.05
    first = curves.xs("attention-first", level="schedule")
    assert (first > curves.xs("insert-first", level="schedule").loc[first.index]).all().all()

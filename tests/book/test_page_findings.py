"""What the pages on transformers, codes and bits say of their stored tables holds in these tables."""

import re

import pytest

from factbook import figures, noise_floor, store, usable, usable_shown

DEPENDENT = "Hebbian, data-dependent"


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


def test_noise_floor_says_what_its_tables_hold():
    rows, left = noise_floor.prepared(laptop("noise_floor")), laptop("noise_junk")
    white = rows[rows.memory == "hebbian"]
    fixed, usual = (white[white.width == width] for width in (noise_floor.FIXED, noise_floor.USUAL))
    assert (fixed[["random", "worst"]].min(axis=1) >= fixed.claimed).all() and (usual.random >= usual.claimed).all()
    assert (usual.worst < usual.claimed).any() and (white[white.width == "1 ×"].worst < white.claimed.min()).any()
    slopes = noise_floor.exponents(rows).exponent.str.split().str[0].astype(float)
    assert slopes[noise_floor.USUAL].abs().max() < 0.1 < 0.2 < slopes[noise_floor.FIXED].min()
    assert slopes[noise_floor.FIXED].max() < 0.5  # "more slowly than the form"
    floors = noise_floor.by_width(rows)
    hard, convex, stalled = (floors.loc[name] for name in ("hard buckets", figures.LABELS["block-convex"], DEPENDENT))
    assert (floors.drop(index=["hard buckets", figures.LABELS["trained"]])["8 ×"] > 5 * hard["8 ×"]).all()
    assert convex["8 ×"] < convex["4 ×"] and stalled["4 ×"] < 1.3 * stalled["1 ×"] < stalled["8 ×"] / 2
    assert left[left.attention == "solved"].worst.max() < 1e-4 and left[left.attention == "trained"].worst.max() > 1


@pytest.mark.parametrize("n", [64, 256])
@pytest.mark.parametrize("units", [256, 1024, 4096])
def test_the_steepness_of_a_raw_memory_is_what_the_formula_says(n, units):
    assert noise_floor.steepness(n, 64, units) == pytest.approx(1, abs=0.15)

"""The front of the speed figure against brute force, and only networks that store everything on it."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from factbook import solves, speed, store
from factcore.constructions import block_convex, start

sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@given(sizes)
def test_the_front_is_what_nothing_beats_in_both(points):
    rows = pd.DataFrame(points, columns=["per_fact", "cpu_s"])
    found = {tuple(row) for row in speed.front(rows).to_numpy()}
    beaten = lambda p: any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)  # noqa: E731
    assert found == {p for p in points if not beaten(p)}


def test_networks_that_lose_facts_in_one_draw_are_left_out(monkeypatch):
    monkeypatch.setattr(speed, "LEAST_RUNGS", 1)
    rows = [("a", 4, 0), ("a", 4, 1), ("b", 6, 0), ("b", 6, 0)]
    table = pd.DataFrame(
        [{"n": 2, "rung": r, "share": s, "parameters": 2 * s, "cpu_s": 1.0, "lost": x} for r, s, x in rows]
    )
    found = speed.medians(table)
    assert list(found.rung) == ["b"] and list(found.per_fact) == [6.0]
    monkeypatch.setattr(speed, "LEAST_RUNGS", 2)
    assert speed.medians(table).empty  # one method is no front


def test_ratios_are_to_the_quickest_training():
    rungs = [("encoder-decoder", 0.5), ("trained, Adam", 4.0), ("trained, Adam", 2.0), ("max-margin", 20.0)]
    rows = pd.DataFrame([{"n": 1024, "rung": rung, "cpu_s": seconds} for rung, seconds in rungs])
    found = speed.ratios(rows)["n = 1,024"]
    assert list(found) == ["seconds", "times as long, Adam"]  # no L-BFGS among the rows
    assert found.loc["encoder-decoder"].to_list() == ["0.50", "4.00"]
    assert found.loc["max-margin"].to_list() == ["20", "0.10"] and found.loc["trained, Adam", "seconds"] == "2.00"


def test_the_page_says_what_was_not_run():
    rows = store.stored("speed", "laptop")
    assert sorted(rows[rows.rung == "trained, Adam"].n.unique()) == [1024]  # "Adam was not run for 4,096 facts"
    assert speed.ratios(speed.medians(rows))["n = 1,024", "seconds"].astype(float).idxmin() == "Hebbian, whitened"


def test_changed_constants_are_back_afterwards():
    before = start.ROUNDS, start.SCALES, block_convex.PROXIMITY, block_convex.SHARES
    for constants in solves.CHANGES.values():
        with solves.changed(**{k: v for k, v in constants.items() if k != "tol"}):
            pass
    assert before == (start.ROUNDS, start.SCALES, block_convex.PROXIMITY, block_convex.SHARES)
    with solves.changed(rounds=1, kappa=9.0):
        assert (start.ROUNDS, block_convex.PROXIMITY) == (1, 9.0)

"""The front of the speed figure against brute force, and only networks that store everything on it."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from factbook import solves, speed
from factcore.constructions import block_convex, start

sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@given(sizes)
def test_the_front_is_what_nothing_beats_in_both(points):
    rows = pd.DataFrame(points, columns=["per_fact", "cpu_s"])
    found = {tuple(row) for row in speed.front(rows).to_numpy()}
    beaten = lambda p: any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)  # noqa: E731
    assert found == {p for p in points if not beaten(p)}


def test_networks_that_lose_facts_in_one_draw_are_left_out():
    rows = [("a", 4, 0), ("a", 4, 1), ("b", 6, 0), ("b", 6, 0)]
    table = pd.DataFrame(
        [{"n": 2, "rung": r, "share": s, "parameters": 2 * s, "cpu_s": 1.0, "lost": x} for r, s, x in rows]
    )
    found = speed.medians(table)
    assert list(found.rung) == ["b"] and list(found.per_fact) == [6.0]


def test_changed_constants_are_back_afterwards():
    before = start.ROUNDS, start.SCALES, block_convex.PROXIMITY, block_convex.SHARES
    for constants in solves.CHANGES.values():
        with solves.changed(**{k: v for k, v in constants.items() if k != "tol"}):
            pass
    assert before == (start.ROUNDS, start.SCALES, block_convex.PROXIMITY, block_convex.SHARES)
    with solves.changed(rounds=1, kappa=9.0):
        assert (start.ROUNDS, block_convex.PROXIMITY) == (1, 9.0)

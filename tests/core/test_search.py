"""The one search: it ends at the smallest width, tries no seed twice, gives up with a reason."""

import functools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factcore.methods import METHODS, Method


def storing_from(smallest, lucky):
    """A builder whose networks store everything from a width on, and at that width with the seed ``lucky`` alone."""

    def build(facts, width, seed):
        mlp = fc.GatedMLP(torch.zeros(width, facts.d), None, torch.zeros(facts.e, width), gate="relu")
        stores = width > smallest or (width == smallest and seed == lucky)
        mlp.lost = torch.arange(0 if stores else 1)
        return mlp

    return build


@settings(deadline=None, max_examples=150)
@given(
    smallest=st.integers(1, 300),
    start=st.one_of(st.none(), st.integers(1, 400)),
    resolution=st.sampled_from([0.0, 0.02, 0.1]),
    attempt=st.integers(0, 2),
    uneven=st.booleans(),
    step=st.sampled_from([1, 1, 7]),
)
def test_it_ends_at_the_smallest_width(smallest, start, resolution, attempt, uneven, step):
    smallest = -(-smallest // step) * step
    build, facts = storing_from(smallest, 10 + attempt), fc.spherical_facts(5, 3)
    record = Method(build, step=lambda facts: step, most=lambda facts: 1000, uneven=uneven)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "pretended", record)
        found = fc.smallest_width(facts, "pretended", seed=10, start=start, resolution=resolution)
    assert found.recall == 1.0 and found.width % step == 0 and found.n_params == 6 * found.width
    assert smallest <= found.width <= smallest + max(step, resolution * smallest) * (resolution > 0)
    failed = Counter(trial["width"] for trial in found.trials if trial["recall"] < 1)
    below = max((width for width in failed if failed[width] == 3 and width < found.width), default=0)
    assert found.width - below <= max(step, resolution * below), "just below, three seeds have failed"
    runs = Counter((trial["width"], trial["seed"]) for trial in found.trials)
    if uneven:  # and at the widths below these, too
        beside = [below - k * max(step, int(resolution * below / step) * step) for k in (1, 2)]
        assert all(failed[width] >= 3 for width in beside if width > 0)
    assert max(runs.values()) == 1 and all(10 <= seed < 13 for _, seed in runs)
    assert all(trial["recall"] in (1.0, 0.8) and trial["seconds"] >= 0 for trial in found.trials)


def test_where_a_wider_network_may_store_less_the_neighbours_are_tried():
    """51 units and 54 or more store everything: bisection meets 52 and 53 and stops at 54 unless it looks on."""
    facts = fc.spherical_facts(5, 3)

    def build(facts, width, seed):
        mlp = fc.GatedMLP(torch.zeros(width, facts.d), None, torch.zeros(facts.e, width), gate="relu")
        mlp.lost = torch.arange(0 if width == 51 or width >= 54 else 1)
        return mlp

    found = {}
    for uneven in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(METHODS, "pretended", Method(build, most=lambda facts: 1000, uneven=uneven))
            found[uneven] = fc.smallest_width(facts, "pretended", start=54, resolution=0).width
    assert found == {False: 54, True: 51}


def test_the_widest_useful_width_is_tried_before_it_gives_up():
    facts, build = fc.spherical_facts(5, 3), storing_from(100, 0)
    for most, message in ((100, None), (99, "no width up to 99")):
        record = Method(build, most=lambda facts, most=most: most)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(METHODS, "pretended", record)
            if message is None:
                assert fc.smallest_width(facts, "pretended").width == 100
            else:
                with pytest.raises(ValueError, match=message):
                    fc.smallest_width(facts, "pretended")


@pytest.mark.parametrize("method, options", [("encoder-decoder", {}), ("trained", {"steps": 100}), ("max-margin", {})])
def test_what_it_finds_can_be_built_again(method, options):
    facts = fc.spherical_facts(48, 16)
    found = fc.smallest_width(facts, method, **options)
    best = next(t for t in found.trials if t["width"] == found.width and t["recall"] == 1.0)
    assert set(best) == {"width", "seed", "n_params", "device", "recall", "seconds"}
    again = fc.construct(facts, method, width=found.width, seed=best["seed"], **options)
    assert fc.recall(again, facts) == 1.0 and again.n_params == found.n_params
    worst = [t for t in found.trials if t["recall"] < 1]
    assert worst and all(t["width"] <= found.width for t in worst)
    lossy = fc.construct(facts, method, width=worst[-1]["width"], seed=worst[-1]["seed"], strict=False, **options)
    assert 1 - len(lossy.lost) / 48 == worst[-1]["recall"]


def test_a_lower_target_needs_no_more_units():
    facts = fc.spherical_facts(64, 16)
    whole, half = (fc.smallest_width(facts, "hebbian", target_recall=target) for target in (1.0, 0.5))
    assert half.recall >= 0.5 and half.width < whole.width


def hidden_value():
    """The last value is the mean of the others: no output picks it."""
    facts = fc.spherical_facts(40, 8, dtype=torch.float64)
    values = facts.values.clone()
    values[7] = torch.cat([values[:7], values[8:]]).mean(dim=0)
    return fc.FactSet(facts.keys, values, facts.targets)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "pairs"])  # which takes no such keys or values
@pytest.mark.parametrize("call", [fc.smallest_width, fc.construct])
def test_a_value_that_nothing_can_pick_ends_the_search_after_one_network(method, call, monkeypatch):
    built, build = [], METHODS[method].build

    @functools.wraps(build)
    def counted(*arguments, **options):
        built.append(arguments[1])
        return build(*arguments, **options)

    monkeypatch.setitem(METHODS, method, METHODS[method]._replace(build=counted))
    with pytest.raises(ValueError, match=r"1 of 40 values cannot be decoded, the first is values\[7\]: it lies in"):
        call(hidden_value(), method, **({"steps": 50} if method == "trained" else {}))
    assert len(built) <= 1


def test_far_too_many_facts_for_the_features_end_it_at_the_method_s_own_cap():
    facts = fc.spherical_facts(100, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="no width up to 96 "):  # bilinear maps of R³ have six independent features
        fc.smallest_width(facts, "hebbian", tries=1)


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"target_recall": 0}, "target_recall must lie"),
        ({"target_recall": 1.5}, "target_recall must lie"),
        ({"tries": 0}, "tries be ≥ 1"),
        ({"resolution": -1}, "resolution ≥ 0"),
        ({"method": "magic"}, "method must be one of"),
        ({"learning_rate": 1.0}, "has no option 'learning_rate'"),
    ],
)
def test_bad_arguments_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        fc.smallest_width(fc.spherical_facts(8, 4), **bad)

"""What building costs, measured in a process of its own."""

import pytest

from factbook.cost import build_cost, comfortable_width


def test_cost_in_a_fresh_process():
    found = build_cost("hebbian", 24, 16, 0, variant="data-dependent")
    assert found["recall"] == 1.0 and found["width"] == comfortable_width("hebbian", 24, 16) == 28
    assert found["parameters"] == 3 * 16 * 28
    asked = build_cost("hebbian", 24, 16, 0, width=40, fresh=False, variant="data-dependent")
    assert asked["width"] == 40
    assert 50 < found["rest_mb"] <= found["peak_mb"] < 2000
    assert 0 < found["build_s"] + found["verify_s"] and found["cpu_s"] > 0


def test_a_failing_process_is_named():
    with pytest.raises(ValueError, match="building 'best' for 9 facts failed: .*method must be one of"):
        build_cost("best", 9, 4, 0)

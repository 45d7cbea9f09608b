"""Rounded weights: error bounds, idempotence, counted bits, recall that falls with the bits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import factcore as fc
from factbook.precision import SCHEMES, precision_rows, quantise, round_rows, scheme_bits


def weights(rows, columns, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    spread = torch.exp(4 * torch.randn(rows, 1, generator=generator, dtype=torch.float64))
    return (spread * torch.randn(rows, columns, generator=generator, dtype=torch.float64)).to(dtype)


shapes = {"rows": st.integers(1, 6), "columns": st.integers(1, 20), "seed": st.integers(0, 99)}


@settings(deadline=None, max_examples=40)
@given(bits=st.integers(2, 8), **shapes)
def test_whole_numbers_are_off_by_half_a_step_at_most(bits, rows, columns, seed):
    weight = weights(rows, columns, seed)
    rounded = round_rows(weight, f"int{bits}")
    step = weight.abs().amax(dim=1, keepdim=True).double() / (2 ** (bits - 1) - 1)
    assert ((rounded.double() - weight).abs() <= step * (0.5 + 1e-5)).all()
    for row in (rounded.double() / step).numpy():
        assert len(np.unique(row.round(3))) <= 2**bits - 1 and np.allclose(row, row.round(), atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(**shapes)
def test_fp8_keeps_three_binary_digits(rows, columns, seed):
    weight = weights(rows, columns, seed).double()
    rounded, largest = round_rows(weight, "fp8"), weight.abs().amax(dim=1, keepdim=True)
    normal = largest / 448 * 2**-6  # below it the digits run out
    bound = torch.maximum(weight.abs(), normal) * 2**-4 * 1.001
    assert ((rounded - weight).abs() <= bound).all()


@settings(deadline=None, max_examples=30)
@given(scheme=st.sampled_from(["fp8", "int12", "int8", "int4", "int2"]), **shapes)
def test_rounding_twice_is_rounding_once(scheme, rows, columns, seed):
    once = round_rows(weights(rows, columns, seed), scheme)
    torch.testing.assert_close(round_rows(once, scheme), once, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scheme, digits", [("bf16", 8), ("fp16", 11), ("fp32", 24)])
def test_casts_keep_their_digits(scheme, digits):
    facts = fc.spherical_facts(60, 8, dtype=torch.float64)
    mlp = fc.construct(facts, "one-hot")
    done = quantise(mlp, scheme)
    assert done.bits == scheme_bits(scheme) * mlp.n_params and done.bits_per_weight == scheme_bits(scheme)
    again = quantise(done.mlp, scheme).mlp
    for before, after, twice in zip(mlp.parameters(), done.mlp.parameters(), again.parameters()):
        assert after.dtype == torch.float64 and torch.equal(after, twice)
        assert ((after - before).abs() <= before.abs() * 2.0**-digits + 2.0**-25).all()


def test_bits_are_counted_with_scales_and_biases():
    facts = fc.spherical_facts(60, 8)
    gated = fc.construct(facts, "encoder-decoder")
    h = gated.width
    expected = 4 * 3 * 8 * h + 32 * (2 * h + 8) + 32 * h  # weights, scales of the rows, biases
    assert quantise(gated, "int4").bits == expected
    assert quantise(gated, "int4").bits_per_weight == pytest.approx(expected / gated.n_params)
    plain = fc.construct(facts, "one-hot")
    assert quantise(plain, "fp8").bits == 8 * 2 * 8 * 60 + 32 * (60 + 8) + 32 * 60
    assert quantise(plain, "fp8").mlp.up is None
    bare = fc.construct(facts, "hebbian", width=30, strict=False)
    assert quantise(bare, "int8").bits == 8 * 3 * 8 * 30 + 32 * (2 * 30 + 8)
    assert quantise(bare, "int8").mlp.gate_bias is None and quantise(bare, "int8").mlp.n_solved == bare.n_solved


def test_rows_of_zeros_and_the_original_stay():
    zeros = torch.zeros(2, 3)
    assert all(torch.equal(round_rows(zeros, scheme), zeros) for scheme in ("fp8", "int8", "int2"))
    mlp = fc.construct(fc.spherical_facts(30, 8))
    before = {name: w.clone() for name, w in mlp.state_dict().items()}
    quantise(mlp, "int2")
    assert all(torch.equal(before[name], w) for name, w in mlp.state_dict().items())


def test_recall_falls_with_the_bits():
    facts = fc.spherical_facts(200, 32)
    rows = {row["scheme"]: row for row in precision_rows(fc.construct(facts, "hebbian", width=150), facts)}
    assert list(rows) == list(SCHEMES)
    assert rows["fp32"]["recall"] == rows["bf16"]["recall"] == rows["int8"]["recall"] == 1.0
    assert rows["int2"]["recall"] < rows["int4"]["recall"] <= 1.0
    assert rows["fp32"]["bits_per_fact"] == pytest.approx(32 * 3 * 32 * 150 / 200)
    assert all(row["bits_per_fact"] > math.log2(200) for row in rows.values() if row["recall"] == 1.0)


def test_weights_that_half_precision_cannot_hold_are_named():
    big = fc.GatedMLP(torch.ones(2, 2), None, torch.full((2, 2), 1e6), gate="relu")
    with pytest.raises(ValueError, match="down has entries up to 1.0e\\+06, too large for 'fp16'"):
        quantise(big, "fp16")
    row = precision_rows(big, fc.spherical_facts(3, 2), ["fp16"])[0]
    assert math.isnan(row["recall"]) and math.isnan(row["bits_per_fact"])
    assert torch.equal(quantise(big, "bf16").mlp.gate_weight, torch.ones(2, 2))


@pytest.mark.parametrize("scheme", ["int1", "int17", "float32", "", "fp"])
def test_unknown_schemes_are_named(scheme):
    with pytest.raises(ValueError, match="scheme must be one of .*'bf16'"):
        scheme_bits(scheme)
    mlp = fc.GatedMLP(torch.ones(4, 2), None, torch.ones(2, 4), gate="relu")
    with pytest.raises(ValueError, match="scheme must be one of"):
        quantise(mlp, scheme)

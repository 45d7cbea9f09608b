"""One protocol for every construction: verified at any dimension, scale and dtype, in any mode of torch."""

import re

import numpy as np
import pytest
import torch

import factapp.cli
import factcore as fc
from factcore import scoring
from factcore.methods import METHODS, Method

# A width that has room for something, and far too little for 64 facts in 16 dimensions; 2 for a method not named here.
NARROW = {
    "encoder-decoder": {"width": 8},
    "ntk": {"width": 8},
    "hebbian": {"width": 6},
    "max-margin": {"width": 4},
    "block-convex": {"width": 3},
    "trained": {"width": 2, "steps": 60},
}
QUICK = {"trained": {"steps": 400}}
# Width enough for `few`, where what is asked is not how the width is found: the doubled widths are trained in vain.
ENOUGH = {name: {"width": 12} | QUICK.get(name, {}) for name in ("trained", "block-convex")}
every_method = pytest.mark.parametrize("method", METHODS)


def decodes(mlp, facts):
    """Which facts are kept, by the definition, one key and one value at a time in numpy."""
    outputs, values = mlp(facts.keys).double().numpy(), facts.values.double().numpy()
    kept = []
    for output, target in zip(outputs, facts.targets.tolist()):
        kept.append(all(output @ (values[target] - v) > 0 for j, v in enumerate(values) if j != target))
    return np.array(kept)


def few(method, n=24, d=12, dtype=torch.float32):
    """As many facts as the method stores in little time: an averaged update needs keys that are nearly orthogonal."""
    if method == "ntk":
        return fc.spherical_facts(6, 16, seed=1, dtype=dtype)
    facts = fc.spherical_facts(n, d, dtype=dtype)
    return paired(facts) if method == "pairs" else facts


def paired(facts):
    """For the method that takes pairs of tokens alone: keys of one 1 in each half, values affinely independent."""
    n, d, v = len(facts), facts.d, min(facts.n_values, facts.e + 1)
    keys, row, second = torch.zeros_like(facts.keys), torch.arange(n), d - d // 2
    keys[row, row // second], keys[row, d // 2 + row % second] = 1.0, 1.0
    return fc.FactSet(keys, facts.values[:v], facts.targets % v)


def unequal(method, n, d, e, v=None, dtype=torch.float64, seed=0):
    """Keys in d dimensions, values in e; twice as many for the methods that need them."""
    d, e = (2 * d, 2 * e) if method in ("ntk", "pairs") else (d, e)
    keys, values = fc.spherical_facts(n, d, seed=seed, dtype=dtype), fc.spherical_facts(v or n, e, seed=seed + 1)
    facts = fc.FactSet(keys.keys, values.values.to(dtype), torch.arange(n) % (v or n))
    return paired(facts) if method == "pairs" else facts


# --- verification ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].fixed_width])
def test_a_width_too_narrow_is_refused_with_the_count_and_the_first_row(method):
    facts = fc.spherical_facts(64, 16, dtype=torch.float64)
    facts = paired(facts) if method == "pairs" else facts
    narrow = NARROW.get(method, {"width": 2})
    lossy = fc.construct(facts, method, strict=False, **narrow)
    lost = np.flatnonzero(~decodes(lossy, facts))
    assert lossy.lost.tolist() == lost.tolist() and 0 < len(lost)
    assert fc.recall(lossy, facts) == 1 - len(lost) / 64
    message = rf"{len(lost)} of 64 facts are lost at width {lossy.width}, the first in row {lost[0]}; allow more"
    with pytest.raises(ValueError, match=message):
        fc.construct(facts, method, **narrow)


@pytest.mark.parametrize("method, width", [("one-hot", 63), ("encoder-decoder", 3)])
def test_a_width_without_any_room_says_how_much_is_needed(method, width):
    facts = fc.spherical_facts(64, 16)
    for strict in (True, False):
        with pytest.raises(ValueError, match=rf"width {width} is too small: .* need (64|4) "):
            fc.construct(facts, method, width=width, strict=strict)


@every_method
def test_what_is_stored_has_lost_nothing(method):
    facts = few(method)
    mlp = fc.construct(facts, method, **QUICK.get(method, {}))
    assert mlp.lost.tolist() == [] and decodes(mlp, facts).all() and fc.recall(mlp, facts) == 1.0
    assert mlp.down.dtype == torch.float32 and not any(p.requires_grad for p in mlp.parameters())


def test_a_margin_within_the_rounding_error_counts_as_lost():
    """64 outputs of about 1e6 that cancel to about 1: what float32 makes of them says little about small margins."""
    draw = torch.Generator().manual_seed(0)
    keys, up = torch.randn(300, 8, generator=draw), 1e6 * torch.randn(64, 8, generator=draw)
    up[-1] = 8.0 * torch.randn(8, generator=draw) - up[:-1].double().sum(dim=0).float()
    exact = (keys.double() @ up.double().T).sum(dim=1)
    facts = fc.FactSet(keys, torch.tensor([[1.0], [-1.0]]), (exact < 0).long())
    mlp = fc.GatedMLP(torch.zeros(64, 8), up, torch.ones(1, 64), gate="step", gate_bias=torch.ones(64))
    lost = set(scoring.lost_rows(mlp, facts).tolist())
    wrong = set((fc.margins(mlp, facts) <= 0).nonzero().flatten().tolist())
    assert wrong < lost, "what float32 gets right by luck counts as lost, too"
    large = (exact.abs() > 20).nonzero().flatten().tolist()
    assert large and not lost & set(large), "a margin far above the rounding error is kept"


# --- adding a construction -------------------------------------------------------------------------------------


def solved_readout(facts, width, seed, *, gate="relu"):
    """A construction that is none of the house's: random features and a least-squares readout."""
    draw = torch.Generator().manual_seed(seed)
    gates, bias = (torch.randn(width, k, generator=draw).to(facts.keys) for k in (facts.d, 1))
    hidden = fc.GatedMLP(gates, None, torch.eye(width).to(gates), gate=gate, gate_bias=bias[:, 0])
    down = torch.linalg.pinv(hidden(facts.keys).double()) @ facts.values[facts.targets].double()
    return fc.GatedMLP(gates, None, down.T.to(gates), gate=gate, gate_bias=bias[:, 0])


@pytest.fixture
def dummy(monkeypatch):
    monkeypatch.setitem(METHODS, "dummy", Method(solved_readout))
    return "dummy"


def test_a_new_line_in_the_table_is_found_by_construct_and_the_search(dummy):
    facts = fc.spherical_facts(30, 8)
    mlp = fc.construct(facts, dummy)
    assert mlp.lost.tolist() == [] and decodes(mlp, facts).all() and mlp.width in (4, 8, 16, 32, 64)
    found = fc.smallest_width(facts, dummy)
    assert found.recall == 1.0 and found.width <= mlp.width
    assert found.n_params == found.width * (8 + 8 + 1)
    with pytest.raises(ValueError, match="of 30 facts are lost at width 2, the first in row"):
        fc.construct(facts, dummy, width=2)
    with pytest.raises(ValueError, match=r"method 'dummy' has no option 'depth'; it has \['gate'\]"):
        fc.construct(facts, dummy, depth=3)


def test_a_new_line_in_the_table_is_found_by_the_command(dummy, tmp_path, capsys):
    facts = fc.spherical_facts(30, 8)
    rows = "".join(f"key {i},value {t}\n" for i, t in enumerate(facts.targets.tolist()))
    (tmp_path / "facts.csv").write_text("key,value\n" + rows)
    np.save(tmp_path / "keys.npy", facts.keys.numpy())
    np.save(tmp_path / "values.npy", facts.values[facts.targets].numpy())  # in the order in which they are named
    files = [str(tmp_path / name) for name in ("facts.csv", "keys.npy", "values.npy", "memory.safetensors")]
    store = ["store", files[0], "--key", "key", "--value", "value", "--embeddings", files[1], files[2]]
    assert factapp.cli.main([*store, "--method", dummy, "--out", files[3]]) == 0
    assert "stored 30 facts" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        factapp.cli.main([*store, "--method", "magic", "--out", files[3]])
    assert "dummy" in capsys.readouterr().err


# --- keys and values of different dimension --------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("d, e", [(16, 9), (9, 16)])
def test_keys_and_values_may_differ_in_dimension(method, d, e):
    facts = unequal(method, 6, d, e, v=4) if method == "ntk" else unequal(method, 40, d, e, v=20)
    n, d, e = len(facts), facts.d, facts.e
    mlp = fc.construct(facts, method, **QUICK.get(method, {}))
    assert decodes(mlp, facts).all() and mlp.lost.tolist() == [] and fc.recall(mlp, facts) == 1.0
    assert mlp(facts.keys).shape == (n, e) and mlp(torch.zeros(2, 3, d).double()).shape == (2, 3, e)
    per_unit = d + e + (mlp.up is not None) * d + (mlp.gate_bias is not None)
    assert mlp.n_params == mlp.width * per_unit
    scores = mlp(facts.keys) @ facts.values.T
    own = scores.gather(1, facts.targets[:, None])[:, 0]
    rest = scores.scatter(1, facts.targets[:, None], -torch.inf).amax(dim=1)
    torch.testing.assert_close(fc.margins(mlp, facts), own - rest)
    assert (fc.margins(mlp, facts, normalised=True).abs() <= 1).all()
    assert torch.equal(fc.decode(mlp, facts.keys, facts.values), facts.targets)


@every_method
@pytest.mark.parametrize("d, e", [(12, 6), (6, 12)])
def test_the_search_takes_them_too(method, d, e):
    facts = unequal(method, 5 if method == "ntk" else 24, d, e)
    d, e = facts.d, facts.e
    found = fc.smallest_width(facts, method, tries=1, resolution=0.3, **QUICK.get(method, {}))
    assert found.recall == 1.0 and found.n_params % found.width == 0
    per_unit = (d + e,) if method == "pairs" else (2 * d + e, 2 * d + e + 1, d + e + 1)
    assert found.n_params // found.width in per_unit
    assert fc.decodability(facts.values).separators.shape == (facts.n_values, e)


@pytest.mark.parametrize("d, e", [(3, 5), (5, 3)])
def test_the_steepest_slope_of_unequal_dimensions(d, e):
    matrix = torch.randn(e, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    facts = unequal("any", 6, d, e)
    assert fc.lipschitz(lambda x: x @ matrix.T, facts) == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)))


# --- scale, offset, zero rows and dtype ------------------------------------------------------------------------

MOVED = {
    "tiny values": lambda k, v: (k, v * 1e-30),
    "tiny keys": lambda k, v: (k * 1e-30, v),
    "huge keys": lambda k, v: (k * 1e19, v),
    "huge values": lambda k, v: (k, v * 1e19),
    "both tiny": lambda k, v: (k * 1e-30, v * 1e-30),
    "huge and tiny": lambda k, v: (k * 1e19, v * 1e-30),
}
REFUSED = (
    r"facts are lost at width \d+, the first in row \d+|no width up to \d+ stores all"
    r"|values cannot be decoded, the first is values\[\d+\]"
    r"|keys\[0\] is no pair of tokens|values must be affinely independent"
)


@every_method
@pytest.mark.parametrize("kind", MOVED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_scale_of_keys_and_values_does_not_matter(method, kind, dtype):
    plain = few(method, dtype=dtype)
    keys, values = MOVED[kind](plain.keys, plain.values)
    facts = fc.FactSet(keys, values, plain.targets)
    mlp = fc.construct(facts, method, **ENOUGH.get(method, {}))
    assert decodes(mlp, facts).all() and mlp.lost.tolist() == []
    normalised = fc.margins(mlp, facts, normalised=True)
    assert (normalised > 0).all() and (normalised <= 1).all()


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("of_keys, of_values", [(0.0, 1e5), (1e5, 0.0), (0.0, 1e3)])
def test_an_offset_is_stored_or_refused_by_name(method, dtype, of_keys, of_values):
    plain = few(method, dtype=dtype)
    facts = fc.FactSet(plain.keys + of_keys, 1e-2 * plain.values + of_values, plain.targets)
    options = {"width": 100} | ({"steps": 100} if method == "trained" else {})  # more may help none of these
    try:
        mlp = fc.construct(facts, method, **options)
    except ValueError as error:
        assert re.search(REFUSED, str(error)), error
        return
    assert decodes(mlp, facts).all() and fc.recall(mlp, facts) == 1.0
    normalised = fc.margins(mlp, facts, normalised=True)
    assert (normalised.abs() <= 1).all()


@every_method
def test_values_far_from_the_origin_are_stored_in_double_precision(method):
    plain = fc.spherical_facts(24, 12, dtype=torch.float64)
    plain = paired(plain) if method == "pairs" else plain
    facts = fc.FactSet(plain.keys, plain.values + 100, plain.targets)
    if method in ("ntk", "hebbian"):  # their outputs aim at the values themselves, which all point the same way
        with pytest.raises(ValueError, match=REFUSED):
            fc.construct(facts, method, width=200)
        return
    assert decodes(fc.construct(facts, method, **ENOUGH.get(method, {})), facts).all()


@every_method
def test_a_key_of_zeros_is_told_or_named(method):
    plain = few(method)
    keys = plain.keys.clone()
    keys[3] = 0
    facts = fc.FactSet(keys, plain.values, plain.targets)
    options = ENOUGH.get(method, {"width": 100} if method == "ntk" else {})
    try:
        mlp = fc.construct(facts, method, **options)
    except ValueError as error:
        if method == "pairs":
            assert "keys[3] is no pair of tokens" in str(error)
            return
        assert "facts are lost" in str(error) and "keys[3] is a row of zeros" in str(error)
        return
    assert decodes(mlp, facts).all()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "pairs"])  # its values span no hull with others
def test_a_value_of_zeros_inside_the_hull_is_named(method):
    plain = fc.spherical_facts(40, 6)
    values = plain.values.clone()
    values[5] = 0
    with pytest.raises(ValueError, match=r"1 of 40 values cannot be decoded, the first is values\[5\]"):
        fc.construct(fc.FactSet(plain.keys, values, plain.targets), method, **QUICK.get(method, {}))


@every_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_dtypes_work_or_are_refused_by_name(method, dtype):
    facts = few(method, n=12, dtype=dtype)
    try:
        mlp = fc.construct(facts, method, **QUICK.get(method, {}))
    except ValueError as error:
        assert "facts are lost" in str(error) and str(dtype) in str(error)
        return
    assert all(p.dtype == dtype and p.isfinite().all() for p in mlp.parameters())
    assert decodes(mlp, facts).all() and fc.recall(mlp, facts) == 1.0


# --- the modes of torch ----------------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_inside_the_modes_that_record_nothing_the_network_is_the_same(method, mode):
    options, quick = ENOUGH.get(method, {}), QUICK.get(method, {})
    outside = few(method)
    expected = fc.construct(outside, method, **options)
    with mode():
        inside = few(method)  # inference tensors, in one of them
        for facts in (outside, inside):
            mlp = fc.construct(facts, method, **options)
            assert fc.recall(mlp, facts) == 1.0 and fc.margins(mlp, facts, normalised=True).min() > 0
        for one, other in zip(mlp.parameters(), expected.parameters()):
            torch.testing.assert_close(one, other)
        found = fc.smallest_width(inside, method, tries=1, resolution=0.5, **quick)
    assert found.recall == 1.0
    if mlp.up is not None:  # a step alone has no slope
        mlp(outside.keys.clone().requires_grad_()).sum().backward()  # what was built there is an ordinary network


@every_method
def test_keys_that_require_grad_are_only_read(method):
    plain = few(method)
    keys, values = plain.keys.clone().requires_grad_(), plain.values.clone().requires_grad_()
    mlp = fc.construct(fc.FactSet(keys, values, plain.targets), method, **ENOUGH.get(method, {}))
    assert mlp.lost.tolist() == [] and not any(p.requires_grad for p in mlp.parameters()) and keys.grad is None

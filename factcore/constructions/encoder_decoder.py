"""`encoder-decoder`: the paper's construction, an encoder of the keys followed by a decoder of the codes."""

from factcore.constructions.decoder import CODES, choose_codes, failing
from factcore.constructions.encoder import encode_with_buckets, encode_with_random_gates, fills, key_rank, n_buckets
from factcore.constructions.projection import PROJECTIONS
from factcore.facts import FactSet, distinct_keys
from factcore.mlp import GatedMLP
from factcore.scoring import lost_rows
from factcore.support import check_choice, check_integer, stream

ENCODERS = {"buckets": encode_with_buckets, "random-gates": encode_with_random_gates}
TRIES = 4  # random draws tried at a fill that the caller chose
GATES_OF = {"buckets": "step", "random-gates": "silu"}  # encoders and their usual gates


def encoder_decoder(
    facts: FactSet,
    width: int | None,
    seed: int,
    *,
    encoder: str = "buckets",
    codes: str = "separators",
    code_dim: int | None = None,
    gate: str | None = None,
    fill: float | None = None,
    projection: str | None = None,
) -> GatedMLP:
    """The paper's construction g(x) = D enc(x), enc(k_i) = c_f(i) (paper section 4): gates drawn, the rest solved for.

    encoder: a linear solve, 'buckets' (`gate` 'step' or 'relu') or 'random-gates' (any, 'silu' by default). codes:
    certified convex, 'separators' of the projected values or 'projected' separators (the paper's). code_dim: m, None
    for the smallest that stores all; h = m·⌈n/d⌉ (with 'relu' buckets m·(2⌈n/d⌉ − 1)). fill: buckets hold at most
    fill·d keys; None starts at 1 and makes room where full buckets are too badly conditioned for the dtype. Where the
    keys span fewer than d dimensions, read their rank for d. With random gates fill is the share of equations to
    unknowns (1): a lower one makes the solution smaller and the network calmer around its keys. projection: how D is
    found for separator codes (`short_projection`), by default by a linear solve, on a circle or a sphere where values
    are affinely independent; 'optimised' is gradient training. Projected codes take a drawn D, as in the paper.

    The cut into buckets is drawn again while facts are lost though their codes decode. ValueError for an option out of
    range and for a width that has no room for one code coordinate.
    """
    check_choice("codes", codes, CODES)
    kinds = ("random",) if codes == "projected" else PROJECTIONS
    check_choice(f"with codes={codes!r}, projection", projection, (*kinds, None))
    check_choice("encoder", encoder, ENCODERS)
    if code_dim is not None:
        check_integer("code_dim", code_dim, most=facts.e)
    gate, generator = gate or GATES_OF[encoder], stream(seed, "weights")
    keys, rows = distinct_keys(facts)
    mlp = chosen = chosen_for = None
    drawn = fill is not None or encoder == "random-gates"
    for share in [1.0 if fill is None else fill] * TRIES if drawn else fills(len(facts), key_rank(keys), width):
        units = units_per_coordinate(facts, encoder=encoder, gate=gate, fill=share)
        if width is not None and width < (least := units * (code_dim or 1)):
            if mlp is not None:
                break  # smaller buckets leave no room: the last network is the best there is
            what = f"{len(facts)} keys in d = {facts.d} need {units} hidden units per code coordinate"
            raise ValueError(f"width {width} is too small: {what}, so at least {least}")
        allowed = code_dim or (None if width is None else min(facts.e, width // units))
        if chosen is None or allowed != chosen_for:  # smaller buckets leave a fixed width less room for codes
            chosen, chosen_for = choose_codes(facts, codes, allowed, seed, projection), allowed
        hidden = ENCODERS[encoder](keys, chosen.codes[facts.targets[rows]], generator, gate=gate, fill=share)
        mlp = hidden.followed_by(chosen.projection).to(facts.keys.dtype)
        mlp.lost = lost_rows(mlp, facts)
        if len(mlp.lost) == 0 or len(failing(chosen, facts.targets.unique())):
            break  # no other cut can save a code that does not decode
    assert mlp is not None
    return mlp


def units_per_coordinate(
    facts: FactSet, *, encoder: str = "buckets", gate: str | None = None, fill: float | None = None, **_: object
) -> int:
    """Hidden units that one code coordinate takes: ⌈n/d⌉, or 2⌈n/d⌉ − 1 where two ReLUs make a ramp."""
    check_choice("encoder", encoder, ENCODERS)
    units = n_buckets(len(facts), key_rank(facts.keys), 1.0 if fill is None else fill)
    return 2 * units - 1 if encoder == "buckets" and gate == "relu" else units

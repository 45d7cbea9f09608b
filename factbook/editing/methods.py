"""What `factbook.editing.edit` can do to a fact MLP: swap it, or change weights as known editors do.

Every method takes the request, an `Edit`, and returns the new MLP; the old one is left alone. Weight editors change the
down projection and are told the attention output in the training templates. Their defaults are the settings with the
best worst score over three models of `PER_FACT` parameters a fact, a tenth edited, among those by which single edits
take too; λ, tolerance, ridge and clip are relative, so keys of another scale change nothing, but keys with another
spread of eigenvalues want other settings.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from factbook.editing.editors import (
    alphaedit_update,
    check_number,
    clipped,
    covariance,
    memit_update,
    null_space_projector,
    rome_update,
    wanted_changes,
)
from factbook.editing.model import FactLanguageModel, fact_mlp, fact_positions
from factcore.mlp import GatedMLP
from factcore.support import check_choice, check_integer

REPLAYED = 64  # unedited facts in a step of fine-tuning with replay
AIMS = ("once", "each")
CONTEXTS = 6  # training templates, evenly spread, in which an editor optimises the output that it wants


class Edit(NamedTuple):
    """What an editor is told: value tokens ``targets`` (n,) of all facts of a relation, and which ``rows`` change.

    ``kept``: wanted changes by their settings, for whoever tries many settings on the same request.
    """

    model: FactLanguageModel
    relation: str
    targets: Tensor
    rows: Tensor
    seed: int
    kept: dict[Any, Tensor] | None = None

    @property
    def mlp(self) -> GatedMLP:
        mlp = self.model.facts[self.relation]
        if not isinstance(mlp, GatedMLP):
            raise ValueError(f"the facts of {self.relation!r} lie in a {type(mlp).__name__}: editors need a GatedMLP")
        return mlp


def swap(told: Edit, *, construction: str = "block-convex", **options: Any) -> GatedMLP:
    """The fact MLP as a whole, written anew by ``fact_mlp(all facts, construction, **options)``."""
    return fact_mlp(told.model.fact_set(told.relation, told.targets), construction, seed=told.seed, **options)


def finetune(
    told: Edit,
    *,
    steps: int = 100,
    lr: float = 0.0005,
    weights: str = "all",
    replay: bool = False,
    sentences: int | None = None,
) -> GatedMLP:
    """Adam on the cross-entropy of the new facts in the training templates, `CONTEXTS` of them drawn per step.

    weights: 'down' (the matrix that the other editors change) or 'all'. replay: `REPLAYED` unedited facts, drawn anew
    for every step, take part; a hundredfold ``lr`` is then better.
    """
    check_choice("weights", weights, ("down", "all"))
    check_integer("sentences", 1 if sentences is None else sentences)
    check_integer("steps", steps)
    check_number("lr", lr)
    mlp, others = _copied(told.mlp), torch.arange(len(told.targets))
    others = others[~torch.isin(others, told.rows)]
    learned = [p.requires_grad_() for p in ([mlp.down] if weights == "down" else mlp.parameters())]
    optimiser = torch.optim.Adam(learned, lr=lr)
    generator = torch.Generator().manual_seed(told.seed)
    inputs = fact_positions(told.model, told.relation, held_out=False).attention_output[:, :sentences]
    targets = told.targets.to(inputs.device)
    with torch.enable_grad():
        for _ in range(steps):
            which = torch.randperm(inputs.shape[1], generator=generator)[:CONTEXTS]
            again = others[torch.randperm(len(others), generator=generator)[:REPLAYED]] if replay else others[:0]
            rows = torch.cat([told.rows, again])
            optimiser.zero_grad()
            scores = told.model.logits(mlp(inputs[rows][:, which]))
            cross_entropy(scores.flatten(0, 1), targets[rows].repeat_interleave(len(which))).backward()
            optimiser.step()
    return mlp.requires_grad_(False)


def rome(
    told: Edit,
    *,
    steps: int = 25,
    lr: float = 0.5,
    clip: float | None = 1.0,
    weight_decay: float = 0.0,
    aimed: str = "once",
    sentences: int | None = None,
) -> GatedMLP:
    """One rank-one change per fact, one after another, each sparing the facts that are not edited (`rome_update`).

    aimed: 'once' takes all residuals before the first change, as published; 'each' takes one when its turn comes.
    """
    check_choice("aimed", aimed, AIMS)
    keys, wanted, preserved = _request(told, sentences, steps=steps, lr=lr, clip=clip, weight_decay=weight_decay)
    c, before = covariance(preserved), told.mlp.down.double()
    weight = before
    for key, value in zip(keys.double(), wanted.double()):  # a later change disturbs earlier ones: that is the method
        moved = weight @ key - before @ key if aimed == "once" else 0
        weight = rome_update(weight, c, key, value + moved)
    return _with_down(told.mlp, weight)


def memit(
    told: Edit,
    *,
    steps: int = 100,
    lr: float = 0.05,
    clip: float | None = None,
    weight_of_old: float = 15.0,
    sentences: int | None = None,
) -> GatedMLP:
    """All facts in one least squares problem with λ = ``weight_of_old`` (`memit_update`)."""
    keys, wanted, preserved = _request(told, sentences, steps=steps, lr=lr, clip=clip)
    weight = memit_update(told.mlp.down, covariance(preserved), keys, wanted, weight_of_old=weight_of_old)
    return _with_down(told.mlp, weight)


def alphaedit(
    told: Edit,
    *,
    steps: int = 100,
    lr: float = 0.05,
    clip: float | None = None,
    tol: float = 1.01,
    ridge: float = 0.3,
    sentences: int | None = None,
) -> GatedMLP:
    """A ridge regression in the null space of the keys that are not edited (`alphaedit_update`).

    ``tol`` decides what counts as null, relative to the largest eigenvalue; ``ridge`` is relative to the mean square
    of an edited key, so that neither depends on the scale of the hidden units. Above 1 every direction counts as null
    and the ridge alone spares the other facts: the default, as their keys fill a crowded layer evenly.
    """
    keys, wanted, preserved = _request(told, sentences, steps=steps, lr=lr, clip=clip)
    projector = null_space_projector(preserved, tol)
    size = float(keys.double().square().sum(dim=1).mean())
    return _with_down(told.mlp, alphaedit_update(told.mlp.down, projector, keys, wanted, ridge=ridge * size))


def no_op(told: Edit) -> GatedMLP:
    """Nothing changes."""
    return told.mlp


def chance(told: Edit) -> GatedMLP:
    """An MLP that gives airports outputs at random: what a model scores that knows nothing."""
    shape, generator = told.mlp.down.shape, torch.Generator().manual_seed(told.seed)
    values = told.model.corpus.values[told.relation]
    picks = values[torch.randint(len(values), (shape[1],), generator=generator)]
    mlp = _with_down(told.mlp, told.model.head()[picks].T.contiguous())
    mlp.gate_weight.data = torch.randn(shape[::-1], generator=generator).to(mlp.down)
    return mlp


def _request(told: Edit, sentences: int | None, *, clip: float | None, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Of edited facts the mean hidden units in the training templates (e, h) and the outputs wanted (e, d).

    And the hidden units (p, h) of all other facts, one row a template. ``sentences``: that many templates of an edited
    fact are looked at, the first ones; None for all.
    """
    check_integer("sentences", 1 if sentences is None else sentences)
    hidden = told.mlp.hidden(fact_positions(told.model, told.relation, held_out=False).attention_output)
    others = torch.ones(len(hidden), dtype=torch.bool).index_fill_(0, told.rows, False)
    if not others.any():
        raise ValueError("every fact is edited: weight editors need facts to preserve; use method='swap'")
    keys = hidden[told.rows][:, :sentences]  # (e, t, h)
    outputs = keys[:, :: max(1, keys.shape[1] // CONTEXTS)] @ told.mlp.down.T
    kept, setting = {} if told.kept is None else told.kept, (sentences, *sorted(options.items()))
    if setting not in kept:
        targets = told.targets[told.rows].to(outputs.device)
        kept[setting] = wanted_changes(told.model.logits, outputs, targets, **options)
    wanted = clipped(kept[setting], outputs, clip)
    return keys.mean(dim=1), wanted, hidden[others.to(hidden.device)].flatten(0, 1)


def _copied(mlp: GatedMLP) -> GatedMLP:
    """A copy to change: what its construction found out about the old facts does not hold for the new ones."""
    mlp = copy.deepcopy(mlp)
    mlp.lost, mlp.solves = None, []
    return mlp


def _with_down(mlp: GatedMLP, weight: Tensor) -> GatedMLP:
    """A copy of ``mlp`` with another down projection."""
    mlp = _copied(mlp)
    mlp.down.data = weight.to(mlp.down)
    return mlp


METHODS: dict[str, Callable[..., GatedMLP]] = {
    f.__name__: f for f in (swap, finetune, rome, memit, alphaedit, no_op, chance)
}
CONTROLS = ("no_op", "chance")  # to compare with: no user expects them to make the edit

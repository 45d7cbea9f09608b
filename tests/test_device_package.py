"""The package on a CUDA device that is pretended: tensors stay there, and so does the work."""

import copy
import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from device_rules import check_share, few_rounds, pretended
from pretend_cuda import CUDA

import factcore as fc
from factapp.confusable import most_confusable
from factbook import geometries
from factcore import transformer as tf
from factcore.methods import METHODS

OPTIONS = {  # beside the defaults
    "encoder-decoder": [
        {"encoder": "random-gates", "gate": "identity", "fill": 0.5},
        {"gate": "relu"},
        {"codes": "projected"},
        {"code_dim": 8},
        {"projection": "optimised"},
        {"projection": "random"},
    ],
    "ntk": [{"gate": "relu"}],
    "hebbian": [{"variant": "data-dependent", "ridge": 1e-4}, {"variant": "raw"}, {"targets": "separators"}],
    "max-margin": [{"gate": "identity", "ridge": 1e-2, "tol": 0.1}],
    "block-convex": [{"gate": "relu", "solves": 2, "tol": 0.1}, {"form": "plain"}],
    "trained": [{"gate": "silu", "descent": "adam", "lr": 0.02}, {"form": "plain"}, {"descent": "l-bfgs"}],
}
QUICK = {"trained": {"steps": 200}}
BUILDS = [(method, options) for method in METHODS for options in [{}, *OPTIONS.get(method, [])]]


class Given(NamedTuple):
    """What functions are called with; `given` has it on the device before they are."""

    facts: fc.FactSet
    mlp: fc.GatedMLP
    model: tf.FactTransformer
    tokens: torch.Tensor  # of its task


@functools.cache
def made() -> Given:
    facts = fc.spherical_facts(24, 12).to("cuda")
    mlp, model = fc.construct(facts, "block-convex", width=20), tf.FactTransformer(facts)
    tf.solve_attention(model, most_iterations=20)
    tokens = tf.recall_batch(24, 4, torch.Generator("cuda").manual_seed(0), "cuda")
    return Given(facts, mlp, tf.insert(model, mlp), tokens)


def given() -> Given:
    return Given(*copy.deepcopy(made()))


def on_the_cpu(given: Given) -> Given:
    return Given(given.facts.to("cpu"), given.mlp.to("cpu"), given.model.to("cpu"), given.tokens.to("cpu"))


def saved(facts: fc.FactSet) -> fc.FactSet:
    with tempfile.TemporaryDirectory() as folder:
        facts.save(Path(folder, "facts"))
        return fc.FactSet.load(Path(folder, "facts")).to("cuda")


CALLS = {
    "FactSet": lambda on: [saved(on.facts), on.facts.to(dtype=torch.float64), on.facts.subset(torch.arange(5))],
    "airport_facts": lambda on: fc.airport_facts(32).to("cuda"),
    "layer_facts": lambda on: geometries.layer_facts(32).to("cuda"),
    "pair_facts": lambda on: fc.pair_facts(20, 4).to("cuda"),
    "spherical_facts": lambda on: fc.spherical_facts(8, 4, n_values=3).to("cuda"),
    "value_geometry": lambda on: geometries.value_geometry("clusters", 16, 4).to("cuda"),
    "cut_to_leading": lambda on: geometries.cut_to_leading(on.facts, 8),
    "Decodability": lambda on: fc.decodability(on.facts.values, which=torch.arange(3), enough=0.1),
    "decodability": lambda on: [
        fc.decodability(on.facts.values.repeat(2, 1)),
        fc.decodability(on.facts.values, tol=1e-9),
    ],
    "most_confusable": lambda on: most_confusable(on.facts.values, 3),
    "whiten": lambda on: geometries.whiten(on.facts.values)[1](geometries.whiten(on.facts.values)[0]),
    "GatedMLP": lambda on: on.mlp(on.facts.keys),
    "construct": lambda on: fc.construct(on.facts.to(dtype=torch.bfloat16), "block-convex", strict=False),
    "smallest_width": lambda on: fc.smallest_width(on.facts, tries=1),
    "SmallestWidth": lambda on: fc.smallest_width(on.facts, "trained", tries=1, steps=60, start=16, resolution=1.0),
    "decode": lambda on: fc.decode(on.mlp, on.facts.keys, on.facts.values),
    "lipschitz": lambda on: fc.lipschitz(on.mlp, on.facts),
    "margins": lambda on: [fc.margins(on.mlp, on.facts), fc.margins(on.mlp, on.facts, normalised=True)],
    "recall": lambda on: fc.recall(on.mlp, on.facts),
    "FactTransformer": lambda on: tf.FactTransformer(on.facts, residuals=True)(on.tokens),
    "insert": lambda on: [tf.insert(on.model, on.mlp), tf.insert(on.model, torch.nn.Linear(12, 12))],
    "rms_norm": lambda on: tf.rms_norm(on.facts.keys),
    "rope_turns": lambda on: tf.rope_turns(tf.LENGTH, on.facts.d).to("cuda"),
    "rotate": lambda on: tf.rotate(on.facts.keys[:2].repeat(2, 1, 1), tf.rope_turns(2, on.facts.d).to("cuda")),
    "asked": lambda on: tf.asked(on.tokens, len(on.facts)),
    "recall_batch": lambda on: tf.recall_batch(len(on.facts), 4, torch.Generator().manual_seed(0), "cuda"),
    "transformer_recall": lambda on: tf.transformer_recall(on.model, on.facts.targets, samples=64),
    "adaptive_recall": lambda on: tf.adaptive_recall(on.model, on.mlp, on.facts.targets, samples=64),
    "train_recall": lambda on: tf.train_recall(on.model, on.facts.targets, steps=3, batch=8),
    "RecallTraining": lambda on: tf.train_recall(  # the MLP learns, too
        tf.insert(tf.FactTransformer(on.facts), on.mlp, trainable=True),
        on.facts.targets,
        schedule="insert-first",
        steps=3,
    ),
    "solve_attention": lambda on: [tf.solve_attention(on.model, most_iterations=20), on.model],
    "AttentionSolve": lambda on: tf.solve_attention(tf.FactTransformer(on.facts), most_iterations=20),
    "certified_noise": lambda on: tf.certified_noise(on.model),
    "worst_weights": lambda on: tf.worst_weights(on.model),
    "check_plain": lambda on: tf.check_plain(on.model),
    "certified_recall": lambda on: tf.certified_recall(on.model, on.facts.targets),
    "certified_tolerance": lambda on: tf.certified_tolerance(on.mlp, on.facts),
}


def tensors_in(thing: object) -> list[torch.Tensor]:
    """All tensors of a result, in modules, tuples, lists and dataclasses."""
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, torch.nn.Module):
        extra = [thing.lost] if isinstance(thing, fc.GatedMLP) and thing.lost is not None else []
        return [*thing.parameters(), *thing.buffers(), *extra]
    if dataclasses.is_dataclass(thing):
        thing = [getattr(thing, field.name) for field in dataclasses.fields(thing)]
    return [t for part in thing for t in tensors_in(part)] if isinstance(thing, (list, tuple)) else []


def test_every_public_name_is_called():
    public = {*fc.__all__, *tf.__all__} - {"JUNK", "LENGTH", "RUN"}
    of_app_and_book = {"layer_facts", "value_geometry", "cut_to_leading", "most_confusable", "whiten"}
    assert public == {*CALLS} - of_app_and_book


@pytest.mark.parametrize("name", CALLS)
def test_public_function_stays_on_the_device(name):
    with pretended():
        there, here = given(), on_the_cpu(given())
    with pretended() as device:
        result = CALLS[name](there)
        check_share(device)
        found = tensors_in(result)
        assert {t.device for t in found} <= {CUDA}
        assert found or isinstance(result, (float, list, tuple, type(None)))
        numbers = [t.detach().cpu().double() for t in found] if name in COMPARED else []
    if name in COMPARED:
        on_cpu = [t.double() for t in tensors_in(CALLS[name](here))]
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(numbers, on_cpu, strict=True)) and on_cpu


# Whose numbers are those of the same call on the CPU.
COMPARED = ("decodability", "whiten", "decode", "margins", "certified_noise", "certified_tolerance", "worst_weights")


def facts_of(method: str) -> fc.FactSet:
    """Few facts of the kind that the method takes."""
    if method == "pairs":
        return fc.pair_facts(40, 8)
    return fc.spherical_facts(*((6, 16) if method == "ntk" else (24, 12)), seed=1)


@pytest.mark.parametrize("method, options", BUILDS, ids=str)
def test_construction_stays_on_the_device(method, options):
    options = QUICK.get(method, {}) | options
    with pretended() as device:
        facts = facts_of(method).to("cuda")
        mlp = fc.construct(facts, method, strict=False, **options)
        check_share(device)
        assert {t.device for t in tensors_in(mlp)} == {CUDA}
        lost, there = mlp.lost.tolist(), fc.margins(mlp, facts).cpu()
    with few_rounds():
        on_cpu = fc.construct(facts_of(method), method, strict=False, **options)
    assert lost == on_cpu.lost.tolist() and mlp.width == on_cpu.width and bool(there.isfinite().all())

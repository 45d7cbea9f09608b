"""What may be on the CPU although a CUDA device was asked for, and who takes a device: for the tests of the device."""

import functools
import importlib
import inspect
import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pretend_cuda import PretendCuda, pretend_cuda

import factapp
import factbook
import factcore as fc
from factapp import cli, memory, sketch
from factbook import challenge, geometries, margins, own_facts, paraphrase, real_facts
from factbook.challenge import study
from factbook.editing import text
from factcore import data
from factcore import transformer as tf
from factcore.constructions import decoder, pairs, start
from factcore.support import files

ROOT = Path(__file__).resolve().parent.parent
# Of the numbers made. On the CPU are matrices drawn there, indices and what is read out: they grow more slowly than
# the work, which is small in these tests, too.
MOST = 0.1
DATA = "read from a file or drawn from a seed, the same for every device; it takes none"
FILES = "files are written from the CPU's memory and read into it"
SYSTEMS = "sparse systems, for which scipy has a solver"
JUDGED = "answers that were read out, one a question, are judged where the questions are stored"
ABOUT = "what a memory file tells about its keys is the same on every device"
APART = {  # functions whose work is on the CPU whatever is asked for, with all that they call
    fc.FactSet.load: FILES,
    files.read_safetensors: FILES,
    files.write_safetensors: FILES,
    fc.airport_facts: DATA,
    fc.pair_facts: DATA,
    fc.spherical_facts: DATA,
    data.drawn_pairs: DATA,
    tf.recall_batch: "drawn on the device of its generator",
    tf.rope_turns: "a table of few angles, made once",
    geometries.layer_facts: DATA,
    geometries.value_geometry: DATA,
    margins.spiked_facts: DATA,
    real_facts.fact_set: DATA,
    decoder.projection_basis: DATA,
    text.airport_corpus: DATA,
    text.Corpus.sentences: "words as numbers; the model that reads them takes them to its device",
    own_facts.write_example: FILES,
    own_facts.kinds: DATA,
    paraphrase.airport_questions: DATA,
    paraphrase.airport_trial: DATA,
    paraphrase.unrelated_sentences: DATA,
    paraphrase.angles: JUDGED,
    paraphrase.auc: JUDGED,
    paraphrase.roc: JUDGED,
    own_facts.by_angle: JUDGED,
    pairs.pairs_of: SYSTEMS,
    pairs.refined_tables: SYSTEMS,
    pairs.network_of: SYSTEMS,
    challenge.pair_tables: SYSTEMS,
    challenge.count_right: SYSTEMS,
    study.precision: "rounds the networks of these systems, and takes no device",
    sketch.sketch_of: ABOUT,
    sketch.similarity: ABOUT,
    memory._held_out: ABOUT,
    cli.main: "the command has no option for a device: it makes files and reads them",
}

# Public functions of the book that are told a device, by who calls them for CUDA: a page in its smoke profile
# (test_device_pages.py) or a study of `make paper` (book/test_paper.py); both see that they do. The others are called
# in test_device_studies.py, which asks for each.
CALLED_BY = {
    "airports_block": "airports.unit_facts airports.placed airports.trained",
    "block_facts": "attended.attended block_facts.cost block_facts.smallest_built block_facts.table",
    "build_cost": "build_times.built build_times.table cost.build_cost",
    "capacity": "ladder.cost ladder.ntk_gates ladder.table origin.device_name",
    "challenge": "challenge.study.attempt",
    "code_dimension": "code_dimension.lengths code_dimension.table",
    "decoder": "decoder.decode_share decoder.table",
    "edit_yourself": "editing.training.load_language_model",
    "editing": "editing.crowded.edit_row editing.study.base_model editing.study.edit_row editing.tables.crowds "
    "editing.tables.edits",
    "editing_time": "editing.study.sequence_row editing.study.time_row editing.tables.sequences editing.tables.times",
    "encoder": "buckets.both buckets.errors",
    "facts": "baselines.airports_row",
    "frontier": "frontier.placed frontier.table",
    "geometry": "geometry_cost.by_decoder geometry_cost.measure geometry_cost.measure_optimised "
    "geometry_cost.optimised geometry_cost.table",
    "margins": "margins.cost margins.smallest_margin margins.trained_margins margins_shown.costs margins_shown.table "
    "margins_shown.widths",
    "noise_floor": "noise_floor.floors noise_floor.junk noise_floor.left_over noise_floor.table",
    "own_facts": "own_facts.refusals own_facts.tables own_facts.trial paraphrase.many",
    "precision": "precision.rounded_recall precision.table",
    "real": "real_facts.cost real_facts.table real_facts.uncut",
    "scaling": "scaling.cost scaling_shown.table",
    "solver": "solver_time.solve_time solver_time.table",
    "solves": "solves.cost solves.table",
    "usable": "usable.ablated usable.ablation usable.curves usable.fairness usable.inserted usable.learned "
    "usable.left_of_keys usable.maps usable.table",
    "make paper: stored": "paper.stored paper.work store.resume",
    "make paper: built": "paper.built",
    "make paper: taught": "usable_published.taught",
    "make paper: edited": "paper.edited paper.language_model editing.training.train_language_model",
}


def called_by(who: str) -> set[str]:
    """The functions that a page or a study of `CALLED_BY` calls, by module and name."""
    return {f"factbook.{name}" for name in CALLED_BY.get(who, "").split()}


few_rounds = functools.partial(patch.object, start, "ROUNDS", 8)  # they all make the same calls


@contextmanager
def pretended() -> Iterator[PretendCuda]:
    """The pretended device, with `APART` out of the account, and `few_rounds`."""
    with few_rounds(), pretend_cuda(APART) as device:
        yield device


def check_share(device: PretendCuda, since: Counter[str] | None = None, *, few: int = 0) -> None:
    """AssertionError where more than `MOST` of the numbers made (``since`` then), and than ``few``, are on the CPU."""
    share, made = device.cpu_share(since), device.made - (since or Counter())
    assert share <= MOST or made["cpu"] <= few, (
        f"{share:.0%} of the numbers are made on the CPU, most by {device.blamed.most_common(4)}"
    )


def taking_a_device() -> dict[str, Callable[..., Any]]:
    """Public functions of app, book and benchmarks that are told a device, by module and name."""
    found: dict[str, Callable[..., Any]] = {}
    names = [name for package in (factapp, factbook) for _, name, _ in _modules(package)]
    for name in [*names, *(f"benchmarks.{path.stem}" for path in sorted((ROOT / "benchmarks").glob("*.py")))]:
        module = importlib.import_module(name)
        for function in vars(module).values():
            if callable(function) and not inspect.isclass(function) and getattr(function, "__module__", "") == name:
                if "device" in inspect.signature(function).parameters and not function.__name__.startswith("_"):
                    found[f"{name}.{function.__name__}"] = function
    return found


def _modules(package: Any) -> Any:
    return pkgutil.walk_packages(package.__path__, f"{package.__name__}.")


def watched(monkeypatch: Any) -> set[str]:
    """Names of `taking_a_device`, filled in as these functions are called for CUDA."""
    called: set[str] = set()
    functions = taking_a_device()
    modules = [module for name, module in [*sys.modules.items()] if name.split(".")[0] in ("factbook", "benchmarks")]
    for name, function in functions.items():
        seen = _noting(function, name, called)
        for module in modules:
            for attribute in [attribute for attribute, value in vars(module).items() if value is function]:
                monkeypatch.setattr(module, attribute, seen)
    return called


def _noting(function: Callable[..., Any], name: str, called: set[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def seen(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(part, str) and part == "cuda" for part in (*args, *kwargs.values())):
            called.add(name)
        return function(*args, **kwargs)

    return seen

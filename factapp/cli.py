"""The command line: facts from a CSV file into one memory file, and questions to it. See `factcore --help`."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from factapp.help import ASK, CAPTURE, EXAMPLE, STORE
from factapp.terminal import as_json, message, printing, say, shown
from factapp.usage import Parser, positive, threshold
from factcore import __version__
from factcore.methods import METHODS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 for bad input (told on stderr). Wrong usage exits with 2."""
    options = _parser().parse_args(arguments)
    try:
        printing(lambda: options.run(options))
    except ValueError as error:
        return _failed(options.command, str(error))
    except MemoryError:
        return _failed(options.command, "this does not fit into memory")
    except RuntimeError as error:  # as torch says the same
        if "allocate" not in str(error) and "storage size" not in str(error):
            raise
        return _failed(options.command, f"this does not fit into memory: {str(error).splitlines()[0]}")
    except KeyboardInterrupt:
        _failed(options.command, "interrupted, nothing was written")
        return 130
    return 0


def store(options: argparse.Namespace) -> None:
    from factapp.encoder import MINILM
    from factapp.memory import ANSWERED, FEW, SLACK, Memory
    from factapp.reading import own_facts

    begun = time.perf_counter()
    if not options.out.endswith(".safetensors"):
        raise ValueError(f"--out must end in .safetensors, got {options.out!r}")
    if options.smallest and options.method not in SLACK:
        raise ValueError(f"--smallest changes nothing with --method {options.method}: leave it out")
    _keep(options.out, [options.facts, *(options.embeddings or [])])
    if not options.embeddings:
        say(f"reading {shown(options.facts)}; texts are embedded by MiniLM")
    reading = {"separator": options.sep, "encoding": options.encoding, "skip_empty": options.skip_empty}
    own = own_facts(options.facts, options.key, options.value, embeddings=options.embeddings, **reading)
    facts = own.facts
    for note in own.notes:
        say(f"note: {note}")
    size = f"d = {facts.d}" if facts.d == facts.e else f"d = {facts.d}, values of {facts.e}"
    say(f"{_count(len(facts), 'fact')}, {_count(facts.n_values, 'value')}, {size}: building ({options.method})")
    how: dict[str, Any] = {"width": options.width, "seed": options.seed, "smallest": options.smallest}
    how |= {"texts": own.texts, "unrelated": own.unrelated, "columns": [options.key, options.value]}
    try:
        memory = Memory.store(facts, options.method, **how, embeddings="given" if options.embeddings else MINILM)
    except ValueError as error:
        raise ValueError(_in_words_of_the_file(str(error), own.said)) from error
    memory.save(options.out)
    smallest = memory.about["smallest_margin"]
    print(
        f"stored {_count(len(facts), 'fact')} in {shown(options.out)}: recall 100%, {memory.mlp.n_params:,} parameters "
        f"({memory.mlp.n_params / len(facts):,.1f} per fact), "
        f"smallest margin {_margin(smallest)}, {time.perf_counter() - begun:.0f} s"
    )
    share, least = memory.about["held_out_answered"], memory.about["held_out_at_most"]
    if (unrelated := memory.about["unrelated_answered"]) is not None:
        say(f"{unrelated:.1%} of {len(own.unrelated):,} unrelated sentences get an answer")  # type: ignore[arg-type]
    if facts.n_values == 1:
        say(f"note: there is one value only, {memory.names[0]!r}: every question like a key is answered with it")
    elif share > 2 * ANSWERED:
        why = "few facts tell little about what is none" if len(facts) < FEW else "stored facts have margins as small"
        say(f"note: {share:.0%} of random questions get an answer too: {why}")
        say(f"      {least:.0%} with --threshold {smallest * 0.99:.3g}, about the largest that answers every key")


def ask(options: argparse.Namespace) -> None:
    from factapp.arrays import load_rows
    from factapp.encoder import MINILM, embed, fingerprints
    from factapp.memory import Memory

    memory = Memory.load(options.memory)
    texts = None
    if options.embedding:
        queries = load_rows(options.embedding)
        questions = options.questions or [f"row {row}" for row in range(len(queries))]
        if len(questions) != len(queries):
            rows = _count(len(queries), "row"), _count(len(questions), "question"), _count(len(queries), "question")
            raise ValueError("{} has {}, but {}: give {} or none".format(options.embedding, *rows))
        if (d := memory.mlp.gate_weight.shape[1]) != queries.shape[1]:
            sizes = f"has rows of {queries.shape[1]} numbers, the keys of {options.memory} have {d}"
            raise ValueError(f"{options.embedding} {sizes}: embed the questions as the keys")
    else:
        questions = [text for text in _questions(options.questions) if text.strip()]
        if not questions:
            raise ValueError("no question: give one in quotes, or - to read one per line, or --embedding")
        if memory.about.get("embeddings") != MINILM:
            raise ValueError("this memory was stored with embeddings of your own: ask with --embedding QUERY.npy")
        queries, texts = embed(questions), fingerprints(questions)
    answers = memory.ask(queries, threshold=options.threshold, texts=texts)
    threshold = memory.about["threshold"] if options.threshold is None else options.threshold
    if options.json:
        print(as_json([{"question": q, **a._asdict(), "threshold": threshold} for q, a in zip(questions, answers)]))
        return
    for question, found in zip(questions, answers):
        known = shown(found.guess) if found.answer is not None else f"I don't know (best guess: {shown(found.guess)})"
        second = f"; next: {shown(found.runner_up)}" if found.runner_up else ""
        print(f"{shown(question)}\n  {known}")
        print(f"  margin {_margin(found.margin)}, threshold {threshold:.3g}, similarity {found.similarity:.2f}{second}")
        if found.why:
            print(f"  {found.why}")


def inspect(options: argparse.Namespace) -> None:
    from factapp.memory import Memory

    report = Memory.load(options.memory).inspect(options.pairs)
    if options.json:
        print(as_json(report))
        return
    rho = "not defined for one value" if report["rho"] is None else f"rho = {report['rho']:.4g}"
    if not report["rho_exact"]:
        rho = rho.replace("=", "at most") + f" (of the {report['rho_solved']:,} values closest to another)"
    unrelated, limit = report["unrelated_answered"], f"{report['threshold']:.3g}" if report["threshold"] else "above 0"
    lines = {
        "facts": f"{report['facts']:,}, {_count(report['values'], 'value')}, d = {report['d']}"
        + ("" if report["d"] == report["e"] else f", values of {report['e']}"),
        "built by": f"{report['method']}, seed {report['seed']}; embeddings: {report['embeddings']}",
        "network": f"width {report['width']:,}, gate {report['gate']}, {report['parameters']:,} parameters",
        "bits per fact": f"{report['bits_per_fact']:,.0f}, and {report['sketch_bits_per_fact']} for the sketch of its "
        f"key; no network takes fewer than log2({report['values']}) = {report['floor_bits_per_fact']:.2f}",
        "smallest margin": f"{_margin(report['smallest_margin'])} (of a stored fact)",
        "an answer needs": f"margin {limit}, similarity {report['least_similarity']:.2f}: "
        f"{report['held_out_answered']:.0%} of random questions like the keys get one"
        + ("" if unrelated is None else f", {unrelated:.1%} of unrelated sentences"),
        "decodability": rho,
    }
    for name, text in lines.items():
        print(f"{name:<16} {shown(text)}")
    for pair in report["confusable"]:
        label = "hard to tell" if pair is report["confusable"][0] else ""
        print(f"{label:<16} {' | '.join(map(shown, pair['values']))} (best margin {pair['margin']:.3g})")


def export(options: argparse.Namespace) -> None:
    from factapp.export import export, formula
    from factapp.memory import Memory

    _keep(options.to, [options.memory])
    memory = Memory.load(options.memory)
    export(memory, options.to)
    names = "which the exports to .safetensors and .onnx carry" if options.to.endswith(".pt") else "in its metadata"
    print(f"wrote {shown(options.to)}: {formula(memory.mlp)}")
    print(f"scores.argmax() is the place of the answer among the names, {names}")


def capture(options: argparse.Namespace) -> None:
    from factapp.capture import capture

    _keep(options.out, [options.text])
    facts = capture(options.model, options.layer, options.text, most=options.most)
    facts.save(options.out)
    print(f"wrote {shown(options.out)}: {_count(len(facts), 'fact')}, d = {facts.d}; FactSet.load reads it")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="factcore",
        description="Store facts in the weights of a small network, and ask for them.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"factcore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[..., None], text: str, epilog: str = "") -> argparse.ArgumentParser:
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
    sub.add_argument("--sep", metavar="C", help="what stands between cells, one character or tab (default: found out)")
    sub.add_argument("--encoding", metavar="NAME", help="of facts.csv, such as windows-1252 (default: UTF-8)")
    sub.add_argument("--skip-empty", action="store_true", help="leave out rows without a key or value, and count them")
    sub.add_argument("--method", choices=METHODS, default="encoder-decoder", help="construction (default: %(default)s)")
    size = sub.add_mutually_exclusive_group()
    size.add_argument("--width", type=positive, metavar="H", help="hidden units (default: as the method needs)")
    size.add_argument("--smallest", action="store_true", help="the fewest parameters (see below)")
    sub.add_argument("--seed", type=int, default=0, help="(default: 0)")

    sub = command("ask", ask, "answer questions, or say that the answer is not known", ASK)
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("questions", nargs="*", metavar="question", help="texts; - reads one per line from standard input")
    sub.add_argument("--embedding", metavar="QUERY.npy", help="ask with the rows of this array (q, d) instead")
    sub.add_argument("--threshold", type=threshold, metavar="T", help="decide by this margin alone")
    sub.add_argument("--json", action="store_true", help="a JSON list, one entry per question; answer null: not known")

    sub = command("inspect", inspect, "what a memory holds, what it costs, which values are hard to tell apart")
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("--pairs", type=positive, default=5, metavar="K", help="pairs of values shown (default: 5)")
    sub.add_argument("--json", action="store_true")

    sub = command("export", export, "write the network for other programs")
    sub.add_argument("memory", metavar="memory.safetensors")
    sub.add_argument("--to", required=True, metavar="FILE", help="ends in .pt (torch), .safetensors or .onnx")

    sub = command("capture", capture, "inputs and outputs of one MLP of a language model as facts", CAPTURE)
    sub.add_argument("--model", required=True, metavar="DIR", help="folder of the model, as transformers saves it")
    sub.add_argument("--layer", required=True, type=int, metavar="L", help="block of the MLP, from 0")
    sub.add_argument("--text", required=True, metavar="FILE", help="UTF-8, each line a sequence")
    sub.add_argument("--out", required=True, metavar="layer.safetensors", help="replaced only when complete")
    sub.add_argument("--most", type=positive, default=16384, metavar="N", help="positions read (default: %(default)s)")
    return parser


def _failed(command: str, why: str) -> int:
    try:
        print(message(f"factcore {command}: {why}"), file=sys.stderr)
    except OSError:  # nobody listens
        pass
    return 1


def _questions(given: list[str]) -> list[str]:
    """The questions of the command line, or of stdin, one per line. ValueError for bytes that are not UTF-8."""
    from factapp.reading import decoded

    if given != ["-"]:
        for number, text in enumerate(given, 1):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(f"question {number} holds bytes that are not {sys.getfilesystemencoding().upper()}")
        return given
    if sys.stdin is None:
        raise ValueError("standard input is closed: there is no question to read")
    binary = getattr(sys.stdin, "buffer", None)
    text = sys.stdin.read() if binary is None else decoded(binary.read(), None, "standard input")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _keep(path: str, inputs: Sequence[str]) -> None:
    """ValueError when ``path`` cannot be written, or is one of the ``inputs``, which would be lost; by a link, too."""
    from factcore.support.files import replacing

    for name in inputs:
        same = os.path.realpath(path) == os.path.realpath(name)
        if same or (os.path.exists(path) and os.path.exists(name) and os.path.samefile(path, name)):
            what = "is the memory itself" if name.endswith(".safetensors") else f"is the same file as {name}"
            raise ValueError(f"{path} {what}, which would be lost: choose another file")
    with replacing(path, keep=False):  # told now, not after the work
        pass


def _in_words_of_the_file(complaint: str, said: Sequence[str]) -> str:
    """What `factcore.construct` complains of: keys by their names, not their rows, and what options can do about it."""
    if "values cannot be decoded" in complaint:  # it holds a name, which may read as anything
        return complaint
    complaint = re.sub(r"keys\[(\d+)\]|in row (\d+)", lambda at: said[int(at[1] or at[2])], complaint)
    complaint = re.sub(r", or convert the facts from \S+ to float64$", "", complaint)
    complaint = re.sub(r"the first (?=['\"])", "the first is ", complaint)
    return complaint.replace("allow more width", "give a larger --width, or leave it out")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _margin(number: float) -> str:
    return "unbounded, with one value only" if math.isinf(number) else f"{number:.3g}"

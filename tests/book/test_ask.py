"""The box "Ask it here": its JavaScript against factcore, on the memory that the book ships."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from py_mini_racer import MiniRacer

import factcore as fc
from factbook.paraphrase import airport_questions

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
ask_pages = pytest.importorskip("ask_pages")


@pytest.fixture(scope="module")
def facts():
    return fc.airport_facts(relation="country")


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("static")
    ask_pages.write(folder)
    return (folder / ask_pages.SCRIPT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def engine(script):
    with MiniRacer() as engine:
        engine.eval("let memory; const askData = (data) => { memory = askMaths.open(data); };")
        engine.eval((STATIC / "ask_maths.js").read_text() + (STATIC / "ask.js").read_text())
        engine.eval(script)
        yield engine


@pytest.fixture(scope="module")
def js(engine):
    return lambda code: json.loads(engine.eval(f"JSON.stringify({code})"))


def test_what_is_shipped_is_small_and_the_same_every_time(script):
    ask_pages.memory.cache_clear()
    again = f"askData({json.dumps(ask_pages.memory(), ensure_ascii=False)});\n"
    assert again == script
    sizes = {name: len(text) * 3 // 4 for name, text in ask_pages.memory().items() if isinstance(text, str)}
    weights = sum(sizes[name] for name in ("direction", "thresholds", "up", "down"))
    assert weights <= 600_000 and sizes["keys"] <= 3_000_000 and len(script.encode()) <= 5_000_000


def test_keys_and_values_are_those_of_the_facts(facts):
    held = ask_pages.memory()
    for rows, name in ((facts.keys, "keys"), (facts.values, "values")):
        whole = np.frombuffer(base64.b64decode(held[name]), dtype=np.int8).reshape(rows.shape)
        unit = torch.nn.functional.normalize(torch.tensor(whole, dtype=torch.float32), dim=1)
        assert torch.equal(unit, rows)
    assert held["names"] == list(facts.key_names) and held["valueNames"] == list(facts.value_names)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 255, 256])
def test_base64_is_pythons(js, length):
    data = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert js(f"[...new Uint8Array(askMaths.bytes({json.dumps(base64.b64encode(data).decode())}))]") == list(data)


def test_every_fact_is_answered_as_by_torch(js, facts):
    answers = js("[...memory.answers]")
    assert answers == facts.targets.tolist()
    assert js(f"askMaths.countWrong(memory, 0, {len(facts)})") == 0
    asked = torch.arange(0, 7000, 175)
    exact = fc.FactSet(facts.keys[asked].double(), facts.values.double(), facts.targets[asked])
    margins = fc.margins(fc.construct(facts, seed=ask_pages.SEED).double(), exact, normalised=True).tolist()
    nearest = (exact.keys @ exact.values.T).argmax(dim=1).tolist()
    found = js("Array.from({length: 40}, (_, k) => askMaths.ask(memory, memory.keys, 175 * k))")
    assert [each["value"] for each in found] == facts.targets[asked].tolist()
    assert all(each["known"] for each in found)
    assert [each["nearest"] for each in found] == nearest
    assert [each["margin"] for each in found] == pytest.approx(margins, rel=1e-3)


def test_a_recount_sees_what_is_wrong(js, facts):
    assert js("(memory.answers[17] ^= 1, askMaths.countWrong(memory, 10, 30))") == 1
    assert js("(memory.answers[17] ^= 1, askMaths.countWrong(memory, 10, 30))") == 0


def test_no_question_is_taken_for_a_stored_key(js):
    questions = airport_questions()
    count = len(questions.said) + len(questions.off_topic)
    found = js(f"Array.from({{length: {count}}}, (_, i) => askMaths.ask(memory, memory.asked, i).known)")
    assert found == [False] * count == [False] * js("memory.questions.length")


def bucket_codes(js, row: int):
    """Keys, codes that they should have, and rows of the bucket of ``row``, as float64."""
    rows = js(f"[...memory.buckets.keys()].filter((k) => memory.buckets[k] === memory.buckets[{row}])")
    codes = np.array(js("[...memory.codes]")).reshape(-1, 2)
    return rows, codes[np.array(js("[...memory.answers]"))[rows]]


@pytest.mark.parametrize("row", [0, 3500, 7006])
def test_a_bucket_is_solved_as_by_numpy(js, facts, row):
    rows, codes = bucket_codes(js, row)
    keys = torch.nn.functional.normalize(ask_pages.directions(facts.keys[rows]).double(), dim=1).numpy()
    smallest = np.linalg.lstsq(keys, codes, rcond=1e-10)[0].T
    found = js(f"(({{S, residual}}) => ({{S: [...S], residual}}))(askMaths.solve(memory, {rows}))")
    assert found["residual"] < 1e-9
    assert np.abs(np.array(found["S"]).reshape(2, -1) - smallest).max() < 1e-6 * np.abs(smallest).max()


@pytest.mark.parametrize("bucket", [0, 9, 18])
def test_an_edit_changes_one_answer_and_can_be_undone(js, bucket):
    row = js(f"memory.buckets.indexOf({bucket})")
    before, up = js(f"askMaths.ask(memory, memory.keys, {row})"), js("[...memory.up]")
    value = (before["value"] + 100) % 233
    js(f"(globalThis.done = askMaths.edit(memory, {row}, {value}))")
    after = js(f"askMaths.ask(memory, memory.keys, {row})")
    assert (after["value"], after["known"], before["known"]) == (value, True, True)
    done, changed = js("done"), np.array(js("[...memory.up]")) != np.array(up)
    units = np.unique(np.nonzero(changed)[0] // 384)
    assert len(units) == done["units"] == (2 if bucket == 18 else 4) and set(units // 2) <= {bucket, bucket + 1}
    assert js("askMaths.countWrong(memory, 0, memory.n)") == 0  # all others answer as before
    js("(done.undo(), 0)")
    assert js("[...memory.up]") == up and js(f"askMaths.ask(memory, memory.keys, {row})") == before
    assert js("askMaths.countWrong(memory, 0, memory.n)") == 0


def test_edits_in_a_row_lose_nothing(js):
    undo = "globalThis.saved = {up: memory.up.slice(), answers: memory.answers.slice()}"
    js(f"({undo}, 0)")
    js("Array.from({length: 12}, (_, k) => askMaths.edit(memory, 500 + k, (7 * k) % 233).residual)")
    assert js("askMaths.countWrong(memory, 0, memory.n)") == 0
    assert js("Array.from({length: 12}, (_, k) => memory.answers[500 + k])") == [7 * k % 233 for k in range(12)]
    js("(memory.up.set(saved.up), memory.answers.set(saved.answers), 0)")


def test_keys_that_depend_on_each_other_are_refused_and_nothing_changes(js):
    code = """(() => {
      const d = 4, keys = {rows: Int8Array.of(1, 0, 0, 0, 1, 0, 0, 0), scale: Float64Array.of(1, 1)};
      const small = {d, m: 1, keys, codes: Float32Array.of(1, -1), answers: Int32Array.of(0, 0),
        up: Float32Array.of(1, 2, 3, 4), buckets: Uint16Array.of(0, 0), thresholds: new Float32Array(0)};
      try { askMaths.edit(small, 1, 1); } catch (error) { return [error.message, [...small.up], [...small.answers]]; }
    })()"""
    assert js(code) == ["the keys of this bucket depend on each other", [1, 2, 3, 4], [0, 0]]


SCHIPHOL = "Amsterdam Airport Schiphol"


@pytest.mark.parametrize(
    "typed, first",
    [
        ("amsterdam", SCHIPHOL),
        ("SCHIPHOL", SCHIPHOL),
        ("schip ams", SCHIPHOL),
        ("heath lond", "London Heathrow Airport"),
    ],
)
def test_names_are_completed_as_typed(js, typed, first):
    rows = js(f"askMaths.search(memory, {json.dumps(typed)})")
    names = js("[...memory.names, ...memory.questions]")
    assert 1 <= len(rows) <= 8 and first in [names[row] for row in rows]
    folded = [js(f"askMaths.fold({json.dumps(names[row])})") for row in rows]
    assert all(any(word.startswith(part) for word in name.split()) for name in folded for part in typed.lower().split())


def test_search_folds_accents_and_finds_nothing_for_nothing(js):
    assert js('askMaths.fold("  São-Tomé (Int’l)  ")') == "sao tome int l"
    assert js('[askMaths.search(memory, ""), askMaths.search(memory, " - "), askMaths.search(memory, "qqzz")]') == [
        [],
        [],
        [],
    ]


def test_what_the_box_says(js):
    found = {"value": 3, "known": True, "margin": 1.17e-5, "bucket": 4, "nearest": 5}
    say = lambda call: js(f"askWords.{call}".replace("FOUND", json.dumps(found)))  # noqa: E731
    names = js("memory.valueNames")
    assert say("answer(memory, FOUND, 3)") == [names[3], "normalised margin 1.2 × 10⁻⁵, bucket 5"]
    assert say("answer(memory, FOUND, 7)")[0] == f"{names[3]} (stored: {names[7]})"
    assert say("answer(memory, {...FOUND, known: false}, 3)")[0] == "I don't know"
    assert [say(f"nearest(memory, FOUND, {right})")[1] for right in (5, 3, "undefined")] == [
        "as stored",
        "not as stored",
        "always answers",
    ]
    assert say("counted(memory, 7007, 2)") == "Asked all 7,007 airports: 7,005 answer as stored, 2 do not."
    done = '{"bucket": 0, "equations": 368, "units": 4}'
    assert say(f'edited(memory, "A", "B", {done}, 12.4, 7007, 0)') == (
        "A → B: bucket 1 solved again, 368 equations, 12 ms; 4 of 38 hidden units changed. "
        "Of the other 7,006 answers, 0 changed."
    )

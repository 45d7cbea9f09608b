"""What is installed, loaded and run by others: locked with hashes, never a pickle, workflows that may do little."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FOLDERS = ("factcore", "factapp", "factbook", "scripts", "benchmarks", "notebooks", "tests")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def test_everything_locked_has_hashes_but_torch():
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) > 100
    for line in lines:
        assert re.match(r"[a-z0-9-]+==[\w.]+ ", line) and re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line[:80]
    assert not [line for line in lines if re.match(r"(torch|nvidia-|cuda-|triton)", line)]
    torch = (ROOT / "requirements.torch").read_text().splitlines()
    assert [line for line in torch if not line.startswith("#")] == ["torch==2.13.0"]
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()


def test_no_pickle_is_loaded():
    """torch.load without weights_only, numpy's pickles, pandas' and the pickle modules themselves."""
    found = []
    for path in SOURCES:
        text = path.read_text()
        for call in re.findall(r"\btorch\.load\((?:[^()]|\([^()]*\))*\)", text):
            found += [] if "weights_only=True" in call else [(path.name, call)]
        banned = r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|\bread_pickle\("
        banned += r"|^\s*(?:import|from) (?:pickle|cloudpickle|dill|joblib)\b"
        if path != Path(__file__):
            found += [(path.name, hit) for hit in re.findall(banned, text, flags=re.M)]
    assert not found


def test_there_are_no_pickles_in_the_repository():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    assert not [name for name in listed.stdout.split() if re.search(r"\.(pkl|pickle|pt|pth|joblib|npy|npz|bin)$", name)]


def test_no_merge_left_its_marks():
    found = subprocess.run(["git", "grep", "-lE", "^(<{7}|>{7}) "], cwd=ROOT, capture_output=True, text=True)
    if found.returncode > 1:
        pytest.skip("not a checkout")
    assert not found.stdout


def test_workflows_have_the_schema_of_github():
    pytest.importorskip("check_jsonschema")
    run = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*run, *WORKFLOWS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("schema, names", [("issue-forms", ["fault", "result"]), ("issue-config", ["config"])])
def test_issue_forms_have_the_schema_of_github(schema, names):
    pytest.importorskip("check_jsonschema")
    forms = [ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml" for name in names]
    run = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}", *forms]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "schema, bad",
    [
        ("workflows", "on: push\njobs: {a: {runs-on: x, steps: [{run: 1, uses: 2}]}}\n"),
        ("issue-forms", "name: a\ndescription: b\nbody: [{type: box}]\n"),
    ],
)
def test_the_schema_check_can_fail(tmp_path, schema, bad):
    pytest.importorskip("check_jsonschema")
    (tmp_path / "bad.yml").write_text(bad)
    run = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}"]
    assert subprocess.run([*run, tmp_path / "bad.yml"], capture_output=True).returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_their_actions_and_may_do_little(path):
    text, workflow = path.read_text(), yaml.safe_load(path.read_text())
    uses = re.findall(r"uses: (\S+)( # v[\d.]+)?", text)
    assert uses and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) and version for name, version in uses)
    assert workflow["permissions"] == {"contents": "read"}
    extra = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert extra == ({"deploy": {"pages": "write", "id-token": "write"}} if path.stem == "book" else {})
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] and not job["runs-on"].endswith("latest")
        checkouts = [step for step in job["steps"] if "actions/checkout" in step.get("uses", "")]
        assert all(step["with"] == {"persist-credentials": False} for step in checkouts)
    assert "${{ github.event" not in text and "secrets." not in text and "pull_request_target" not in text


def test_the_workflows_are_those_promised():
    jobs = {path.stem: path.read_text() for path in WORKFLOWS}
    assert set(jobs) == {"ci", "book", "weekly"}
    check = yaml.safe_load(jobs["ci"])["jobs"]["check"]
    pythons = [step["with"]["python-version"] for step in check["steps"] if "setup-python" in step.get("uses", "")]
    assert check["strategy"]["matrix"] == {"python": ["3.11", "3.13"]} and pythons == ["${{ matrix.python }}"]
    assert ".ci/run" in jobs["ci"] and "make book" in jobs["book"] and "schedule" in jobs["weekly"]


@pytest.mark.parametrize(
    "answer, code, said",
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0, "audited 1 packages"),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]},
            1,
            "a 1: X-1, fixed in 2",
        ),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 0, "audit skipped"),
        (None, 0, "audit skipped: no vulnerability service (no route)"),
    ],
)
def test_the_audit_fails_for_vulnerabilities_alone(monkeypatch, capsys, answer, code, said):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import audit

    done = subprocess.CompletedProcess([], 1, json.dumps(answer) if answer else "", "no route")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(sys, "argv", ["audit.py", "requirements.lock"])
    assert audit.main() == code and said in capsys.readouterr().out

"""The frame around the package: configuration, environments, references, and what the built book asks of a network."""

import argparse
import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BUDGET = runpy.run_path(str(ROOT / "tests" / "conftest.py"))["BUDGET"]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
REFERENCES = ROOT / "tests" / "references"
BOOK = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
ADDRESS = CONFIG["repository"]["url"]
PARAMETERS = {"profile": "laptop", "device": "cpu", "seed": 0}


def toc_pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(page for part in toc["parts"] for page in below(part["chapters"]))]


def below(chapters: list[dict]) -> list[str]:
    """Pages in the order of the book, what stands under a page after it."""
    return [page for one in chapters for page in (one["file"], *below(one.get("sections", [])))]


GIVEN = ("FIG", "PROFILE", "DEVICE", "SEED", "PORT", "PYTHON", "CHROMIUM", "BUDGET")


def make(cwd: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """make as from a fresh shell: without what the make around this test was given."""
    ours = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", *GIVEN)
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(["make", *words], cwd=cwd, capture_output=True, text=True, env=clean | environment)


def script(name: str) -> dict:
    return runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))


def names(paths) -> set[str]:
    return {path.stem for path in paths}


def by_name(path: Path) -> str:
    return path.stem


def read_text_notebook(path: Path):
    return pytest.importorskip("jupytext").read(path)


def assigned(source: str) -> dict[str, object]:
    """The names that a cell of plain assignments sets."""
    scope: dict[str, object] = {}
    exec(source, {}, scope)
    return scope


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


# --- configuration ---------------------------------------------------------------------------------------------


def test_every_page_of_the_toc_exists_and_every_notebook_is_a_page():
    pages = toc_pages()
    assert len(set(pages)) == len(pages)
    for page in pages:
        source = ROOT / (f"{page}.py" if page.startswith("notebooks/") else f"{page}.md")
        assert source.is_file(), f"_toc.yml lists {page}, but there is no {source.name}"
    assert {Path(page).name for page in pages if page.startswith("notebooks/")} == names(SOURCES) != set()


def test_the_navigation_shows_at_most_24_pages_and_questions():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    assert 1 + sum(len(part["chapters"]) for part in parts) <= 24
    captions = [part["caption"] for part in parts]
    assert all(caption.endswith("?") for caption in captions[:-1]) and len(set(captions)) == len(captions)


def test_every_page_is_in_the_list_of_pages_and_the_tour_comes_next():
    text = (ROOT / "book" / "reproducibility.md").read_text()
    assert toc_pages()[1] == "notebooks/facts"
    for page in toc_pages()[1:]:
        name = Path(page).name
        assert name in ("references", "reproducibility") or re.search(rf"\]\([^)]*\b{name}\.(ipynb|md)\)", text), (
            f"no link to {page}"
        )


def test_the_repository_has_one_address():
    mentions = re.compile(r"(?:gh|github\.com|github)/factcore/[\w.-]+")
    expected = "factcore/" + ADDRESS.rsplit("/", 1)[1]
    files = ["README.md", "CITATION.cff", "pyproject.toml", *SOURCES]
    for path in files:
        found = mentions.findall((ROOT / path).read_text())
        assert found, f"{path} does not mention the repository"
        assert all(text.split("/", 1)[1] == expected for text in found), f"{path}: {found}"
    assert ADDRESS == f"https://github.com/{expected}"


def test_versions_agree():
    import factcore

    pyproject = (ROOT / "pyproject.toml").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'version = "{factcore.__version__}"' in pyproject
    assert citation["version"] == factcore.__version__


def locked() -> list[str]:
    """The requirements of both lock files, without their hashes."""
    text = "\n".join((ROOT / name).read_text() for name in ("requirements.lock", "requirements.torch"))
    lines = [line.split("--hash")[0].rstrip(" \\") for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_lock_pins_everything_and_leaves_cuda_to_pip():
    lines = locked()
    assert all(re.match(r"[a-z0-9-]+==[\w.]+( ; .+)?$", line) for line in lines)
    names = {line.split("==")[0] for line in lines}
    wanted = re.findall(r"^[a-z][\w-]*", (ROOT / "requirements.in").read_text(), flags=re.M)
    assert set(wanted) <= names
    assert "torch==2.13.0" in lines
    assert not [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_lock_is_what_is_installed():
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    if not (ROOT / ".venv") == Path(sys.prefix):
        pytest.skip("not running in the environment that make sets up")
    for line in locked():
        if (pin := Requirement(line)).marker and not pin.marker.evaluate():
            continue
        try:
            assert pin.specifier.contains(version(pin.name)), pin
        except PackageNotFoundError:
            pytest.fail(f"{pin} is not installed")


def test_the_wheel_carries_the_data(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("factcore-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for path in [*(ROOT / "data").glob("*.safetensors"), *(ROOT / "data").glob("*.toml")]:
            assert archive.read(f"factcore/data/{path.name}") == path.read_bytes()
        assert "factcore/py.typed" in archive.namelist()
        modules = {name for name in archive.namelist() if name.endswith(".py")}
        (points,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    packages = [path for name in ("factcore", "factapp", "factbook") for path in (ROOT / name).rglob("*.py")]
    assert modules == {str(path.relative_to(ROOT)) for path in packages}
    assert "factcore = factapp.cli:main" in points


def test_the_package_does_not_need_the_book_s():
    for path in (ROOT / "factcore").rglob("*.py"):
        assert "factbook" not in path.read_text(), path.name


def test_mypy_asks_of_factcore_what_strict_asks():
    pytest.importorskip("mypy")
    help_text = subprocess.run([sys.executable, "-m", "mypy", "--help"], capture_output=True, text=True).stdout
    (listed,) = re.findall(r"Strict mode; enables the following flags:(.*?)\n  --", help_text, flags=re.S)
    flags = re.sub(r"-\s+", "-", listed.replace("--", "")).replace("\n", " ")
    wanted = {flag.strip().replace("-", "_") for flag in flags.split(",")}
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    (strict,) = (part for part in mypy["overrides"] if part["module"] == "factcore.*")
    given = {name for name, on in (mypy | strict).items() if on is True}
    given |= {f"no_{name}" for name, on in strict.items() if on is False}
    assert len(wanted) > 8 and wanted <= given | {"warn_unused_configs"}


def test_the_hooks_before_a_commit_are_what_lint_asks():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = re.sub(r"\$\(PY\)", ".venv/bin/python", (ROOT / "Makefile").read_text())
    asked = {hook["id"]: hook["entry"].replace(" --force-exclude", "") for hook in hooks}
    assert set(asked) == {"ruff", "ruff-format", "mypy"} and all(f"\t{entry}" in lint for entry in asked.values())
    for folder in ("factcore", "factapp", "factbook", "tests", "scripts", "benchmarks", "book/_ext", "notebooks"):
        assert re.search(rf"^CODE := .*[ (]{folder}[ )]", lint, flags=re.M) and (ROOT / folder).is_dir()


# --- make --------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A Makefile and one notebook, and a Python that leaves a file when something is to be installed with it."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "notebooks" / "facts.py", tmp_path / "notebooks")
    for name in ("requirements.lock", "requirements.torch", "pyproject.toml"):
        (tmp_path / name).touch()
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\ntouch installs\nexit 1\n")
    python.chmod(0o755)
    return tmp_path


ATTACKS = [
    *("`touch hit`", "$(touch hit)", "$$(touch hit)", "$(shell touch hit)", "$(eval $(shell touch hit))"),
    *("; touch hit", "facts; touch hit", "facts && touch hit", "x]] ; touch hit; [[ x", "facts]] && touch hit #"),
    *('"; touch hit; "', "'; touch hit; '", "a\ntouch hit", "../notebooks/facts", "*", "-n", "%", "$*", "facts\x1b[2J"),
]


@pytest.mark.parametrize("value", ATTACKS)
@pytest.mark.parametrize("name", ["FIG", "PROFILE", "DEVICE", "SEED", "BUDGET"])
def test_what_make_is_given_is_never_a_command(checkout, name, value):
    for target in ("figure", "timings", "references", "paper") + (("new", "test") if name == "FIG" else ()):
        for way in ("argument", "environment"):
            given = {"FIG": "facts", "PYTHON": "./python"} | {name: value}
            words = [f"{key}={text}" for key, text in given.items()] if way == "argument" else []
            done = make(checkout, target, *words, **(given if way == "environment" else {}))
            assert done.returncode == 2 and len(done.stdout.splitlines()) == 1 and "\x1b" not in done.stdout
            assert re.match(f"(make new needs )?{name}(=| is )", done.stdout), done.stdout
    assert {path.name for path in checkout.iterdir()}.isdisjoint({"hit", "installs", ".venv"})
    assert names((checkout / "notebooks").iterdir()) == {"facts"}


@pytest.mark.parametrize("value", ["`touch hit`", "$$(touch hit)", "$(shell touch hit)", "./python; touch hit"])
def test_the_python_that_make_is_given_is_never_a_command(checkout, value):
    done = make(checkout, "figure", "FIG=facts", f"PYTHON={value}")
    assert done.returncode == 2 and not (checkout / "hit").exists()


def test_the_checkout_of_these_tests_would_show_an_installation(checkout):
    assert make(checkout, "figure", "FIG=facts", "PYTHON=./python").returncode == 2 and (checkout / "installs").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "make figure needs FIG=, one of: facts"),
        (["FIG=fact"], "FIG is one of: facts; not fact"),
        (["FIG=facts", "PROFILE=large"], "PROFILE is smoke, laptop or paper, not large"),
        (["FIG=facts", "DEVICE=gpu"], "DEVICE is cpu, cuda or cuda:N, not gpu"),
        (["FIG=facts", "DEVICE=cuda:x"], "DEVICE is cpu, cuda or cuda:N, not cuda:x"),
        (["FIG=facts", "BUDGET=25"], "BUDGET is a time such as 90s, 25m or 2h, not 25"),
        (["FIG=facts", "BUDGET=0m"], "BUDGET is a time such as 90s, 25m or 2h, not 0m"),
        (["FIG=facts", "SEED=-1"], "SEED is a number, 0 or larger, not -1"),
        (["FIG=facts", "DEVICE=cuda"], "DEVICE=cuda: this machine shows no GPU"),
        (["FIG=facts", "DEVICE=cuda:1"], "DEVICE=cuda:1: this machine shows no GPU"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_anything_is_installed(checkout, words, said):
    nodes = [Path("/dev") / name for name in ("nvidiactl", "nvgpu", "nvmap", "dxg", "kfd")]
    if "shows no GPU" in said and any(node.exists() for node in nodes):
        pytest.skip("there is a GPU")
    done = make(checkout, "figure", "PYTHON=./python", *words)
    assert done.returncode == 2 and done.stdout == said + "\n"
    assert not (checkout / "installs").exists() and not (checkout / ".venv").exists()


def test_make_test_executes_each_smoke_notebook_once():
    done = make(ROOT, "-n", "-o", ".venv/.installed", "test")
    assert done.returncode == 0 and "smoke" not in done.stdout and done.stdout.count("--nbval ") == 1
    done = make(ROOT, "-n", "-o", ".venv/.installed", "test", "FIG=facts")
    assert done.stdout.count("tests/references/$FIG.ipynb") == 1 and "run_notebook" not in done.stdout


def test_the_smoke_notebooks_keep_their_budget():
    """Each was timed alone, with one thread; `make test` runs two at a time."""
    table = pd.read_csv(ROOT / "results" / "laptop" / "notebooks.csv")
    smoke = table[table.profile == "smoke"]
    assert set(smoke.notebook) == names(SOURCES) and set(smoke.device) == {"cpu x1"}
    assert smoke.seconds.sum() <= BUDGET


TINY = """
# %%
import sys
import factcore
from matplotlib import pyplot as plt
from factbook import store
print(sys.executable, factcore.__file__, sep="\\n")
table = store.resume(store.results_file("tiny", profile), [{"k": k} for k in range(3)], lambda k: {"square": k * k})
plt.plot(table.k, table.square)
plt.show()
"""


@pytest.mark.slow
def test_a_figure_is_built_in_a_folder_of_any_name(tmp_path):
    """The whole way but the download: install, kernel, figure, table; the packages are those of this environment."""
    pytest.importorskip("papermill")
    root = tmp_path / "here" / "a b (c) & d'ö"
    for name in ("factcore", "factapp", "factbook", "scripts", "data"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE", "requirements.lock", "requirements.torch"):
        shutil.copy(ROOT / name, root)
    for name in ("notebooks", "results"):
        (root / name).mkdir()
    shutil.copy(ROOT / "notebooks" / "facts.py", root / "notebooks")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (packages,) = root.glob(".venv/lib/python*/site-packages")
    (packages / "present.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    (root / ".venv" / ".locked").touch()

    assert make(root, "new", "FIG=tiny").returncode == 0
    with open(root / "notebooks" / "tiny.py", "a") as notebook:
        notebook.write(TINY)
    done = make(root, "figure", "FIG=tiny", FACTCORE_RESULTS="my results", PYTHONPATH="")
    assert done.returncode == 0, done.stdout + done.stderr

    text = (root / "build" / "laptop" / "tiny.ipynb").read_text()
    printed = "".join(json.loads(text)["cells"][-1]["outputs"][0]["text"]).splitlines()
    assert printed == [str(root / ".venv" / "bin" / "python"), str(root / "factcore" / "__init__.py")]
    assert (root / "build" / "laptop" / "tiny-1.png").stat().st_size > 1000
    assert len(pd.read_csv(root / "my results" / "laptop" / "tiny.csv")) == 3
    assert (root / ".venv" / "cache" / "ipython" / "profile_default" / "ipython_kernel_config.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == [root.name], "nothing is written beside it"
    assert {path.name for path in (root / "notebooks").iterdir()} == {"facts.py", "tiny.py"}


# --- notebooks and their references ----------------------------------------------------------------------------


def first_cells(path: Path) -> tuple[str, str]:
    return path.read_text().split("# %%", 1)[0], read_text_notebook(path).cells[1].source


def test_all_notebooks_share_one_set_up_cell_and_header():
    usual, _ = Counter(map(first_cells, SOURCES)).most_common(1)[0]
    assert not [path.name for path in SOURCES if first_cells(path) != usual], "take the first cells of `make new`"


def test_all_notebooks_are_python():
    """jupytext takes prose without its # for a part of the page: the page looks right, and no tool reads the file."""
    for source in SOURCES:
        ast.parse(source.read_text(), source.name)


def test_make_new_begins_a_notebook_and_keeps_one_that_exists(tmp_path):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "notebooks" / "facts.py", tmp_path / "notebooks")
    made = tmp_path / "notebooks" / "made_up.py"
    for name, code in [("made_up", 0), ("made_up", 2), ("facts", 2), ("Made-up", 2), ("", 2)]:
        done = make(tmp_path, "new", f"FIG={name}")
        assert done.returncode == code, done.stderr
        assert code == 0 or "make new needs FIG=" in done.stdout
    assert first_cells(made) == first_cells(SOURCES[0])
    title, _, parameters = read_text_notebook(made).cells
    assert title.source.startswith("# Title") and assigned(parameters.source) == PARAMETERS
    assert {path.name for path in made.parent.iterdir()} == {"facts.py", "made_up.py"}


def test_the_set_up_cell_is_the_one_that_share_cells_writes():
    wanted = script("share_cells")["set_up_cell"]()
    assert {first_cells(path)[1] for path in SOURCES} == {wanted}, "python scripts/share_cells.py"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'"v{version}"' in wanted and '"--branch", version' in wanted


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a clone", "a package of that name", "the package"])
def test_the_set_up_cell_looks_for_the_package_itself(tmp_path, kind):
    where = tmp_path / "factcore"
    if kind == "a clone":
        shutil.copytree(ROOT / "factcore", where / "factcore", ignore=shutil.ignore_patterns("__pycache__"))
    elif kind != "nothing":
        where.mkdir()
    if kind == "a package of that name":
        (where / "__init__.py").touch()
    path = ["", str(ROOT)] if kind == "the package" else [""]
    code = (
        f"import subprocess, sys\nsys.path[:0] = {path!r}\nsubprocess.run = lambda words, check: print(words[-1])\n"
        f"{first_cells(SOURCES[0])[1]}\nprint(sys.path[0])"
    )
    done = subprocess.run([sys.executable, "-ISc", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    fetched = str(tmp_path / "factcore-checkout")
    assert done.stdout.split("\n") == ["", ""] if kind == "the package" else [fetched] * 3 + [""], done.stderr


@pytest.mark.parametrize(
    "old, new, follows",
    [
        ("x = 1", "x = (1)  # one", True),
        ("f(a,\n  b)", "f(a, b)", True),
        ("x = 1", "x = 2", False),
        ("# NBVAL_IGNORE_OUTPUT\nx = 1", "x = 1", False),
        ("import importlib.util\n1", "import importlib.util\n2", True),
    ],
)
def test_references_take_what_cannot_change_an_output(old, new, follows):
    v4, shared = pytest.importorskip("nbformat").v4, script("share_cells")
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("new words"), v4.new_code_cell(new)])
    injected = v4.new_code_cell("seed = 0", metadata={"tags": ["injected-parameters"]})
    reference = v4.new_notebook(cells=[v4.new_markdown_cell("words"), injected, v4.new_code_cell(old)])
    assert shared["follow"](reference, notebook) == ([] if follows else [1])
    assert [cell.source for cell in reference.cells] == ["new words", "seed = 0", new if follows else old]


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_a_notebook_begins_with_title_set_up_and_has_the_parameters(path):
    notebook = read_text_notebook(path)
    title, set_up = notebook.cells[:2]
    assert title.cell_type == "markdown" and title.source.startswith("# ")
    assert set_up.metadata.tags == ["remove-cell"] and f'"{ADDRESS}"' in set_up.source
    (parameters,) = tagged(notebook, "parameters")
    assert assigned(parameters.source) == PARAMETERS


HIDDEN = {"hide-input", "remove-input", "hide-cell", "remove-cell", "parameters"}


def shown_at_once(path: Path) -> int:
    """Lines of the longest code cell that a page shows unfolded, marks to nbval and empty lines aside."""
    cells = [cell for cell in read_text_notebook(path).cells if cell.cell_type == "code"]
    seen = [cell.source.splitlines() for cell in cells if not HIDDEN & set(cell.metadata.get("tags", []))]
    return max(sum(bool(line.strip()) and not line.startswith("# NBVAL_") for line in lines) for lines in [[], *seen])


def test_a_page_shows_at_most_15_lines_of_code_at_once():
    long = {path.stem: lines for path in SOURCES if (lines := shown_at_once(path)) > 15}
    assert not long, f"fold what does not show the idea: {long}"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_the_reference_has_the_cells_of_its_notebook(path):
    import nbformat

    reference = nbformat.read(REFERENCES / f"{path.stem}.ipynb", as_version=4)
    (injected,) = tagged(reference, "injected-parameters")
    assert assigned(injected.source) == PARAMETERS | {"profile": "smoke"}
    cells = [(cell.cell_type, cell.source) for cell in reference.cells if cell is not injected]
    source = [(cell.cell_type, cell.source) for cell in read_text_notebook(path).cells]
    assert cells == source, f"tests/references/{path.stem}.ipynb is stale: make references"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_the_reference_was_executed_and_has_something_to_compare(path):
    import nbformat

    reference = nbformat.read(REFERENCES / f"{path.stem}.ipynb", as_version=4)
    code = [cell for cell in reference.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)  # nbval passes cells that were never executed
    pictures = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    compared = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in code
        for output in cell.outputs
        if not cell.source.startswith("# NBVAL_IGNORE_OUTPUT") and "image/png" not in output.get("data", {})
    )
    assert len(re.findall(r"\d", compared)) >= max(1, pictures), "show the numbers behind a figure: nbval compares them"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_the_reference_is_portable(path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("papermill")
    script("run_notebook")["check_portable"](nbformat.read(REFERENCES / f"{path.stem}.ipynb", as_version=4))


def test_colab_opens_the_notebooks_as_they_stand_at_the_profile_of_the_book():
    colab = script("share_cells")["for_colab"]
    assert names((ROOT / "colab").iterdir()) == names(SOURCES)
    for path in SOURCES:
        text = (ROOT / "colab" / f"{path.stem}.ipynb").read_text()
        assert text == colab(path), f"colab/{path.stem}.ipynb is stale: python scripts/share_cells.py"
        cells = json.loads(text)["cells"]
        (parameters,) = (cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        assert assigned("".join(parameters["source"])) == PARAMETERS
        assert not any(cell.get("outputs") for cell in cells)


def test_there_are_no_references_without_a_notebook():
    assert names(REFERENCES.glob("*.ipynb")) == names(SOURCES)


@pytest.fixture
def other_kernel(tmp_path) -> Path:
    """A folder for JUPYTER_PATH whose kernel python3 is another program."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = ["sh", "-c", f"touch '{tmp_path}/other'"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Other", "language": "python"}))
    return tmp_path / "jupyter"


def test_the_kernel_is_this_python_whatever_is_installed(tmp_path, other_kernel):
    pytest.importorskip("papermill")
    header = first_cells(SOURCES[0])[0]
    (tmp_path / "made_up.py").write_text(f'{header}# %% tags=["parameters"]\nprofile = device = seed = None\n{KERNEL}')
    run = [sys.executable, ROOT / "scripts" / "run_notebook.py", "made_up.py", "out/made_up.ipynb"]
    environment = os.environ | {"JUPYTER_PATH": str(other_kernel), "FACTCORE_RESULTS": "my results"}
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    printed = "".join(json.loads((tmp_path / "out" / "made_up.ipynb").read_text())["cells"][-1]["outputs"][0]["text"])
    assert printed.splitlines() == [sys.executable, str(tmp_path / "my results")] and not (tmp_path / "other").exists()


KERNEL = "# %%\nimport os, sys\nprint(sys.executable, os.environ['FACTCORE_RESULTS'], sep='\\n')\n"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--device", "gpu"], "--device is cpu, cuda or cuda:N, not 'gpu'"),
        (["--device", "cuda:99"], r"--device cuda:99: torch \S+ sees \d CUDA devices here"),
        (["--measure", "made_up.py/table.csv"], "cannot write made_up.py/table.csv: .*"),
    ],
)
def test_what_would_stop_a_notebook_is_told_before_it_runs(tmp_path, words, said):
    pytest.importorskip("papermill")
    (tmp_path / "made_up.py").write_text("# %%\nopen('ran', 'w')\n")
    run = [sys.executable, ROOT / "scripts" / "run_notebook.py", "made_up.py", "out.ipynb", *words]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch(f"run_notebook.py: {said}\n", done.stderr), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"made_up.py"}


def test_a_folder_that_cannot_be_written_is_told_before_the_notebook_runs(tmp_path):
    pytest.importorskip("papermill")
    check = script("run_notebook")["check"]
    (tmp_path / "file").touch()
    source = SOURCES[0]
    with pytest.raises(ValueError, match="cannot write .*/file/sub/out.ipynb: "):
        check(
            argparse.Namespace(source=source, out=tmp_path / "file" / "sub" / "out.ipynb", measure=None, device="cpu")
        )
    with pytest.raises(ValueError, match="no notebook at none.py"):
        check(argparse.Namespace(source=Path("none.py"), out=tmp_path / "out.ipynb", measure=None, device="cpu"))


@pytest.mark.parametrize("old, new, passes", [("42", "42", True), ("42", "43", False)])
def test_nbval_fails_when_an_output_differs(tmp_path, other_kernel, old, new, passes):
    import nbformat

    pytest.importorskip("nbval")
    cell = nbformat.v4.new_code_cell("print(6 * 7, 'in 0.3 s')", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{old} in 1.25 s\n".replace(old, new))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "reference.ipynb")
    nbval = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", ROOT / "tests/sanitize.cfg"]
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *nbval, "reference.ipynb"]
    environment = os.environ | {"JUPYTER_PATH": str(other_kernel)}  # nbval's kernel is this Python all the same
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == (0 if passes else 1) and not (tmp_path / "other").exists(), done.stdout
    assert ("1 passed" if passes else "1 failed") in done.stdout


def test_texts_printed_in_a_row_are_one_output():
    v4 = pytest.importorskip("nbformat").v4
    pytest.importorskip("papermill")
    joined = script("run_notebook")["joined"]
    texts = [("stdout", "a"), ("stdout", "\n"), ("stderr", "b"), ("stdout", "c")]
    outputs = [v4.new_output("stream", name=name, text=text) for name, text in texts]
    picture = v4.new_output("display_data", {"text/plain": "picture"})
    got = joined([*outputs, picture, v4.new_output("stream", name="stdout", text="d")])
    assert [output.get("text") for output in got] == ["a\n", "b", "c", None, "d"]


# --- Binder ----------------------------------------------------------------------------------------------------


def test_every_conda_line_of_the_binder_environment_parses():
    rattler = pytest.importorskip("rattler")
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    specs = {spec.name.normalized: spec for spec in map(rattler.MatchSpec, lines)}
    assert str(specs["pytorch"].build) == "cpu*"
    project = re.search(r"^dependencies = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), flags=re.M).group(1)
    needed = set(re.findall(r'"([a-z]+)', project)) - {"torch"} | {"pytorch", "jupytext", "jupyterlab"}
    assert needed <= set(specs)
    assert {"pip": ["-e ."]} in environment["dependencies"]


def test_repo2docker_accepts_the_repository(tmp_path):
    pytest.importorskip("repo2docker")
    for name in ("environment.yml", "postBuild", "start"):
        shutil.copy(ROOT / name, tmp_path / name)
    run = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for used in ("postBuild", 'R2D_ENTRYPOINT="${REPO_DIR}/start"'):
        assert used in done.stdout + done.stderr


def test_binder_starts_with_one_thread_unless_told_otherwise():
    ask = ["sh", "-c", "echo $OMP_NUM_THREADS $OMP_WAIT_POLICY"]
    for given, want in (({}, "1 PASSIVE"), ({"OMP_NUM_THREADS": "4"}, "4 PASSIVE")):
        environment = {"PATH": "/usr/bin:/bin"} | given
        started = subprocess.run([ROOT / "start", *ask], env=environment, capture_output=True, text=True, check=True)
        assert started.stdout.strip() == want


def test_binder_gets_the_notebooks_that_the_launch_links_open(tmp_path):
    pytest.importorskip("jupytext")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("*.ipynb"))
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["bash", ROOT / "postBuild"], cwd=tmp_path, check=True, capture_output=True, env={"PATH": path})
    assert names((tmp_path / "notebooks").glob("*.ipynb")) == names(SOURCES)


# --- the built book --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page loads to be shown, its links, its pictures, and whether it holds maths."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str]] = []
        text = path.read_text()
        self.maths = 'class="math' in text
        self.feed(text)

    def handle_starttag(self, tag, pairs):
        attributes = {name: value or "" for name, value in pairs}
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and "src" in attributes:
            self.loads.append(attributes["src"])
        if tag == "link" and attributes.get("rel") not in ("canonical", "next", "prev", "index", "search"):
            self.loads.append(attributes["href"])
        if tag == "img":
            self.pictures.append(attributes)
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    if not (BOOK / "book" / "intro.html").is_file():
        pytest.skip("the book is not built")
    return {name: Page(BOOK / f"{name}.html") for name in toc_pages()}


def test_no_page_loads_anything_from_the_network(pages):
    for name, page in pages.items():
        assert page.loads, name
        for address in page.loads:
            assert not re.match(r"(https?:)?//", address), f"{name} loads {address}"
            local = BOOK / Path(name).parent / address.split("?")[0].split("#")[0]
            assert address.startswith("data:") or local.is_file(), f"{name}: {address} is not in the built book"


def test_no_style_sheet_loads_anything_from_the_network():
    sheets = list(BOOK.rglob("*.css"))
    if not sheets:
        pytest.skip("the book is not built")
    for sheet in sheets:
        outside = re.findall(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')]+)""", sheet.read_text())
        assert not outside, f"{sheet.name} loads {outside}"


def test_pages_with_maths_use_the_book_s_own_mathjax(pages):
    assert pages["book/intro"].maths
    for name, page in pages.items():
        loaded = [address for address in page.loads if "mathjax" in address]
        assert not page.maths or loaded == ["../_static/mathjax/tex-mml-chtml.js"], name
    fonts = BOOK / "_static/mathjax/output/chtml/fonts/woff-v2"
    assert (fonts / "MathJax_Main-Regular.woff").stat().st_size > 10_000


def test_launch_buttons_open_files_that_exist(pages):
    organisation = ADDRESS.split("github.com/")[1]
    for source in SOURCES:
        links = pages[f"notebooks/{source.stem}"].links
        binder = f"https://mybinder.org/v2/gh/{organisation}/main?urlpath=lab/tree/notebooks/{source.stem}.ipynb"
        path = f"colab/{source.stem}.ipynb"
        colab = f"https://colab.research.google.com/github/{organisation}/blob/main/{path}"
        assert {link for link in links if "mybinder" in link} == {binder}
        assert {link for link in links if "colab" in link} == {colab}
        assert (ROOT / path).is_file()


def test_every_figure_has_an_alternative_text(pages):
    for name, page in pages.items():
        for picture in page.pictures:
            text = picture.get("alt", "")
            assert text and "_images/" not in text and not text.endswith(".png"), f"{name}: {picture.get('src')}"


def test_set_up_and_injected_parameters_are_not_shown():
    for source in SOURCES:
        path = BOOK / "notebooks" / f"{source.stem}.html"
        if not path.is_file():
            pytest.skip("the book is not built")
        text = re.sub(r"<[^>]+>", "", path.read_text())
        text = text.replace("&quot;", '"')
        assert "find_spec" not in text and text.count('profile = "laptop"') == 1

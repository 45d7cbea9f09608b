"""The introduction's findings: every number is put in from a table, and what the sentences say of it holds."""

import re
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

from factbook import store
from factbook.claims.editing import editing_by_swap

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
findings = pytest.importorskip("findings")
BOOK = ROOT / "_build" / "html"


@pytest.fixture(scope="module")
def numbers() -> dict[str, float]:
    found = findings.numbers()
    named = {"editor": found.pop("editor")}
    assert named["editor"] in ("ROME", "MEMIT", "AlphaEdit")
    return {name: float(text.replace(",", "").rstrip("%")) for name, text in found.items()}


def test_the_introduction_types_no_number_and_uses_every_one(numbers):
    text = (ROOT / "book" / "intro.md").read_text()
    part = re.search(r"## Five findings\n(.*?)\n## ", text, flags=re.S)[1]
    assert set(re.findall(r"{{ (\w+) }}", part)) == set(numbers) | {"editor"}
    typed = re.sub(r"{{.*?}}|^\d\. ", "", part, flags=re.M)
    assert not re.search(r"\d", typed)


def test_the_introduction_counts_the_verdicts():
    companion, claims = pytest.importorskip("companion"), (ROOT / "book" / "claims.md").read_text()
    line = companion.fill("% generated: verdicts")
    assert line.startswith("Of ") and companion.fill(claims).count(line.split(".")[0]) == 1
    assert "% generated: verdicts" in (ROOT / "book" / "intro.md").read_text()


def test_what_the_findings_say_holds(numbers):
    assert numbers["block_times"] < 2 < 10 < numbers["paper_times"]  # "come near training"
    assert min(numbers["one_share"], numbers["several_share"]) > 100  # "more than the best published training"
    assert numbers["tight_recall"] < 50 and numbers["tight_solved"] == numbers["block_recall"] == 100
    crowded, roomy = numbers["swap_score"] / numbers["editor_score"], numbers["roomy_swap"] / numbers["roomy_score"]
    assert numbers["crowd"] == 32 and crowded > 2 and crowded > 1.5 * roomy  # "a matter of crowding"
    assert editing_by_swap(store.committed).verdict == "undecided"  # "the paper's claim … stays undecided"


def test_numbers_are_those_of_the_tables(tmp_path):
    rows = [("trained", 100), ("block-convex", 150), ("paper-codes", 2000)]
    table = pd.DataFrame([{"rung": r, "d": 8, "n_facts": 10, "n_params": n} for r, n in rows])
    small = pd.DataFrame([{"rung": "trained", "d": 8, "n_facts": 5, "n_params": 1}])
    other = pd.DataFrame([{"rung": "trained", "d": 16, "n_facts": 10, "n_params": 1}])
    assert findings.cost(pd.concat([table, small, other])) == {
        "cost_n": "10",
        "cost_d": "8",
        "block_cost": "15.0",
        "block_times": "1.5",
        "paper_times": "20",
    }
    fewest = [{"rung": "one", "d": 16, "seed": s, "n_facts": n, "recall": 1.0} for s, n in ((0, 568), (1, 284))]
    lost = [{"rung": "one", "d": 16, "seed": 1, "n_facts": 1000, "recall": 0.9}]
    found = findings.pairs(pd.DataFrame(fewest + lost))
    assert found == {"one_d": "16", "one_share": "50%"}
    scores = [("swap", 0.9), ("swap", 0.8), ("rome", 0.2), ("memit", 0.4), ("finetune", 0.7)]
    ours = {"construction": "block-convex"}
    edits = [
        {"method": m, "score": s * by, "per_unit": crowd, "values_of": "permuted", "told": "one"} | ours
        for crowd, by in ((32, 1), (8, 0.6))
        for m, s in scores
    ]
    others = [edits[0] | {"score": 0.0, "told": "all"}, edits[0] | {"score": 0.0, "construction": "trained"}]
    assert findings.edits(pd.DataFrame([*edits, *others])) == {
        "crowd": "32",
        "room": "8",
        "swap_score": "0.85",
        "roomy_swap": "0.51",
        "editor": "MEMIT",
        "editor_score": "0.40",
        "roomy_score": "0.24",
    }


@pytest.fixture(scope="module")
def readme() -> dict:
    return runpy.run_path(str(ROOT / "scripts" / "readme.py"))


def test_the_readme_says_three_of_them_with_the_same_numbers(readme):
    text = (ROOT / "README.md").read_text()
    wanted = readme["parts"]()
    for part in ("findings", "figures"):
        assert readme["shown"](text, part) == wanted[part], "README.md is stale: python scripts/readme.py"
    assert wanted["findings"].count("\n- ") == 2 and "notebooks/challenge.py" in wanted["findings"]
    assert text.index(readme["MARKS"]["findings"][1]) < 4000  # the first screen
    assert all((ROOT / link).is_file() for link in re.findall(r"\]\(((?!http)[^)#]+)\)", text))


def test_the_readme_takes_what_the_introduction_says(readme):
    numbers, words = (
        {"a": "7", "b": "8%"},
        "## Five findings\n\n1. **One.** {{ a }}\n   [p](../notebooks/x.ipynb)\n2. Two.\n",
    )
    whole = f"{words}3. Three {{{{ b }}}}.\n4. Four.\n5. Five.\n\n## Next\n6. no\n"
    assert readme["findings"](whole, numbers) == "- **One.** 7 [p](notebooks/x.py)\n- Three 8%.\n- Five.\n"
    with pytest.raises(ValueError, match=r"no findings \[3, 5\]"):
        readme["findings"](f"{words}## Next\n", numbers)
    with pytest.raises(ValueError, match="needs the lines"):
        readme["shown"]("no marks", "findings")


def test_the_readme_has_the_map_of_figures_with_commands_that_are_there(readme):
    """Every figure of the book's page, none twice; a command runs the page beside it; it is folded."""
    lines = readme["parts"]()["figures"].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| ***")][2:]
    book = re.findall(r"^\| (?!Figure)(.+?) \| ", (ROOT / "book" / "figures.md").read_text(), flags=re.M)
    assert [figure for figure, *_ in rows] == book and len(set(book)) == len(book) > 20
    assert len(lines) == 2 + len(rows) + 2  # heads, and a line for either paper
    makefile, titles = (ROOT / "Makefile").read_text(), readme["titles"]()
    for _, page, command in rows:
        if page == "not here":
            assert command == "–"
            continue
        title, name = re.match(r"\[(.+?)\]\(notebooks/(\w+)\.py\)", page).groups()
        assert title == titles[name] and command == f"`make figure FIG={name}`"
    assert re.search(r"^figure: .*##.*FIG=", makefile, flags=re.M)
    text = (ROOT / "README.md").read_text()
    folded = (
        text.index("<details>"),
        text.index("<!-- figures"),
        text.index("<!-- end of figures"),
        text.index("</details>"),
    )
    assert folded == tuple(sorted(folded)) and text.index("## Where things are") < folded[0] < text.index("## Cite")


def test_the_built_introduction_shows_them():
    page = BOOK / "book" / "intro.html"
    if not page.is_file():
        pytest.skip("the book is not built")
    text = re.sub(r"<[^>]+>", "", page.read_text())
    assert "{{" not in text
    for name, number in findings.numbers().items():
        assert number in text, name

"""What the book adds to its pages at build time: figure files, thumbnails, run boxes, API, data of the comparison."""

import ast
import base64
import inspect
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jupytext
import pandas as pd
import pytest
import torch

import factcore.transformer
from factbook import editing
from factcore.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
nbformat = pytest.importorskip("nbformat")
pages = pytest.importorskip("figure_pages")
openers = pytest.importorskip("openers")
api_pages = pytest.importorskip("api_pages")
scaling = pytest.importorskip("scaling")
tables = pytest.importorskip("tables")


def picture(width=900, height=600) -> str:
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(target, "png")
    return base64.b64encode(target.getvalue()).decode()


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A title, a cell that reads tables, and a cell with two figures; files go to a temporary folder."""
    monkeypatch.setattr(pages, "FIGURES", tmp_path / "figures")
    data = {
        "image/png": picture(),
        "image/svg+xml": "<svg>1</svg>",
        "application/pdf": base64.b64encode(b"%PDF").decode(),
    }
    outputs = [nbformat.v4.new_output("display_data", data=dict(data)) for _ in range(2)]
    plot = nbformat.v4.new_code_cell("plt.show()", outputs=outputs, metadata={"mystnb": {"image": {"alt": "a curve"}}})
    code = 'store.results_file("capacity", profile)\nstored(\n    "solves", "paper")\nresults_file("no_such", profile)'
    cells = [
        nbformat.v4.new_markdown_cell("# Title\n\nText."),
        nbformat.v4.new_code_cell(f"# NBVAL_IGNORE_OUTPUT\n{code}"),
        plot,
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_figures_of_notebooks_open_alone():
    companion = pytest.importorskip("companion")
    picture = '<img alt="a &gt; b" src="../_images/x.svg" />'
    for name, expected in [("notebooks/x", f'<a href="../_images/x.svg">{picture}</a>'), ("book/intro", picture)]:
        context = {"body": f"<p>{picture}</p>"}
        companion.link_figures(None, name, "page.html", context, None)
        assert context["body"] == f"<p>{expected}</p>"


def test_what_unfolds_pages_has_a_name():
    companion = pytest.importorskip("companion")
    context = {"generate_toctree_html": lambda kind, depth=1: f"<ul>{kind}{depth}<summary><i></i></summary></ul>"}
    companion.name_toggles(None, "notebooks/x", "page.html", context, None)
    made = context["generate_toctree_html"]("sidebar", depth=2)
    assert made == '<ul>sidebar2<summary aria-label="Pages under this one"><i></i></summary></ul>'


@pytest.mark.parametrize("builder, late", [("html", True), ("singlehtml", False)])
def test_figures_of_a_page_are_loaded_late(builder, late):
    companion, app = pytest.importorskip("companion"), SimpleNamespace(builder=SimpleNamespace(name=builder))
    context = {"body": '<img alt="a" src="../_images/x.svg" /><img src="../_static/y.png">'}
    companion.load_figures_late(app, "notebooks/x", "page.html", context, None)
    mark = 'loading="lazy" ' if late else ""
    assert context["body"] == f'<img {mark}alt="a" src="../_images/x.svg" /><img src="../_static/y.png">'


def test_figures_are_numbered_with_their_files(notebook):
    first, second = pages.figures_of(notebook, "made-up")
    assert (first.number, second.number, first.cell, first.alt) == (1, 2, 2, "a curve")
    assert first.data["svg"] == b"<svg>1</svg>" and first.data["pdf"] == b"%PDF" and first.data["png"][:4] == b"\x89PNG"


def test_a_dressed_page_has_run_box_anchors_and_files(notebook, tmp_path):
    source = pages.dress(nbformat.writes(notebook), "made-up", "https://github.com/who/what", "main")
    text = [cell.source for cell in nbformat.reads(source, as_version=4).cells]
    assert [words.split("\n")[0][:12] for words in text] == [
        "# Title",
        ":::{admoniti",
        "store.result",
        "```{raw} htm",
        "plt.show()",
        "{.figure-fil",
    ]
    assert "https://mybinder.org/v2/gh/who/what/main?urlpath=lab/tree/notebooks/made-up.ipynb" in text[1]
    assert "`make figure FIG=made-up`" in text[1]
    assert re.findall(r"<\.\./results/(\w+/\w+\.csv)>", text[1])[:2] == ["laptop/capacity.csv", "laptop/solves.csv"]
    assert "no_such" not in text[1]
    assert 'id="figure-1"' in text[3] and 'id="figure-2"' in text[3]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"made-up-{n}.{kind}" for n in (1, 2) for kind in pages.TYPES
    }
    shown = nbformat.reads(source, as_version=4).cells[4].outputs
    assert [list(output.data) for output in shown] == [["image/svg+xml"]] * 2


def test_times_are_measured_or_summed_or_missing(notebook, tmp_path):
    (tmp_path / "laptop").mkdir()
    (tmp_path / "laptop" / "notebooks.csv").write_text(
        "notebook,profile,seconds,device\nmade-up,smoke,25.8,cpu x1\nother,laptop,1,cpu\n"
    )
    (tmp_path / "laptop" / "capacity.csv").write_text("n,seconds,cpu_s\n1,100,90\n2,210,\n")
    (tmp_path / "laptop" / "solves.csv").write_text("n,seconds\n1,7000\n")  # another page's table
    words = pages.times(notebook, "made-up", tmp_path)
    assert words == "smoke 26 s (CPU cores: 1), laptop 5 min of one core (2 stored runs in all)"
    (tmp_path / "laptop" / "notebooks.csv").unlink()
    (tmp_path / "laptop" / "editing.csv").write_text("n,seconds\n1,7300\n")  # named by book/parts/scales.md
    assert (
        pages.times(nbformat.v4.new_notebook(), "editing", tmp_path) == "laptop 2 h of one core (1 stored runs in all)"
    )
    assert pages.times(nbformat.v4.new_notebook(), "unknown", tmp_path) == "not measured"


@pytest.mark.parametrize(
    "seconds, words", [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7000, "117 min"), (7300, "2 h")]
)
def test_durations(seconds, words):
    assert pages.duration(seconds) == words


def test_thumbnails_are_small(notebook, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "THUMBNAILS", tmp_path / "build")
    lines = pages.thumbnail(next(pages.figures_of(notebook, "made-up"))).splitlines()
    with Image.open(tmp_path / "build" / "made-up-1.png") as small:
        assert small.size == (480, 320)
    assert lines[1:3] == [":alt: a curve", ":target: ../notebooks/made-up.html#figure-1"]


# --- parts -------------------------------------------------------------------------------------------------------


def test_every_question_opens_the_first_page_of_its_part():
    parts = [part for part in openers.parts() if part["caption"].endswith("?")]
    assert [part["caption"] for part in parts] == list(openers.paragraphs())
    for part in parts:
        first, *others = openers.pages(part["chapters"])
        text = openers.opened(first, "# Title\n\nText.")
        assert re.match(r"# Title\n\n:::\{admonition\} " + re.escape(part["caption"]), text) and text.endswith(
            "\nText."
        )
        assert openers.opened(first, "## A section") == "## A section"
        assert all(openers.opened(other, "# Title") == "# Title" for other in others)
        for link in re.findall(r"\]\((\w+)\.ipynb\)", text):
            assert first.startswith("notebooks/") and (ROOT / "notebooks" / f"{link}.py").is_file()
        assert not re.search(r"\d", openers.paragraphs()[part["caption"]])  # numbers are for pages, which have tables


# --- references ------------------------------------------------------------------------------------------------------


def test_references_are_in_one_style():
    """What, who, where, when and an address; preprints name their number."""
    entries = re.findall(r"^@(\w+){(\w+),\n(.*?)^}", (ROOT / "book" / "references.bib").read_text(), flags=re.M | re.S)
    assert len(entries) > 10 and len({name for _, name, _ in entries}) == len(entries)
    for kind, name, body in entries:
        fields = dict(re.findall(r"^  (\w+) += {(.*)},?$", body, flags=re.M))
        assert fields["year"] in name
        where = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}[kind]
        order = [field for field in fields if field not in ("volume", "number", "pages")]
        assert order == ["title", "author", where, "year", "url"], name
        number = re.search(r"arxiv\.org/abs/(\S+)", fields["url"])
        assert kind != "article" or not number or fields["journal"] == f"arXiv preprint arXiv:{number[1]}", name


# --- API ---------------------------------------------------------------------------------------------------------


def test_every_room_of_the_api_is_a_page():
    toc = (ROOT / "_toc.yml").read_text()
    for room in api_pages.ROOMS:
        assert (ROOT / "book" / f"{room}.md").read_text().endswith(f"\n% generated: {room}\n")
        assert f"- file: book/{room}\n" in toc and f"({room}.md)" in (ROOT / "book" / "api.md").read_text()


def test_every_public_name_and_module_is_in_the_api():
    for room, package in {
        "api_facts": factcore,
        "api_transformer": factcore.transformer,
        "api_editing": editing,
    }.items():
        text = f"\n{api_pages.ROOMS[room]()}"
        names = [name for name in package.__all__ if callable(getattr(package, name))]
        assert names and not [name for name in names if f"\n## {name}\n" not in text]
    text = api_pages.ROOMS["api_modules"]()
    names = re.findall(r"<code [^>]*>(.*?)</code>", text)
    assert names and not [name for name in names if re.search(r"(?<!\\)_", name)]  # Markdown would read it
    text = text.replace("<wbr>", "").replace("\\_", "_")  # where a narrow page may break a name
    for package in ("factcore", "factapp", "factbook"):
        part = text.split(f"## {package}\n")[1].split("\n## ")[0]
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            assert module == package or f">{module.removeprefix(package + '.')}</code> |" in part


def test_every_method_has_its_signature_and_docstring_in_the_api():
    text = f"\n{api_pages.ROOMS['api_methods']()}"
    for name, method in METHODS.items():
        part = text.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
        options = [p for p in inspect.signature(method.build).parameters.values() if p.kind is p.KEYWORD_ONLY]
        code = re.search(r"```python\n(.*?)\n```", part, flags=re.S)[1]
        call = ast.parse(code, mode="eval").body
        assert ast.unparse(call.func) == "fc.construct" and ast.literal_eval(call.args[1]) == name
        assert [given.arg for given in call.keywords][2:] == [option.name for option in options]
        assert all(f"`{option.name}`" in part for option in options)
        assert part.count("\n") > 8  # with what it computes, not the call alone


@pytest.mark.parametrize(
    "annotation, words",
    [
        (int | None, "int | None"),
        (dict[str, float], "dict[str, float]"),
        (torch.Tensor | None, "Tensor | None"),
        (Callable[[torch.Tensor], torch.Tensor], "Callable[[Tensor], Tensor]"),
        (torch.dtype, "torch.dtype"),
        ("Path", "Path"),
        (None, "None"),
    ],
)
def test_types_are_spelled_as_in_the_code(annotation, words):
    assert api_pages.type_name(annotation) == words


def test_signatures_are_python():
    text = "\n".join(room() for room in api_pages.ROOMS.values())
    for code in re.findall(r"```python\n(.*?)\n```", text, flags=re.S):
        ast.parse(code if code.startswith("fc.") else f"def {code}: ..." if "->" in code or "(" in code else code)


def test_docstrings_keep_their_meaning():
    assert api_pages.plain("`a_b` and ``c`` of v_i*2 <= |x|") == r"`a_b` and `c` of v\_i\*2 \<= \|x\|"
    assert api_pages.plain("the keys' values, 'relu' or None") == "the keys' values, `'relu'` or None"


def test_options_are_listed_and_other_words_kept():
    said = "Cuts keys. width: units,\nNone for enough. seed: of the draw."
    listed = "Cuts keys.\n\n- `width`: units, None for enough.\n- `seed`: of the draw."
    assert api_pages.laid(said, "width|seed") == listed
    assert api_pages.laid(f"{said} ValueError for less.", "width|seed") == f"{listed}\n\nValueError for less."
    assert api_pages.laid(said, "gate") == api_pages.plain(said)
    assert api_pages.laid("- width: a list already", "width") == "```text\n- width: a list already\n```"


# --- tables ------------------------------------------------------------------------------------------------------


def test_tables_have_one_row_of_heads_real_minuses_and_words_to_the_left():
    frame = pd.DataFrame({"cost": ["-0.28", "5e-06"], "how": ["re-solved", "4"]}, index=pd.Index([1, 2], name="n"))
    page = tables.tidy(frame.to_html())
    assert page.count("<tr") == 3 and "<th>n</th>" in page
    assert "<td>−0.28</td>" in page and "<td>5 × 10⁻⁶</td>" in page and "re-solved" in page
    assert page.count('class="words"') == 3  # the column with a word in it, and its head
    alike = tables.tidy(pd.DataFrame({"num": ["–", "1"], "word": ["–", "none"]}).to_html())
    assert '<th class="words">word</th>' in alike and "<th>num</th>" in alike
    two = pd.DataFrame({"cost": [1]}, index=pd.MultiIndex.from_tuples([("a", "b")], names=["kind", "way"]))
    assert tables.tidy(two.to_html()).count("<tr") == 2 and "<th>way</th>" in tables.tidy(two.to_html())
    deep = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["a"], ["b", "c"]]))
    assert tables.tidy(deep.to_html()).count("<tr") == 3  # two rows of heads that both say something
    assert tables.tidy("<b>no table</b>") == "<b>no table</b>"


@pytest.mark.parametrize("text", ["re-solved", "2-5", "1.5-3", "data-dependent", "a -b", "e-5", "2026-11-27"])
def test_hyphens_that_are_no_minus_stay(text):
    assert tables.typeset(text) == text


# --- comparison --------------------------------------------------------------------------------------------------


def test_the_comparison_holds_the_table():
    from factbook.store import read_table

    table = read_table(ROOT / "results" / "laptop" / "capacity.csv")
    shown = scaling.panels()[0]
    rows = table[table.d == int(re.search(r"d = (\d+)", shown["title"])[1])]
    assert {method["key"] for method in shown["methods"]} == set(rows.dropna(subset="n_params").rung)
    for method in shown["methods"]:
        for n, low, middle, high, runs in method["points"]:
            counts = rows[(rows.rung == method["key"]) & (rows.n_facts == n)].n_params.dropna()
            assert (low, middle, high, runs) == (counts.min(), counts.median(), counts.max(), len(counts))


@pytest.fixture(scope="module")
def js():
    racer = pytest.importorskip("py_mini_racer")
    with racer.MiniRacer() as engine:
        engine.eval((ROOT / "book" / "_static" / "scaling.js").read_text())
        engine.eval(f"const panels = {json.dumps(scaling.panels())}; const all = panels[0].methods.map((m) => m.key);")
        yield lambda code: json.loads(engine.eval(f"JSON.stringify({code})"))


@pytest.mark.parametrize("measure", ["parameters", "parameters per fact", "times trained"])
@pytest.mark.parametrize("width, height", [(300, 320), (760, 456)])
def test_every_mark_stands_where_its_number_does(js, measure, width, height):
    drawn = js(f"scalingPictures.draw(panels[0], {json.dumps(measure)}, new Set(all), {width}, {height})")
    at = drawn["at"]
    assert len(at) == sum(len(method["points"]) for method in scaling.panels()[0]["methods"])
    for mark in at:
        x, y = mark["place"]
        assert 84 <= x <= width - 14 and 12 <= y <= height - 48
        assert mark["point"]["low"] <= mark["point"]["middle"] <= mark["point"]["high"]
    order = sorted(at, key=lambda mark: mark["point"]["middle"])
    heights = [mark["place"][1] for mark in order]
    assert heights == sorted(heights, reverse=True)
    for mark in at:
        value = {"parameters": 1, "parameters per fact": mark["point"]["n"]}.get(measure)
        assert value is None or mark["point"]["middle"] == pytest.approx(mark["point"]["count"] / value)


def test_words_on_a_mark_are_the_table_s(js):
    for method in scaling.panels()[0]["methods"]:
        (n, _, middle, *_), key = method["points"][-1], json.dumps(method["key"])
        code = f"scalingPictures.curves(panels[0], 'times trained', new Set([{key}]))[0]"
        words = js(f"((c) => scalingPictures.words(panels[0], {{method: c.method, point: c.points.at(-1)}}))({code})")
        assert words.startswith(f"{method['label']}: n = {n:,}, {middle:,.0f} parameters (")


def test_every_marker_of_the_book_is_drawn(js):
    from factbook.figures import MARKERS

    markers = set(MARKERS.values()) - {""}  # of a line without markers
    drawn = {js(f"scalingPictures.marker({json.dumps(marker)}, '#000000', 8, 8, 6)") for marker in markers}
    assert len(drawn) == len(markers) and all(path.count("L") >= 2 for path in drawn)


# --- the built book ----------------------------------------------------------------------------------------------


def test_every_figure_of_the_book_can_be_downloaded_and_is_in_the_gallery():
    if not (BOOK / "book" / "gallery.html").is_file():
        pytest.skip("the book is not built")
    gallery = (BOOK / "book" / "gallery.html").read_text()
    for name in pages.notebooks():
        executed = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        text = (BOOK / "notebooks" / f"{name}.html").read_text()
        assert "Run this page" in text and f"make figure FIG={name}" in re.sub("<[^>]+>", "", text)
        for figure in pages.figures_of(executed, name):
            assert set(figure.data) == set(pages.TYPES), figure.stem
            assert f'../notebooks/{name}.html#figure-{figure.number}"' in gallery
            assert f'id="figure-{figure.number}"' in text
            for kind, data in figure.data.items():
                (link,) = re.findall(rf'href="(\.\./_downloads/\w+/{figure.stem}\.{kind})"', text)
                assert (BOOK / "notebooks" / link).read_bytes() == data


def test_tables_are_found_in_the_modules_that_a_page_imports():
    code = nbformat.v4.new_code_cell(
        "from factbook import figures, ladder\ntable = ladder.table(profile, seed, device)"
    )
    notebook = nbformat.v4.new_notebook(cells=[code])
    assert pages.tables_named(notebook, "results_file")[:2] == ["capacity", "ntk_gates"]
    code.source = "from factbook import figures"
    assert pages.tables_named(notebook, "results_file") == []
    code.source = "from factbook.editing import tables as those, words\ntable = those.edits(profile)\n"
    code.source += 'prose.findings(words.time, "editing_time", "editing_sequential")'
    read = [path.stem for path in pages.tables_of(notebook)]
    assert read == ["editing", "editing_time", "editing_sequential"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_code_that_readers_see_fits_its_column(path):
    """At 1,280 px a line of code has room for 92 characters; a cell that is shown is read at one look."""
    hidden = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
    code = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    cells = [cell for cell in code if not hidden & set(cell.metadata.get("tags", []))]
    assert cells and max(len(line) for cell in cells for line in cell.source.splitlines()) <= 92
    assert max(len(cell.source.splitlines()) for cell in cells) <= 15

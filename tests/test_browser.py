"""The built book in a browser: accessible, readable on a phone, searchable, and its figures answer.

Needs Chromium (on Debian and Ubuntu: apt install chromium), or the path of one in FACTCORE_CHROMIUM.
"""

import functools
import io
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "_build" / "html"
CHROMIUM = os.environ.get("FACTCORE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
LEVEL, AXE = ("serious", "critical"), "axe_playwright_python"


def toc_pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(page for part in toc["parts"] for page in below(part["chapters"]))]


def below(chapters: list[dict]) -> list[str]:
    """Pages in the order of the book, what stands under a page after it."""
    return [page for one in chapters for page in (one["file"], *below(one.get("sections", [])))]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium: apt install chromium, or name one in FACTCORE_CHROMIUM")
    if not (BOOK / "book" / "intro.html").is_file():
        pytest.skip("the book is not built: make book")
    with api.sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as chromium:
            yield chromium


@pytest.fixture
def visit(browser):
    """Opens a page of the book from the disk, as a reader without a server does."""
    contexts = []

    def open_page(name, *, width=1200, theme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{(BOOK / name.split('?')[0]).with_suffix('.html').as_uri()}{''.join(name.partition('?')[1:])}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def axe() -> str:
    package = find_spec(AXE)
    if package is None:
        pytest.skip("axe-playwright-python, which carries axe, is not installed")
    return (Path(package.origin).parent / "axe.min.js").read_text()


# What is cut off: elements of the article that reach beyond the screen and that no box of their own scrolls.
BEYOND = """[...document.querySelectorAll('article *')].filter((element) => {
  let scrolls = element.parentElement;
  while (scrolls && !['auto', 'scroll', 'hidden'].includes(getComputedStyle(scrolls).overflowX))
    scrolls = scrolls.parentElement;
  return !(scrolls && scrolls.closest('article')) && element.getBoundingClientRect().right > 361;
}).map((element) => element.outerHTML.slice(0, 120))"""
# Outputs that are wider than their box: whether that scrolls, and what it holds.
OVERFLOWS = """[...document.querySelectorAll('.cell_output .output')].flatMap((output) =>
  [output, ...output.querySelectorAll('*')].filter((element) => element.clientWidth
    && element.scrollWidth > element.clientWidth + 1 && !element.closest('svg')).map((element) =>
    [output.classList.contains('text_html') && ['auto', 'scroll'].includes(getComputedStyle(output).overflowX),
     `${element.scrollWidth} of ${element.clientWidth} px: ${element.textContent.trim().slice(0, 60)}`]))"""
# Lines of 92 characters, as tests/book/test_pages.py asks of notebooks, fit; folded code may scroll.
LONG_CODE = """[...document.querySelectorAll('.cell_input pre')].filter((pre) => !pre.closest('details')
  && pre.scrollWidth > pre.clientWidth + 1).map((pre) => pre.textContent.slice(0, 80))"""


def violations(page, only="") -> list[str]:
    found = page.evaluate(f"axe.run({{resultTypes: ['violations']{only}}})")["violations"]
    grave = [(item, node) for item in found if item["impact"] in LEVEL for node in item["nodes"]]
    return [f"{item['id']} ({item['impact']}): {node['html'][:200]}" for item, node in grave]


@pytest.fixture(scope="module")
def seen(browser):
    """What one look at a page on a desk and one on a phone find, each page opened once for all tests."""

    def look(name, width):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="light")
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page, errors, loaded = context.new_page(), [], []
        page.on("requestfinished", lambda request: loaded.append(request.url))
        page.goto((BOOK / name).with_suffix(".html").as_uri(), wait_until="networkidle")
        found = {"loaded": set(loaded), "outputs": page.evaluate(OVERFLOWS)}
        if width == 360:
            found |= {"wide": page.evaluate("document.scrollingElement.scrollWidth"), "beyond": page.evaluate(BEYOND)}
        else:
            found["code"] = page.evaluate(LONG_CODE)
        if width != 360 and find_spec(AXE):
            page.add_style_tag(content="* { transition: none !important; }")  # no colour is caught on its way
            page.evaluate(axe())
            found["light"] = violations(page)
            page.emulate_media(color_scheme="dark")  # the page follows, and the theme changes colours alone
            page.wait_for_selector("html[data-theme='dark']", state="attached")
            found["dark"] = violations(page, ", runOnly: ['color-contrast']")
        context.close()
        return found | {"errors": errors}

    return functools.cache(lambda name: {width: look(name, width) for width in (1280, 360)})


@pytest.mark.parametrize("name", toc_pages())
def test_axe_finds_nothing_serious(seen, name):
    axe()  # skips where there is none
    for theme in ("light", "dark"):
        grave = seen(name)[1280][theme]
        assert not grave, f"{name}, {theme}:\n" + "\n".join(grave)


@pytest.mark.parametrize("name", toc_pages())
def test_nothing_is_cut_off_on_a_phone(seen, name):
    found = seen(name)[360]
    assert found["wide"] <= 360, f"{name} is {found['wide']} px wide"
    assert not found["beyond"], "\n".join(found["beyond"])


@pytest.mark.parametrize("name", [name for name in toc_pages() if name.startswith("notebooks/")])
def test_no_output_is_wider_than_its_page(seen, name):
    """At 1,280 px every output fits; at 360 px a table may scroll in its own box, and nothing else is too wide."""
    for width, found in seen(name).items():
        cut = [words for scrolls, words in found["outputs"] if not (scrolls and width == 360)]
        assert not cut, f"{name} at {width} px:\n" + "\n".join(cut)


@pytest.mark.parametrize("name", [name for name in toc_pages() if name.startswith("notebooks/")])
def test_code_that_is_shown_fits_its_column(seen, name):
    assert not seen(name)[1280]["code"], "\n".join(seen(name)[1280]["code"])


@pytest.mark.parametrize("name", toc_pages())
def test_pages_raise_no_script_errors(seen, name):
    for width, found in seen(name).items():
        assert not found["errors"], f"at {width} px: {found['errors']}"


@pytest.mark.parametrize("name", toc_pages())
def test_a_first_view_loads_at_most_a_megabyte(seen, name):
    """The page with all that it loads at once; MathJax and the fonts of the icons, the same on all pages, aside."""
    own = {Path(url2pathname(urlparse(url).path)) for url in seen(name)[1280]["loaded"] if url.startswith("file:")}
    size = sum(path.stat().st_size for path in own if not {"vendor", "mathjax"} & set(path.parts))
    assert 10_000 < size <= 1_000_000, sorted((path.stat().st_size, path.name) for path in own)[-5:]


def test_search_works_from_the_disk(visit):
    page = visit("search?q=separator")
    for name in ("glossary", "notebooks/decoder"):  # the list grows hit by hit: each is waited for
        page.wait_for_selector(f"#search-results li a[href*='{name}']", state="attached")


# --- the box "Ask it here" ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width, theme", [(1200, "light"), (360, "dark")])
def test_the_box_answers_and_a_fact_is_changed_by_keyboard_alone(visit, width, theme):
    page = visit("notebooks/facts", width=width, theme=theme)
    assert not page.locator("script[src*='ask_data']").count()  # a page's first view does not load the memory
    box = page.get_by_role("combobox", name="Airport or question")
    box.focus()
    page.keyboard.type("amsterdam sch")
    assert page.get_by_role("option").first.text_content() == "Amsterdam Airport Schiphol"
    assert box.get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert page.locator(f"#{box.get_attribute('aria-activedescendant')}").get_attribute("aria-selected") == "true"
    page.keyboard.press("Enter")
    assert box.get_attribute("aria-expanded") == "false"
    answer = page.locator("[data-at='answer']")
    assert answer.text_content() == "Netherlands" and "margin" in page.locator("[data-at='margin']").text_content()
    page.locator("[data-at='state']").get_by_text("7,007 answer as stored, 0 do not").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("Jap")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert answer.text_content() == "Japan"
    page.get_by_role("status").get_by_text("Of the other 7,006 answers, 0 changed").wait_for()
    page.evaluate(axe())
    found = page.evaluate("axe.run('.ask', {resultTypes: ['violations']})")["violations"]
    assert not [item["id"] for item in found if item["impact"] in LEVEL]
    page.get_by_role("button", name="Take it back").click()
    assert answer.text_content() == "Netherlands"
    page.get_by_role("status").get_by_text("Taken back. Asked all 7,007 airports: 7,007 answer as stored").wait_for()


@pytest.mark.parametrize("typed, why", [("where is schiphol", "no stored key"), ("Atlantis Spaceport", "cannot embed")])
def test_what_is_not_stored_is_not_known(visit, typed, why):
    page = visit("notebooks/facts")
    page.get_by_role("combobox", name="Airport or question").fill(typed)
    page.wait_for_function("document.querySelector('.ask select').options.length > 1")
    page.keyboard.press("Enter")
    assert page.locator("[data-at='answer']").text_content() == "I don't know"
    assert why in page.locator("[data-at='margin']").text_content()
    assert not page.get_by_role("button", name="Change the fact").is_visible()


# --- the methods to switch on and off ------------------------------------------------------------------------------


def test_methods_are_switched_off_and_marks_are_read(visit):
    page = visit("notebooks/capacity")
    lines = page.locator("[data-scaling] .picture polyline")
    methods = page.locator("[data-method]").count()
    assert methods >= 8 and lines.count() == methods + 1  # and the floor
    page.locator("[data-method='ntk']").uncheck()
    assert lines.count() == methods
    page.get_by_role("button", name="The paper's three").click()
    assert lines.count() == 4
    page.get_by_label("Shown").select_option(label="times trained")
    tip = page.locator("[data-part='tip']")
    assert not tip.is_visible()
    mark = page.locator("[data-scaling] .picture path").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert re.search(r"n = \d+, [\d,]+ parameters", tip.text_content())


@pytest.mark.parametrize("name, file", [("capacity", "headline.png"), ("decoder", "explore.svg")])
def test_without_scripts_the_still_picture_is_there(visit, name, file):
    page = visit(f"notebooks/{name}", java_script_enabled=False)
    picture = page.locator(f"img[src$='{file}']")
    assert picture.is_visible() and picture.get_attribute("alt")


def test_the_built_book_is_small():
    if not (BOOK / "book" / "intro.html").is_file():
        pytest.skip("the book is not built: make book")
    assert sum(path.stat().st_size for path in BOOK.rglob("*") if path.is_file()) <= 25_000_000


def test_dark_pages_have_dark_figures(visit):
    """The ground of a figure in either theme, as it is on the screen: a corner pixel."""
    for theme, low, high in (("light", 240, 255), ("dark", 0, 60)):
        figure = visit("notebooks/capacity", theme=theme).locator(".cell_output img").first
        figure.scroll_into_view_if_needed()
        corner = Image.open(io.BytesIO(figure.screenshot())).convert("L").getpixel((12, 12))
        assert low <= corner <= high, (theme, corner)

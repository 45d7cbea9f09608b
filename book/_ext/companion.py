"""What this book adds to Sphinx: offline maths, generated pages, dressed notebooks, Colab links that git has."""

from __future__ import annotations

import re
import shutil
from functools import cache
from importlib.metadata import files
from pathlib import Path

import api_pages
import ask_pages
import claim_pages
import effort
import figure_pages
import findings
import openers
import scales
import scaling

PARTS = Path(__file__).resolve().parents[1] / "parts"
claims = cache(claim_pages.markdown)  # judged once for two pages
# a line "% generated: NAME" in a page of book/, and "<!-- generated: NAME -->" in a notebook, where it is not seen
# elsewhere either, is replaced by what NAME returns, in MyST
GENERATED = api_pages.ROOMS | {
    "ask": ask_pages.markdown,
    "explore": lambda: (PARTS / "explore.md").read_text(),
    "claims": claims,
    "effort": effort.markdown,
    "gallery": figure_pages.gallery,
    "hero": lambda: hero(),
    "scaling": scaling.markdown,
    "timings": figure_pages.timings,
    "verdicts": lambda: f"{claims().partition(chr(10))[0]} [Each with its rule and numbers](claims.md)",
}


def complete(app, docname: str, source: list[str]) -> None:
    """Fill in the generated part of a page; dress an executed notebook."""
    if docname.startswith("notebooks/"):
        theme = app.config.html_theme_options
        where = (theme["repository_url"], theme["repository_branch"])
        source[0] = figure_pages.dress(source[0], Path(docname).name, *where, fill=lambda text: page(docname, text))
    else:
        source[0] = page(docname, source[0])


def page(document: str, text: str) -> str:
    """A page's text, opened by the question of its part, with the note on its scale and its generated parts."""
    return fill(openers.opened(document, scales.noted(document, text)))


def fill(text: str) -> str:
    """The text with its generated parts."""
    pattern = r"^(?:% generated: (\w+)|<!-- generated: (\w+) -->)$"
    return re.sub(pattern, lambda found: GENERATED[found[1] or found[2]](), text, flags=re.M)


def hero() -> str:
    return f"```{{raw}} html\n{(PARTS / 'hero.html').read_text()}```"


def take_numbers(app, config) -> None:
    """{{ name }} in a page is a number out of the tables."""
    config.myst_substitutions = findings.numbers()


def write_memory(app, exception) -> None:
    """Write what the box "Ask it here" loads."""
    if exception is None and app.builder.format == "html":
        ask_pages.write(Path(app.outdir, "_static"))


def copy_mathjax(app, exception) -> None:
    """Copy MathJax's loader, TeX extensions and fonts (about 2 of 24 MB) out of the installed package."""
    if exception is not None or app.builder.format != "html":
        return
    wanted = re.compile(r"static/mathjax/(tex-mml-chtml\.js|input/tex/extensions/.*\.js|output/.*\.woff)$")
    for file in files("sphinx-mathjax-offline") or []:
        if wanted.search(str(file)):
            target = Path(app.outdir, "_static/mathjax", str(file).split("static/mathjax/")[1])
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), target)


def trim_icons(app, exception) -> None:
    """Empty the theme's script of icons, 1.5 MB on every page: its style sheet and fonts draw the same ones."""
    if exception is None:
        for script in Path(app.outdir, "_static/vendor/fontawesome").glob("*/js/all.min.js"):
            script.write_text("/* icons: css/all.min.css */\n")


def load_figures_late(app, pagename, templatename, context, doctree) -> None:
    """Figures far below are loaded when the reader comes near; not in one file, which is printed at once."""
    if app.builder.name == "html" and "body" in context:
        context["body"] = re.sub(r'<img (?=[^>]*src="[^"]*_images/)', '<img loading="lazy" ', context["body"])


def mend_colab_links(app, pagename, templatename, context, doctree) -> None:
    """Point Colab at colab/NAME.ipynb: it opens only committed .ipynb files, notebooks/ holds .py."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                button["url"] = button["url"].replace(f"/{pagename}.", f"/colab/{Path(pagename).name}.")


def drop_thebe(app, pagename, templatename, context, doctree) -> None:
    """Leave out Thebe: the book does not use it, it names an outside address, and it is declared twice, an error."""
    kept = [file for file in context["script_files"] if "thebe" not in f"{file}{file.attributes.get('body')}".lower()]
    context["script_files"] = kept


def name_toggles(app, pagename, templatename, context, doctree) -> None:
    """What unfolds the pages under a page has no name in the theme: screen readers would read nothing."""
    if made := context.get("generate_toctree_html"):
        context["generate_toctree_html"] = lambda *words, **options: named(made(*words, **options))


def named(tree) -> str:
    return str(tree).replace("<summary>", '<summary aria-label="Pages under this one">')


def mend_citation_list(app, pagename, templatename, context, doctree) -> None:
    """docutils calls a bibliography a list, but its entries are no list items: screen readers stumble."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def link_figures(app, pagename, templatename, context, doctree) -> None:
    """Make each figure of a notebook a link to itself alone: two panels are small on a phone."""
    if pagename.startswith("notebooks/") and "body" in context:
        context["body"] = re.sub(r'<img [^>]*src="([^"]+\.svg)"[^>]*>', r'<a href="\1">\g<0></a>', context["body"])


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", take_numbers)
    app.connect("source-read", complete)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_memory)
    app.connect("build-finished", trim_icons)
    app.connect("html-page-context", mend_colab_links, priority=900)  # after the theme has made its buttons
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", name_toggles, priority=900)
    app.connect("html-page-context", mend_citation_list, priority=900)
    app.connect("html-page-context", link_figures)
    app.connect("html-page-context", load_figures_late)
    app.add_css_file("book.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}

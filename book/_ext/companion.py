"""What this book adds to Sphinx: maths that renders offline, and Colab links to notebooks that git has."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import files
from pathlib import Path


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


def mend_colab_links(app, pagename, templatename, context, doctree) -> None:
    """Point Colab at tests/references/NAME.ipynb: it opens only committed .ipynb files, notebooks/ holds .py."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                button["url"] = button["url"].replace(f"/{pagename}.", f"/tests/references/{Path(pagename).name}.")


def setup(app) -> dict[str, bool]:
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", mend_colab_links, priority=900)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}

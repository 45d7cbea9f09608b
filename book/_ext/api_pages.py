"""The API's pages, one a room: signatures and docstrings of the public names, as they stand in the code."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import ForwardRef

import factapp
import factbook
import factcore
import factcore.transformer
from factbook import editing, origins
from factcore.methods import METHODS

PACKAGES = (factcore, factapp, factbook)
WIDE = 88  # characters of a call on one line


def facts() -> str:
    """What `import factcore` exports: functions first, then classes, by name."""
    exported = [getattr(factcore, name) for name in factcore.__all__]
    exported.sort(key=lambda thing: (not inspect.isfunction(thing), thing.__name__.lower()))
    return "\n".join(line for thing in exported for line in entry(thing, thing.__name__))


def methods() -> str:
    """Each method of `construct` with its call and docstring, and the table of how its weights come about."""
    lines = []
    for name, method in METHODS.items():
        lines += [f"## `{name}`", "", f"```python\n{call(name, method.build)}\n```", "", docstring(method.build), ""]
    lines += ["(weights-come-about)=", "## How the weights come about", ""]
    lines += [first_line(origins), "", origins.markdown(), ""]
    return "\n".join(lines)


def package(of: ModuleType) -> str:
    """What a package exports, in its own order."""
    exported = ((name, getattr(of, name)) for name in of.__all__)
    lines = [line for name, thing in exported if callable(thing) for line in entry(thing, name)]
    return "\n".join([first_line(of), "", *lines])


def every_module() -> str:
    """One line on each module of the three packages."""
    lines: list[str] = []
    for of in PACKAGES:
        lines += [f"## {of.__name__}", "", first_line(of), ""]
        lines += ["| Module | What it holds |", "|---|---|", *map(row, modules(of)), ""]
    return "\n".join(lines)


# What stands after "% generated: " on a page of the API, one page a room.
ROOMS: dict[str, Callable[[], str]] = {
    "api_facts": facts,
    "api_methods": methods,
    "api_transformer": lambda: package(factcore.transformer),
    "api_editing": lambda: package(editing),
    "api_modules": every_module,
}


def modules(of: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(of.__path__, f"{of.__name__}."):
        yield importlib.import_module(found.name)


def row(module: ModuleType) -> str:
    """The name, which may be broken after a dot or a dash where the page is narrow, and the line."""
    name = re.sub(r"(?<=[._])(?=[a-z])", "<wbr>", module.__name__.partition(".")[2])
    name = name.replace("_", "\\_")  # between tags of its own Markdown would set __main__ in bold
    return f'| <code class="docutils literal notranslate">{name}</code> | {first_line(module)} |'


def call(method: str, build: Callable) -> str:
    """How a user calls a method: "fc.construct(facts, "ntk", width=..., seed=..., gate='identity')"."""
    _, *options = inspect.signature(build).parameters.values()
    shown = ["..." if option.default is option.empty else repr(option.default) for option in options]
    given = [f"{option.name}={value}" for option, value in zip(options, shown)]
    return fitted("fc.construct", ["facts", f'"{method}"', *given])


def first_line(thing) -> str:
    return plain((inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " "))


def entry(thing, name: str, level: int = 2) -> list[str]:
    """Heading, signature and docstring; for a class its public methods, too."""
    lines = [f"{'#' * level} {name}", "", f"```python\n{signature(thing, name)}\n```", "", docstring(thing), ""]
    lines += [*fields(thing), ""] if inspect.isclass(thing) else []
    for key, member in vars(thing).items() if inspect.isclass(thing) else ():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if key.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        if isinstance(member, property):
            lines += [f"**`{thing.__name__}.{key}`** (property)", ""]
        else:
            lines += [f"**`{thing.__name__}.{key}`**", "", f"```python\n{signature(function, key)}\n```", ""]
        lines += [docstring(function), ""]
    return lines


def signature(thing, name: str) -> str:
    """The call, on one line where it fits, otherwise one parameter a line."""
    found = inspect.signature(thing)
    parts, starred = [], False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        starred |= parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        parts.append(spelled(parameter))
    result = found.return_annotation
    arrow = "" if result is found.empty or inspect.isclass(thing) else f" -> {type_name(result)}"
    return fitted(name, parts, arrow)


def fitted(name: str, parts: list[str], arrow: str = "") -> str:
    """A call on one line where it fits, otherwise one part a line."""
    line = f"{name}({', '.join(parts)}){arrow}"
    return line if len(line) <= WIDE else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){arrow}"


def spelled(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    known = parameter.annotation is not parameter.empty
    text = stars + parameter.name + (f": {type_name(parameter.annotation)}" if known else "")
    if parameter.default is not parameter.empty:
        text += f" = {parameter.default!r}" if known else f"={parameter.default!r}"
    return text


def type_name(annotation) -> str:
    """The annotation as it is written in the code: classes without their modules."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text).replace("NoneType", "None")


def fields(of: type) -> list[str]:
    """What the code says beside each field of a class: "- `lower`: (v,) float64, …"."""
    found = re.findall(r"^    (\w+): [^#\n]+  # (.+)$", inspect.getsource(of), flags=re.MULTILINE)
    return [f"- `{name}`: {plain(words)}" for name, words in found]


def docstring(thing) -> str:
    """Paragraphs as text, options as a list, other indented blocks and lists as they are spaced."""
    blocks = re.split(r"\n\s*\n", inspect.getdoc(thing) or "")
    names = "|".join(inspect.signature(thing).parameters) if callable(thing) else ""
    return "\n\n".join(laid(block, names) for block in blocks)


def laid(block: str, names: str) -> str:
    """A paragraph as Markdown; one that explains ``names`` of options, "encoder: …", becomes a list of them."""
    after = r"(?<=\. )(?=ValueError|A network too|It stores|The same seed)"  # where words on the last option end
    text, *rest = re.split(after, " ".join(block.split()), maxsplit=1)
    said = re.split(rf"(?:^|(?<=[.;] ))(?:``)?({names})(?:: |`` is )", text) if names else [block]
    if len(said) > 1 and not block.startswith("- "):
        first, *options = said
        items = [f"- `{name}`: {plain(words.strip())}" for name, words in zip(options[::2], options[1::2])]
        parts = [plain(first.strip()), "\n".join(items), *map(plain, rest)]
        return "\n\n".join(part for part in parts if part)
    return f"```text\n{block}\n```" if laid_out(block) else plain(block)


def laid_out(block: str) -> bool:
    """Whether the line breaks of a block mean something: it has indented lines or is a list."""
    return any(line.startswith(("  ", "- ")) for line in block.splitlines())


def plain(text: str) -> str:
    """Text of a docstring as Markdown: `names`, ``code`` and 'options' become code, the rest is not marked up."""
    text = re.sub(r"(?<![\w`'])'([\w-]+)'(?![\w`'])", r"`'\1'`", text)
    pieces = re.split(r"(``?[^`]+``?)", text)
    escape = re.compile(r"([\\*_<>\[\]#$~^|{}])")
    return "".join(p.replace("``", "`") if p.startswith("`") else escape.sub(r"\\\1", p) for p in pieces)

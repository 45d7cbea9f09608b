"""Arrows between modules run one way, none runs in a circle, and no module hides behind a function of its name."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Floors of the house, from the ground up: a module may import from its own floor and from those below.
FLOORS = [
    ["factcore.support"],
    ["factcore.facts", "factcore.mlp"],
    ["factcore.scoring", "factcore.geometry", "factcore.data"],
    ["factcore.constructions"],
    ["factcore.methods"],
    ["factcore.build"],
    ["factcore.search"],
    ["factcore"],  # hands on what is below
    ["factapp", "factbook"],
]
# The transformer stands beside the methods: on few rooms, and nothing of the core stands on it.
BESIDE = {
    "factcore.transformer": [
        "factcore.transformer",
        "factcore.constructions.convex",
        "factcore.scoring",
        "factcore.facts",
        "factcore.mlp",
        "factcore.support",
    ]
}
PACKAGES = ("factcore", "factapp", "factbook")


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(place + ".")


def modules(root: Path) -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """For every module the modules of the packages that it imports, anywhere in its text."""
    known = modules(root)
    arrows: dict[str, set[str]] = {}
    for name, path in known.items():
        met: set[str] = set()
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                met |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                # `from package import module` is an arrow to the module, `from module import name` to the module
                met |= {f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names}
        arrows[name] = {m for m in met if m.split(".")[0] in PACKAGES} - {name}
    return arrows


def floor(module: str) -> int:
    """The floor whose name fits best; the root of a package is that alone."""
    fits = [(len(place), level) for level, places in enumerate(FLOORS) for place in places
            if module == place or (place != "factcore" and within(module, place))]  # fmt: skip
    assert fits, f"{module} stands on no floor: give it one here"
    return max(fits)[1]


def wrong_arrows(root: Path) -> list[str]:
    """Imports that go up, or out of a room that stands beside."""
    wrong = []
    for module, met in imports(root).items():
        room = next((room for room in BESIDE if within(module, room)), None)
        for other in sorted(met):
            if room:
                allowed = any(within(other, place) for place in BESIDE[room])
            elif any(within(other, place) for place in BESIDE):
                allowed = module.split(".")[0] != "factcore"
            else:
                own = module.split(".")[0] == other.split(".")[0]
                allowed = floor(other) < floor(module) or (own and floor(other) == floor(module))
            if not allowed:
                wrong.append(f"{module} imports {other}")
    return wrong


def circle(root: Path) -> list[str]:
    """Modules that import each other in turn, empty where there is no such circle."""
    try:
        TopologicalSorter(imports(root)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def shadowed(root: Path) -> list[str]:
    """Modules of a package's folder whose name the package also hands on: importing them gives a function."""
    known, found = modules(root), []
    for package, path in known.items():
        if path.name != "__init__.py":
            continue
        handed_on: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                bound = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                handed_on |= {name for name, origin in bound.items() if origin not in known}
            elif isinstance(node, ast.Assign | ast.AugAssign) and "__all__" in ast.dump(node):
                handed_on |= set(ast.literal_eval(node.value))
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                handed_on.add(node.name)
        found += [f"{package}.{name}" for name in sorted(handed_on) if f"{package}.{name}" in known]
    return found


def test_arrows_run_one_way():
    assert len(imports(ROOT)) > 50 and wrong_arrows(ROOT) == []


def test_nothing_imports_itself_in_a_circle():
    assert circle(ROOT) == []


def test_no_module_shares_its_name_with_a_function_beside_it():
    assert shadowed(ROOT) == []


SMALL = {
    "factcore/__init__.py": "from factcore.build import construct\n__all__ = ['construct']",
    "factcore/support/__init__.py": "",
    "factcore/support/streams.py": "import torch",
    "factcore/facts.py": "from factcore.support.streams import stream",
    "factcore/scoring.py": "from factcore.facts import FactSet",
    "factcore/constructions/__init__.py": "",
    "factcore/constructions/convex.py": "from factcore.support import streams",
    "factcore/constructions/one_hot.py": "from factcore import facts",
    "factcore/methods.py": "from factcore.constructions.one_hot import one_hot",
    "factcore/build.py": "from factcore.methods import METHODS",
    "factcore/transformer/__init__.py": "from factcore.transformer.model import Model\n__all__ = ['Model']",
    "factcore/transformer/model.py": "from factcore.constructions.convex import minimise",
    "factapp/__init__.py": "",
    "factapp/cli.py": "import factcore",
    "factbook/__init__.py": "",
    "factbook/fit.py": "from factcore.transformer import Model",
}


def built(folder: Path, **changes: str) -> Path:
    """The small house, some of its files replaced."""
    for name, text in (SMALL | {name.replace("__", "/") + ".py": text for name, text in changes.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def test_a_house_in_order_passes(tmp_path):
    house = built(tmp_path)
    assert wrong_arrows(house) == circle(house) == shadowed(house) == []


@pytest.mark.parametrize(
    "change, named",
    [
        ({"factcore__support__streams": "from factcore.facts import FactSet"}, "streams imports factcore.facts"),
        ({"factcore__facts": "def f():\n    import factcore.scoring"}, "factcore.facts imports factcore.scoring"),
        ({"factcore__scoring": "from factcore.constructions import convex"}, "factcore.constructions.convex"),
        ({"factcore__constructions__one_hot": "from .. import build"}, "one_hot imports factcore.build"),
        ({"factcore__constructions__one_hot": "from ..methods import METHODS"}, "one_hot imports factcore.methods"),
        ({"factcore__methods": "import factcore"}, "factcore.methods imports factcore"),
        ({"factcore__build": "from factapp import cli"}, "factcore.build imports factapp.cli"),
        ({"factcore__build": "from factcore.transformer.model import Model"}, "imports factcore.transformer.model"),
        ({"factcore__transformer__model": "from factcore.build import construct"}, "model imports factcore.build"),
        ({"factcore__transformer__model": "from factcore.constructions import one_hot"}, "constructions.one_hot"),
        ({"factapp__cli": "from factbook.fit import fit"}, "factapp.cli imports factbook.fit"),
        ({"factbook__fit": "import factapp.cli"}, "factbook.fit imports factapp.cli"),
    ],
)
def test_an_arrow_that_is_planted_is_named(tmp_path, change, named):
    (found,) = wrong_arrows(built(tmp_path, **change))
    assert named in found


def test_a_circle_on_one_floor_is_found(tmp_path):
    house = built(
        tmp_path,
        factcore__constructions__one_hot="from factcore.constructions.convex import minimise",
        factcore__constructions__convex="def late():\n    from factcore.constructions import one_hot",
    )
    assert wrong_arrows(house) == []
    assert set(circle(house)) == {"factcore.constructions.one_hot", "factcore.constructions.convex"}


def test_a_module_behind_a_function_is_found(tmp_path):
    house = built(tmp_path, factcore__construct="def construct(): ...")
    assert shadowed(house) == ["factcore.construct"]
    house = built(tmp_path, factcore__transformer__Model="")
    assert shadowed(house) == ["factcore.construct", "factcore.transformer.Model"]
    listed = built(tmp_path, factcore__transformer__task="")
    (listed / "factcore/transformer/__init__.py").write_text("__all__ = ['Model']\n__all__ += ['task']\n")
    assert shadowed(listed) == ["factcore.construct", "factcore.transformer.Model", "factcore.transformer.task"]


def test_a_module_without_a_floor_is_asked_for(tmp_path):
    with pytest.raises(AssertionError, match="factcore.cellar stands on no floor"):
        wrong_arrows(built(tmp_path, factcore__cellar="import factcore.facts"))

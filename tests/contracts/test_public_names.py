"""Each module says what it offers, offers what it says, and documents it."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "fanin"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOORS = ["fanin", "fanin.torch", "fanin.jax", "fanin.keras"]


def module_id(path: Path) -> str:
    """``src/fanin/laws/fans.py`` as ``laws/fans.py``."""
    return str(path.relative_to(PACKAGE))


def top_level(tree: ast.Module) -> tuple[list[str] | None, dict[str, ast.AST], set[str]]:
    """Of a module: its ``__all__`` (None if absent), functions and classes, and all names bound."""
    offered: list[str] | None = None
    defined: dict[str, ast.AST] = {}
    bound: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                defined[name] = node
                bound.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound.update((alias.asname or alias.name).partition(".")[0] for alias in aliases)
            case ast.Assign(targets=targets):
                names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                bound |= names
                if "__all__" in names and isinstance(node.value, ast.List | ast.Tuple):
                    offered = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
                elif "__all__" in names:
                    offered = offered or []
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
    return offered, defined, bound


def faults(source: str, *, is_package: bool = False) -> list[str]:
    """Everything in which a module's ``__all__`` and its contents disagree."""
    offered, defined, bound = top_level(ast.parse(source))
    public = {name for name in defined if not name.startswith("_")}
    if offered is None:
        return ["no __all__"] if public or (bound and not is_package) else []
    found = [f"__all__ names '{name}', which is not defined" for name in offered if name not in bound]
    if is_package and "__getattr__" in defined:
        found = []  # names that appear on first use; test_doors_open_for_every_name imports them
    found += [
        f"'{name}' is public but not in __all__" for name in sorted(public - set(offered)) if not is_package
    ]
    found += [f"__all__ names '{name}' twice" for name in {n for n in offered if offered.count(n) > 1}]
    for name in offered:
        node = defined.get(name)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not ast.get_docstring(node):
            found.append(f"'{name}' has no docstring")
    if not ast.get_docstring(ast.parse(source)):
        found.append("no module docstring")
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_all_says_what_the_module_defines(path: Path) -> None:
    if path.name == "__main__.py":
        return  # a door for `python -m`, not a module to import from
    assert faults(path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""Doc."""\ndef area(): "Doc."', "no __all__"),
        ('"""Doc."""\n__all__ = ["area"]', "__all__ names 'area', which is not defined"),
        ('"""Doc."""\n__all__ = []\ndef area(): "Doc."', "'area' is public but not in __all__"),
        ('"""Doc."""\n__all__ = ["area"]\ndef area(): ...', "'area' has no docstring"),
        ('"""Doc."""\n__all__ = ["a", "a"]\na = 1', "__all__ names 'a' twice"),
        ('__all__ = ["a"]\na = 1', "no module docstring"),
    ],
)
def test_each_fault_would_be_seen(source: str, fault: str) -> None:
    assert fault in faults(source)


def test_a_sound_module_has_no_faults() -> None:
    assert faults('"""Doc."""\n__all__ = ["area"]\ndef area(): "Doc."\ndef _helper(): ...') == []


@pytest.mark.parametrize("door", DOORS)
def test_doors_open_for_every_name(door: str) -> None:
    module = importlib.import_module(door)
    assert module.__all__
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []
    assert set(module.__all__) <= set(dir(module)), "dir() hides a public name"


def shadowed(names: list[str]) -> list[str]:
    """Public names that turn into a module once every module has been imported.

    Python binds a submodule's name in its package on import, over a function of the same name.
    """
    program = (
        "import importlib, json, sys, types\n"
        "names = json.loads(sys.argv[1])\n"
        "for name in names: importlib.import_module(name)\n"
        "packages = [m for n, m in sys.modules.items() if n.partition('.')[0] in sys.argv[2] and m]\n"
        "print(json.dumps([f'{m.__name__}.{n}' for m in packages for n in getattr(m, '__all__', ())\n"
        "                  if isinstance(getattr(m, n), types.ModuleType)]))"
    )
    tops = " ".join({name.partition(".")[0] for name in names})
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(names), tops],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return sorted(found)


def test_no_module_takes_the_place_of_a_public_function() -> None:
    names = [".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts) for p in MODULES]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    # A package may offer a module on purpose; it then says `from package import module`.
    offered = {
        f"{node.module}.{alias.name}"
        for path in MODULES
        if path.name == "__init__.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert [name for name in shadowed(names) if name not in offered] == []


def test_a_module_in_the_place_of_a_function_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text(
        "__all__ = ['check']\ndef check(): ...\n", encoding="utf-8"
    )
    (tmp_path / "planted" / "check.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert shadowed(["planted"]) == []
    assert shadowed(["planted", "planted.check"]) == ["planted.check"]


def public_functions(door: str) -> list[tuple[str, object]]:
    """The functions that users call."""
    module = importlib.import_module(door)
    return [
        (name, getattr(module, name)) for name in module.__all__ if inspect.isfunction(getattr(module, name))
    ]


def gaps(function: object) -> list[str]:
    """What the docstring of a public function leaves out.

    Parameters need no section where there is but one, or where they "are those of" another function.
    """
    text = inspect.getdoc(function) or ""
    assert callable(function)
    wanted = ["Examples"]
    if len(inspect.signature(function).parameters) > 1 and "are those of `" not in text:
        wanted.append("Parameters")
    found = [f"no {title} section" for title in wanted if f"{title}\n{'-' * len(title)}" not in text]
    if ">>> " not in text:
        found.append("no example that runs")
    return found


@pytest.mark.parametrize("door", DOORS)
def test_public_functions_have_parameters_and_an_example(door: str) -> None:
    left_out = {name: gaps(function) for name, function in public_functions(door)}
    assert {name: found for name, found in left_out.items() if found} == {}


def test_a_missing_section_would_be_seen() -> None:
    def bare(shape: tuple[int, ...], seed: int) -> tuple[int, ...]:
        """Return the shape."""
        return (*shape, seed)

    assert gaps(bare) == ["no Examples section", "no Parameters section", "no example that runs"]

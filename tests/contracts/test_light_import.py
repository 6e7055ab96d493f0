"""`import fanin` costs NumPy and little else: no framework, no display library, no SciPy.

The list of loaded modules is the test; a time would depend on the machine, so it is only printed.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from elsewhere import python

HEAVY = {
    "torch", "jax", "flax", "keras", "tensorflow", "transformers",
    "plotly", "rich", "click",
    "scipy", "sklearn", "pandas", "matplotlib", "mlxtend", "optuna",
    "safetensors", "ml_dtypes",
}  # fmt: skip
SLOW_STANDARD = {
    "asyncio",
    "multiprocessing.pool",
    "http.client",
    "ssl",
    "unittest",
    "xml",
    "sqlite3",
    "tkinter",
}
BELOW_THE_DOORS = ("errors", "records", "laws", "graphs", "sampling", "schemes", "plans", "checks")


def loaded_by(statement: str) -> tuple[set[str], float]:
    """Modules that are loaded after `statement` in a new interpreter, and the seconds it took."""
    program = (
        "import json, sys, time; start = time.perf_counter(); exec(sys.argv[1]); "
        "took = time.perf_counter() - start; print(json.dumps([sorted(sys.modules), took]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, statement], capture_output=True, text=True, check=True, timeout=120
    )
    names, took = json.loads(done.stdout.splitlines()[-1])
    return set(names), float(took)


def dragged_in(statement: str) -> set[str]:
    """Heavy libraries that `statement` loads, and slow parts of Python that NumPy alone does not load."""
    names, _ = loaded_by(statement)
    by_numpy, _ = loaded_by("import numpy")
    libraries = {name.partition(".")[0] for name in names} & HEAVY
    return libraries | ((names - by_numpy) & SLOW_STANDARD)


def test_import_is_light() -> None:
    assert dragged_in("import fanin") == set()


@pytest.mark.parametrize("room", BELOW_THE_DOORS)
def test_every_room_below_the_doors_is_light(room: str) -> None:
    assert dragged_in(f"import fanin.{room}") == set()


def test_the_public_names_are_light() -> None:
    """Lazy attributes, where there are any, load nothing heavy either."""
    statement = (
        "import fanin; [getattr(fanin, name) for name in fanin.__all__ if name not in ('torch', 'cli')]"
    )
    assert dragged_in(statement) == set()


@pytest.mark.parametrize("library", ["click", "scipy", "rich", "asyncio"])
def test_a_heavy_import_would_be_seen(library: str) -> None:
    assert library in dragged_in(f"import fanin, {library}")


def test_an_import_inside_the_package_would_be_seen(tmp_path: object) -> None:
    """A module that drags in SciPy through another one, as a careless room would."""
    statement = (
        f"import pathlib, sys; place = pathlib.Path({str(tmp_path)!r}); "
        "(place / 'careless.py').write_text('import scipy'); sys.path.insert(0, str(place)); "
        "import fanin, careless"
    )
    assert "scipy" in dragged_in(statement)


def test_a_door_without_its_library_says_what_to_install() -> None:
    program = """
import importlib, sys
for door, library in (("torch", "torch"), ("jax", "jax"), ("keras", "keras"), ("experiments", "torch")):
    sys.modules[library] = None
    try:
        importlib.import_module(f"fanin.{door}")
    except ImportError as error:
        print(error.name, type(error).__name__, error)
"""
    assert python("-c", program).splitlines() == [
        f"{library} MissingError fanin.{door} needs {library}, which is not installed. "
        f"python -m pip install 'fanin[{door}]'."
        for door, library in (
            ("torch", "torch"),
            ("jax", "jax"),
            ("keras", "keras"),
            ("experiments", "torch"),
        )
    ]


def test_keras_without_its_backend_names_others() -> None:
    program = """
import sys
sys.modules["tensorflow"] = None
try:
    import fanin.keras
except ImportError as error:
    print(error)
"""
    assert python("-c", program, KERAS_BACKEND="tensorflow").strip() == (
        "fanin.keras needs tensorflow, which is not installed. "
        "Choose one that is: KERAS_BACKEND=jax or KERAS_BACKEND=torch."
    )


def test_time_is_printed(record_property: object) -> None:
    """For the log: seconds that fanin adds to NumPy. No bound, since the machine may be busy."""
    program = (
        "import numpy, time; start = time.perf_counter(); import fanin; print(time.perf_counter() - start)"
    )
    best = min(
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(3)
    )
    print(f"import fanin: {best * 1e3:.0f} ms after NumPy")
    assert callable(record_property)
    record_property("import_ms_after_numpy", round(best * 1e3, 1))

"""The registry finds every scheme file, and the door offers what it finds."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest

import fanin
import fanin.schemes
from fanin.errors import InputError, UnknownNameError
from fanin.records.draw import Constant
from fanin.schemes import registry
from fanin.schemes.base import Scheme

FOLDER = Path(next(iter(fanin.schemes.__path__)))


def test_every_family_file_is_found() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {
        "__init__",
        "base",
        "by_formula",
        "fit",
        "parse",
        "registry",
        "sample",
    }
    assert {one.factory.__module__.rpartition(".")[2] for one in registry.entries().values()} == files


def test_a_new_file_needs_no_list(tmp_path: Path) -> None:
    """In a process of its own: a family file on the package's path is a scheme."""
    (tmp_path / "half.py").write_text(
        "from fanin.records.draw import Constant\n"
        "from fanin.schemes.base import Entry, Fixed\n"
        "def half():\n"
        "    return Fixed(name='half', spec=Constant(value=0.5))\n"
        "SCHEMES = (Entry(factory=half, aliases=('demi',)),)\n"
    )
    code = (
        "import fanin.schemes as s; from fanin.schemes import registry\n"
        f"s.__path__.append({str(tmp_path)!r})\n"
        "print('half' in registry.names(), registry.get('demi'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True <half: w = 0.5>\n"


def test_the_door_offers_every_scheme() -> None:
    assert set(registry.names()) <= set(fanin.__all__)
    for name, one in registry.entries().items():
        assert getattr(fanin, name) is one.factory


def test_no_name_means_two_schemes() -> None:
    assert not set(registry.aliases()) & set(registry.names())
    count = sum(len(one.aliases) for one in registry.entries().values())
    assert len(registry.aliases()) == count


@pytest.mark.parametrize("name", registry.names())
def test_every_scheme_documents_its_law(name: str) -> None:
    one = registry.entry(name)
    text = inspect.getdoc(one.factory) or ""
    assert one.summary.endswith(".")
    for section in ("Returns", "Examples"):
        assert f"{section}\n---" in text
    if one.signature.parameters:
        assert "Parameters\n---" in text
        assert "Raises\n---" in text
        assert all(parameter in text for parameter in one.signature.parameters)
    if name not in {"zeros", "ones", "constant", "normal", "uniform"}:
        assert "References\n---" in text
    assert one.examples


@pytest.mark.parametrize("name", registry.names())
def test_every_scheme_keeps_the_protocol(name: str) -> None:
    one = registry.entry(name)
    for arguments in one.examples:
        scheme = registry.get(name, **arguments)
        assert isinstance(scheme, Scheme)
        assert scheme.name == name
        assert "\n" not in scheme.law
        assert repr(scheme) == f"<{name}: {scheme.law}>"
        assert scheme == registry.get(name, **arguments)
        assert hash(scheme) == hash(registry.get(name, **arguments))


@pytest.mark.parametrize(("alias", "name"), registry.aliases().items())
def test_an_alias_is_the_same_law(alias: str, name: str) -> None:
    example = registry.entry(name).examples[0]
    assert registry.get(alias, **example) == registry.get(name, **example)


def test_the_peers_names_are_there() -> None:
    assert registry.aliases()["msra"] == registry.aliases()["kaiming_normal"] == "he_normal"
    assert registry.aliases()["xavier_uniform"] == "glorot_uniform"


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown scheme\. Received: 'he_norml'.*Did you mean 'he_normal'"
    ):
        registry.get("he_norml")


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("normal", {}, r"Parameters do not fit normal\. Received: none\. It is normal\(mean=0.0, \*, std\)"),
        (
            "he_normal",
            {"gain": 2},
            r"Received: gain=2\. It is he_normal\(activation='relu', slope=None, mode=",
        ),
        ("zeros", {"value": 1.0}, r"It is zeros\(\)"),
    ],
)
def test_parameters_that_do_not_fit(name: str, arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        registry.get(name, **arguments)


def test_a_users_class_needs_only_the_protocol() -> None:
    class Half:
        name = "half"
        law = "w = 1/2"
        references = ()

        def draw(self, shape: object, axes: object = None) -> Constant:  # noqa: ARG002
            return Constant(value=0.5)

    assert isinstance(Half(), Scheme)
    assert fanin.sample(Half(), (2,), seed=0, name="w").tolist() == [0.5, 0.5]


def test_the_door_opens_late() -> None:
    code = (
        "import sys, fanin\n"
        "heavy = {'torch', 'jax', 'keras', 'scipy', 'click', 'rich', 'plotly', 'ml_dtypes'}\n"
        "print(sorted(heavy & set(sys.modules)), 'fanin.sampling' in sys.modules, 'torch' in dir(fanin))\n"
        "fanin.torch\n"
        "print('torch' in sys.modules or 'fanin.torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False True\nTrue\n"


def test_the_door_knows_what_it_has_not() -> None:
    with pytest.raises(AttributeError, match="module 'fanin' has no attribute 'tensorflow'"):
        fanin.tensorflow  # noqa: B018
    assert isinstance(fanin.Plan, type)
    assert fanin.__version__.count(".") == 2


WORDS = {"activation", "mode", "distribution", "values", "part", "side", "window", "scaling"}
"""Parameters that are no numbers; their errors name what is known."""
NUMBERS = [
    (name, parameter, value)
    for name, one in registry.entries().items()
    for parameter in one.signature.parameters
    if parameter not in WORDS
    for value in ("0.5", b"1", math.nan, 1j, [1.0], True)
    # A switch is what this one takes.
    if (parameter, value) != ("periodic", True)
]


@pytest.mark.parametrize(("name", "parameter", "value"), NUMBERS)
def test_what_is_no_number_is_refused_by_every_scheme(name: str, parameter: str, value: object) -> None:
    given = dict(registry.entry(name).examples[0])
    if parameter in {"low", "high"}:
        given = {"low": -1.0, "high": 1.0}
    if name == "sparse":
        given = {"connections": 3} if parameter == "std" else {}
    with pytest.raises(InputError) as caught:
        registry.get(name, **(given | {parameter: value}))
    assert "Received" in str(caught.value)

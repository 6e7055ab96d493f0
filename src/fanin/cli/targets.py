"""From the words of a TARGET to a model.

Only what the user names is imported. Nothing is downloaded and nothing is unpickled.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from fanin.cli import hub
from fanin.errors import TargetError, explain, nearest

__all__ = ["attribute", "called", "load", "made", "signature", "source", "takes"]

_FORMS = "module:callable, file.py:callable, or hf:CONFIG.json"


def load(target: str, *, seed: int, meta: bool = False) -> nn.Module:
    """Build the model that a TARGET names.

    A callable is called without arguments, under PyTorch's generator seeded with `seed`, so that
    the weights that the model's own code draws are the same in every run. With `meta` a configuration
    becomes a model without memory; a user's own code is run as it is.

    Raises
    ------
    TargetError
        Nothing of that name, an error while importing or building, or a result that is no model.
    """
    # The import too: a model that a module holds is drawn while the module is imported.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return hub.load(target[3:], meta=meta) if target.startswith("hf:") else _load(target)


def made(target: str) -> nn.Module:
    """Build the model of a TARGET once more; its code is imported once a process.

    Unlike `load` it leaves PyTorch's generator to its caller.
    """
    if target.startswith("hf:"):
        return hub.load(target[3:], meta=False)
    return called(_found(target), target)


@functools.cache
def _found(target: str) -> Any:
    return attribute(target, purpose="TARGET")


def _load(target: str) -> nn.Module:
    found = attribute(target, purpose="TARGET")
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise TargetError(
            explain(
                f"TARGET '{target}' is no model",
                received=type(found).__name__,
                rule="It is a torch.nn.Module, or a function or class that makes one",
            )
        )
    return called(found, target)


def called(make: Callable[..., Any], target: str, *arguments: int) -> nn.Module:
    """The model that a TARGET makes when it is called with these arguments.

    Raises
    ------
    TargetError
        It fails, or what it returns is no model.
    """
    words = f"with {', '.join(map(str, arguments))}" if arguments else "without arguments"
    try:
        model = make(*arguments)
    except Exception as error:
        raise TargetError(
            explain(
                f"TARGET '{target}' raises an error when it is called {words}",
                received=f"{type(error).__name__}: {error}",
                remedy="" if arguments else "Name a function that takes no arguments and returns the model",
            )
        ) from error
    if not isinstance(model, nn.Module):
        raise TargetError(
            explain(
                f"TARGET '{target}' returns no model",
                received=type(model).__name__,
                rule="A callable TARGET returns a torch.nn.Module",
            )
        )
    return model


def takes(make: Callable[..., Any], *arguments: object) -> bool:
    """Whether something can be called with these arguments, as far as its signature tells.

    Examples
    --------
    >>> takes(lambda: 1, 64)
    False
    """
    try:
        inspect.signature(make).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a signature that Python does not know
        return True
    return True


def signature(make: Callable[..., Any]) -> str:
    """A name with what it takes, as in ``make(depth, width=64)``."""
    name = getattr(make, "__name__", type(make).__name__)
    try:
        return f"{name}{inspect.signature(make)}"
    except (TypeError, ValueError):
        return name


def attribute(text: str, *, purpose: str) -> Any:
    """Import what ``module:name`` or ``file.py:name`` stands for; the name may be dotted."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise TargetError(
            explain(
                f"{purpose} does not say what to take from where",
                received=repr(text),
                rule=f"It is {_FORMS}"
                if purpose == "TARGET"
                else "It is file.py:function or module:function",
            )
        )
    module = source(place, purpose=purpose)
    try:
        return functools.reduce(getattr, name.split("."), module)
    except AttributeError:
        known = [
            n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, ModuleType)
        ]
        error = nearest(name, known, kind=f"name in {place}")
        raise TargetError(f"{purpose} '{text}': {error}") from None


def source(place: str, *, purpose: str) -> ModuleType:
    """Import a module by its name, or a file by its path.

    The working directory (a file's folder) becomes importable, as it is for ``python -m``
    (``python file.py``).
    """
    try:
        if place.endswith(".py"):
            return _file(Path(place), purpose)
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(place)
    except TargetError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            remedy = "Run from the folder that holds it, or name a file: path/to/file.py:callable"
            raise TargetError(
                explain(f"{purpose} names a module that cannot be found", received=repr(place), remedy=remedy)
            ) from None
        raise _broken(place, purpose, error) from error
    except Exception as error:
        raise _broken(place, purpose, error) from error


def _broken(place: str, purpose: str, error: Exception) -> TargetError:
    received = f"{type(error).__name__}: {error}"
    return TargetError(explain(f"Importing '{place}' ({purpose}) raises an error", received=received))


def _file(path: Path, purpose: str) -> ModuleType:
    if not path.is_file():
        raise TargetError(explain(f"{purpose} names a file that is not there", received=repr(str(path))))
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(explain(f"{purpose} names a file that is no Python", received=repr(str(path))))
    if str(path.resolve().parent) not in sys.path:
        sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and the like look their own module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module

"""A model's initial weights as safetensors and the plan beside them: both files, or neither."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fanin._version import __version__
from fanin.errors import InputError, OutputError, explain
from fanin.records import codec
from fanin.records.plan import Plan
from fanin.torch.commit import held_signals
from fanin.torch.names import named_tensors

__all__ = ["load", "plan_path", "prepare", "save"]


def plan_path(weights: Path) -> Path:
    """Where the plan of a weights file lies: ``model.plan.json`` beside ``model.safetensors``."""
    return weights.with_name(weights.name.removesuffix(".safetensors") + ".plan.json")


def prepare(weights: Path, *, force: bool) -> None:
    """See that both files can be written, before any work is done.

    Raises
    ------
    OutputError
        A file is there and `force` is false, or the folder cannot be written.
    """
    if not weights.name or "\0" in weights.name:
        raise OutputError(
            explain("The output has no name", received=repr(str(weights)), remedy="Name a file")
        )
    try:
        _check_places(weights, force=force)
    except (OSError, ValueError) as error:
        if isinstance(error, OutputError):
            raise
        # A name that no file system takes.
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(
            explain("The output cannot be written", received=f"{str(weights)!r:.300} ({reason})")
        ) from None


def _check_places(weights: Path, *, force: bool) -> None:
    for path in (weights, plan_path(weights)):
        if path.exists() and not path.is_file():
            raise OutputError(explain("The output is no file", received=path, remedy="Name a file"))
        if path.exists() and not force:
            raise OutputError(
                explain("The output exists", received=path, remedy="Choose another name, or use --force")
            )
    folder = weights.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = "is not writable" if folder.is_dir() else "is not there"
        raise OutputError(
            explain("The output cannot be written", received=f"{weights} (its folder {reason})")
        )


def save(model: nn.Module, plan: Plan, weights: Path) -> tuple[Path, Path]:
    """Write all tensors under their canonical names, tied ones once, and the plan.

    Buffers that the model does not save are left out. The file's metadata has the seed, the version
    of the random streams and the plan's hash: what every number follows from.
    """
    kept = set(_saved_names(model))
    tensors = {
        one.name: one.tensor.detach().contiguous()
        for one in named_tensors(model)
        if not one.buffer or kept & {one.name, *one.aliases}
    }
    metadata = {
        "format": "pt",
        "fanin": __version__,
        "fanin.seed": str(plan.seed),
        "fanin.stream": str(plan.stream),
        "fanin.policy": plan.policy,
        "fanin.plan.sha256": codec.digest(plan),
    }
    target = plan_path(weights)
    try:
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=f".{weights.name}.") as folder:
            parts = Path(folder) / "weights", Path(folder) / "plan"
            save_file(tensors, parts[0], metadata=metadata)
            _sort_metadata(parts[0])
            # safetensors makes its file readable for the owner only.
            parts[0].chmod(0o666 & ~_umask())
            plan.save(parts[1])
            # Both names are given in one go: an interrupt comes before them or after.
            with held_signals():
                _named(parts, (weights, target), Path(folder) / "old")
    except OutputError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OutputError(explain("The output cannot be written", received=f"{weights} ({error})")) from error
    return weights, target


def _named(parts: tuple[Path, Path], names: tuple[Path, Path], old: Path) -> None:
    """Give both files their names, or leave what was there."""
    weights, target = names
    if weights.exists():
        weights.rename(old)
    try:
        parts[0].rename(weights)
        parts[1].rename(target)
    except OSError:
        weights.unlink(missing_ok=True)
        if old.exists():
            old.rename(weights)
        raise


def load(model: nn.Module, weights: Path) -> None:
    """Give a model the weights of a file, under their canonical names or under ones tied to them.

    Raises
    ------
    InputError
        A file that is no safetensors, lacks a parameter, or holds one of another shape.
    """
    try:
        stored = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(
            explain("The weights cannot be read", received=f"{weights} ({error})", rule="A safetensors file")
        ) from None
    pairs = []
    for one in named_tensors(model):
        found = next((stored[name] for name in (one.name, *one.aliases) if name in stored), None)
        if found is None and one.buffer:
            continue
        if found is None or found.shape != one.tensor.shape:
            received = "no such tensor" if found is None else f"shape {tuple(found.shape)}"
            raise InputError(
                explain(
                    f"The weights do not fit the model at '{one.name}'",
                    received=f"{received} in {weights}",
                    rule=f"The model has shape {tuple(one.tensor.shape)} there",
                )
            )
        pairs.append((one.tensor, found))
    with torch.no_grad():
        for tensor, found in pairs:
            tensor.copy_(found)


def _sort_metadata(path: Path) -> None:
    """Give a file's metadata one order, so that equal weights are equal bytes.

    safetensors keeps metadata in a hash table and writes it in another order every time. The header
    is 8 bytes of length and JSON; sorted, the same entries take the same room.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def _saved_names(model: nn.Module) -> list[str]:
    return list(model.state_dict(keep_vars=True))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

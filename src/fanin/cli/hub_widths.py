"""A transformers configuration at several widths: which of its sizes follow the width, and which do not."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from fanin.cli import hub
from fanin.errors import InputError, TargetError, explain

__all__ = ["labelled", "maker"]

_INNER = (
    *("intermediate_size", "n_inner", "ffn_dim", "d_ff", "d_inner", "ffn_hidden_size", "hidden_dim"),
    *("encoder_ffn_dim", "decoder_ffn_dim", "moe_intermediate_size", "shared_expert_intermediate_size"),
    *("word_embed_proj_dim", "pooler_output_size", "attention_hidden_size", "output_hidden_size"),
)
"""Names under which configurations have sizes that are a multiple of the width."""

_HEADS = (
    *("num_attention_heads", "num_key_value_heads", "num_heads", "num_kv_heads", "n_head", "n_heads"),
    *("encoder_attention_heads", "decoder_attention_heads"),
)
"""Names of numbers of heads: a wider model has more of them, of one size, as in muP."""

_REMEDY = "Give a function of the width instead: file.py:make, with def make(width): ..."


def maker(place: str, widths: tuple[int, ...]) -> tuple[Callable[[int], nn.Module], str]:
    """Make the function from a width to the model of a configuration, and say which sizes it changes.

    The width is ``hidden_size``, by whatever name the configuration has it. Inner sizes keep their ratio
    to it, and heads their size, so that their number goes with the width; all other sizes stay.

    Parameters
    ----------
    place
        The configuration, as `fanin.cli.hub.load` takes it.
    widths
        Those that will be asked for.

    Raises
    ------
    TargetError
        No such configuration, or a model that cannot be built.
    InputError
        A configuration without one width, or one that has no whole number of heads at one of these.
    """
    config = hub.configuration(place)
    sizes = _sizes(config, place)
    own = sizes[_real(config, "hidden_size")]
    step = math.lcm(*(own // math.gcd(own, size) for size in sizes.values()))
    odd = [width for width in widths if width % step]
    if odd:
        heads = "; ".join(f"{name} {size}" for name, size in sizes.items() if name in _HEADS)
        raise InputError(
            explain(
                "The configuration has no model of such a width",
                received=f"width {odd[0]}",
                rule=f"At width {own} it has {heads or 'inner sizes'}; heads and inner sizes go with the "
                f"width, which is a multiple of {step}",
                remedy=f"Such as --widths {','.join(str(step * 2**k) for k in range(1, 4))}",
            )
        )

    def make(width: int) -> nn.Module:
        changed = {name: size * width // own for name, size in sizes.items()}
        try:
            again = type(config).from_dict({**config.to_dict(), **changed})
        except Exception as error:
            raise TargetError(
                explain(
                    f"The configuration '{place}' cannot have width {width}",
                    received=f"{type(error).__name__}: {error}",
                    remedy=_REMEDY,
                )
            ) from error
        return hub.built(again, f"{place} at width {width}")

    ratios = [f"{name} = {_ratio(size, own)}" for name, size in sizes.items()]
    return make, f"{', '.join(ratios)}; all other sizes stay"


def _sizes(config: Any, place: str) -> dict[str, int]:
    """Every field that follows the width, by its own name, with its value."""
    own = getattr(config, "hidden_size", None)
    fields = config.to_dict()
    parts = sorted(name for name, value in fields.items() if _is_configuration(value))
    if parts or not isinstance(own, int) or own < 1:
        told = f"parts with sizes of their own: {', '.join(parts)}" if parts else "no hidden_size"
        raise InputError(
            explain(
                f"The sizes of the configuration '{place}' do not follow from one width",
                received=f"{config.model_type}, with {told}",
                rule="The width of a configuration is its hidden_size",
                remedy=_REMEDY,
            )
        )
    found = {_real(config, "hidden_size"): own}
    for name in dict.fromkeys(_real(config, n) for n in (*_INNER, *_HEADS)):
        value = fields.get(name)
        if isinstance(value, list | tuple):
            raise InputError(
                explain(
                    f"The sizes of the configuration '{place}' do not follow from one width",
                    received=f"{config.model_type}, with {name} {value}",
                    rule="A configuration has one width, and not one for each stage",
                    remedy=_REMEDY,
                )
            )
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            found.setdefault(name, value)
    return found


def _is_configuration(value: object) -> bool:
    return isinstance(value, Mapping) and "model_type" in value


def _real(config: Any, name: str) -> str:
    """The configuration's own name for what most call so."""
    aliases: Mapping[str, str] = getattr(type(config), "attribute_map", None) or {}
    return aliases.get(name, name)


def _ratio(size: int, own: int) -> str:
    common = math.gcd(size, own)
    times, parts = size // common, own // common
    return ("width" if times == 1 else f"{times} width") + (f" / {parts}" if parts > 1 else "")


def labelled(model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs with labels, so that the model returns a loss of which steps can be taken.

    Ids are their own labels where the output has a number for each word at each place; samples get classes
    in turn where it has some for each sample.

    Raises
    ------
    InputError
        The model takes no labels, or has an output of another form.
    """
    ids = inputs.get("decoder_input_ids", inputs.get("input_ids"))
    batch = len(next(iter(inputs.values())))
    labels = None
    if "labels" in inspect.signature(model.forward).parameters and "labels" not in inputs:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = getattr(model(**inputs), "logits", None)
        if isinstance(logits, torch.Tensor) and ids is not None and logits.shape[:-1] == ids.shape:
            labels = ids
        elif isinstance(logits, torch.Tensor) and logits.ndim == 2 and len(logits) == batch:
            labels = torch.arange(batch) % logits.shape[-1]
    if labels is None and "labels" not in inputs:
        raise InputError(
            explain(
                "There is no loss, so no step can be taken",
                received=f"{type(model).__name__} with inputs made up from its configuration",
                rule="A check of several widths takes steps of a loss",
                remedy="Give a batch with labels, or with a target: --batch file.py:make_batch",
            )
        )
    return dict(inputs) if labels is None else {**inputs, "labels": labels}

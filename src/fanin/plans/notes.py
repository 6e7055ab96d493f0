"""What is to be said of a model as a whole."""

from __future__ import annotations

from fanin.errors import InputError
from fanin.laws import quadrature
from fanin.plans.facts import Facts
from fanin.records.graph import OpKind

__all__ = ["notes"]

_DEEP_POST_NORM = 12
_STACK = 5
_COLLAPSE = 0.5


def notes(facts: Facts) -> tuple[str, ...]:
    """Notes on how the model was run and on what no initial weights can mend."""
    found = list(facts.graph.notes)
    if "(" in facts.graph.engine:  # a fall-back, with its reason
        found.append(f"engine: {facts.graph.engine}")
    found += [note for note in (_loaded(facts), _post_norm(facts), _collapse(facts)) if note]
    return tuple(found)


def _loaded(facts: Facts) -> str:
    count = sum(p.loaded for p in facts.graph.parameters)
    return f"{count} tensors hold loaded values and are kept" if count else ""


def _post_norm(facts: Facts) -> str:
    depth = facts.post_norm_depth()
    if depth <= _DEEP_POST_NORM:
        return ""
    return (
        f"post-norm stack of {depth} branches: the stream passes a norm after every branch, and such "
        f"stacks of more than {_DEEP_POST_NORM} need a learning rate warm-up even with small branches "
        "(Liu et al. 2020); or use pre-norm or DeepNorm's residual factor"
    )


def _collapse(facts: Facts) -> str:
    """Stacks of activations that forget their input: ``E f'^2 / E f^2`` far below 1."""
    on_path = [facts.nodes[i] for i in facts.graph.path if i in facts.nodes]
    if facts.graph.branches or any(node.kind == OpKind.NORM for node in on_path):
        return ""
    names: list[str] = []
    for node in on_path:
        if node.kind == OpKind.ACTIVATION and node.activation is not None:
            ratio = _slope_share(facts, node.activation)
            if ratio is not None and ratio < _COLLAPSE:
                names.append(facts.powers[node.activation].name)
    if len(names) < _STACK:
        return ""
    kinds = ", ".join(dict.fromkeys(names))
    return (
        f"{len(names)} layers of {kinds} in a row, without norms or residual branches: each passes on less "
        "than half of the differences between inputs, and no weights mend that; use ReLU or norms"
    )


def _slope_share(facts: Facts, index: int) -> float | None:
    moment = facts.powers[index].second_moment
    if moment is None:
        return None
    try:
        slope = quadrature.gaussian_derivative_second_moment(facts.graph.activations[index].values)
    except InputError:
        return None
    return slope / moment

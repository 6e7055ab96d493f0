"""A model as its computation: what each parameter does, in no framework's words.

A graph comes from one run of the model. It holds what later rooms need to know and nothing about
the framework that ran it: semantic nodes in execution order (views are gone, a composite
activation or a hand-written norm is one node) and, for every parameter, each way it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fanin.records.axes import Axes

__all__ = ["Activation", "Branch", "Graph", "Node", "OpKind", "Parameter", "Use", "UseKind"]


class OpKind(StrEnum):
    """What a node computes."""

    INPUT = "input"
    CONTRACTION = "contraction"
    CONVOLUTION = "convolution"
    EMBEDDING = "embedding"
    ACTIVATION = "activation"
    PRODUCT = "product"
    ADD = "add"
    NORM = "norm"
    SOFTMAX = "softmax"
    ATTENTION = "attention"
    POOL = "pool"
    DROPOUT = "dropout"
    CONCAT = "concat"
    RECURRENCE = "recurrence"
    POINTWISE = "pointwise"
    OTHER = "other"


class UseKind(StrEnum):
    """The part a parameter plays at a node."""

    WEIGHT = "weight"
    BIAS = "bias"
    EMBEDDING = "embedding"
    NORM_SCALE = "norm scale"
    NORM_SHIFT = "norm shift"
    SCALE = "scale"
    SHIFT = "shift"
    DECAY = "decay"
    ACTIVATION_PARAMETER = "activation parameter"
    RECURRENT_INPUT = "recurrent input weight"
    RECURRENT_STATE = "recurrent state weight"
    RECURRENT_BIAS = "recurrent bias"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A pointwise function of one tensor, known by its values.

    `values` are f at the nodes of `fanin.laws.quadrature.NODES`, so its gain needs no name;
    `name` is the known activation that has the same values, or "custom".
    """

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One semantic operation.

    Parameters
    ----------
    id
        Place of the node's output in the run's recording; ids grow in execution order.
    op
        The framework's operator, or the function that a region was recognised as.
    inputs
        Ids of the nodes whose outputs it reads (parameters apart), views skipped.
    parameters
        Canonical names of the parameters it reads.
    module
        Path of the innermost module it ran under ("" for the model itself).
    call
        Which call of that module, from 0: a reused module has several.
    shape
        Shape of the output.
    activation
        For activations, the index into `Graph.activations`.
    factor
        For pointwise operations that only multiply by a constant (and may shift): that constant.
    reads
        Once for each operand that comes from a node: its id, and, where only a part of its output is
        read, the first place and the size along each of its dimensions.
    settings
        Numbers that the operator was called with and that change what it does to a signal: "padding",
        "p" of a dropout, the "offset" beside a `factor`. See `setting`.
    """

    id: int
    kind: OpKind
    op: str
    inputs: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    module: str
    call: int = 0
    shape: tuple[int, ...]
    dtype: str
    activation: int | None = None
    factor: float | None = None
    reads: tuple[tuple[int, ...], ...] = ()
    settings: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def setting(self, name: str) -> tuple[float, ...]:
        """Numbers of a setting; () where the operator has none of this name."""
        return next((numbers for key, numbers in self.settings if key == name), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One way in which a parameter takes part.

    Parameters
    ----------
    node
        Id of the node that reads the parameter.
    axes
        Roles of the stored dimensions, for weights and embeddings.
    activation
        Index into `Graph.activations` of what consumes the node's output; None when linear.
    gated
        Whether the output is one factor of a product with a sibling of the same input (GLU).
    gate_activation
        For the weight that reads a gated product: the index of the gate's activation.
    normalised
        Whether a normalisation consumes the output directly.
    head
        Whether only the model's output follows.
    branch
        Index into `Graph.branches` if this is the branch's final projection, or a learned scale between
        that and the join (LayerScale, SkipInit).
    offset
        For norm scales: the constant added to the parameter before it multiplies (1 for ``1 + w``).
    blocks
        Sizes along the out dimension when the output is split into parts with different uses.
    router
        Whether the largest outputs are chosen and steer others: the weight of a router of experts.
    scores
        For weights that make queries or keys: their share in the power of the attention scores, when
        they make outputs of power 1. 1 where the forward pass divides by the root of the width.
    spread
        Root mean square of the weight that the node reads, where that does not depend on the parameter's
        scale (weight normalisation, standardised weights) and all other parameters in it are 1.
    """

    node: int
    kind: UseKind
    axes: Axes | None = None
    activation: int | None = None
    gated: bool = False
    gate_activation: int | None = None
    normalised: bool = False
    head: bool = False
    branch: int | None = None
    offset: float = 0.0
    blocks: tuple[int, ...] = ()
    router: bool = False
    scores: float = 1.0
    spread: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter or buffer: a storage with a canonical name, and every use of it.

    `name` is the first registered name without wrapper prefixes; `aliases` are the other names
    of the same storage (tied weights). `padding` is the row that an embedding keeps at zero.
    `parametrisation` names what the framework computes the used tensor with from this one (weight norm,
    spectral norm). `role` is what a buffer is for: "statistics" of a norm, a "counter", an "index", a
    "mask", or a "table" of numbers; with ", not saved" where a checkpoint leaves it out.
    """

    name: str
    aliases: tuple[str, ...] = ()
    shape: tuple[int, ...]
    dtype: str
    trainable: bool = True
    buffer: bool = False
    loaded: bool = False
    owner: str = ""
    padding: int | None = None
    parametrisation: str = ""
    role: str = ""
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A residual branch: what lies between a stream and the add that joins it again.

    `start` and `join` are node ids (the stream's last node before the branch, and the add);
    `final` names the weights of the last contraction before the join; `depth` counts the
    contractions on the branch; `normalised` says whether a norm lies on it.
    """

    start: int
    join: int
    final: tuple[str, ...]
    depth: int
    normalised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A model's computation.

    Parameters
    ----------
    model
        Class name of the model.
    engine
        How it was run: "fake tensors", or "real tensors (why)".
    nodes
        Semantic operations in execution order.
    outputs
        Ids of the nodes whose values the model returns.
    path
        Ids of the nodes that every route from the first weighted node to the output passes, in
        order: the chain along which signal and gradient survive or do not.
    """

    model: str
    framework: str
    engine: str
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    path: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    activations: tuple[Activation, ...]
    branches: tuple[Branch, ...]
    notes: tuple[str, ...] = ()

    def node(self, id: int) -> Node:
        """The node with the given id."""
        for node in self.nodes:
            if node.id == id:
                return node
        raise KeyError(id)

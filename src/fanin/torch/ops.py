"""What each of torch's operators does, in the words of `fanin.graphs`: one table.

An operator that is not listed is pointwise if torch tags it so, and OTHER if not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from fanin.graphs.steps import Form, Part

__all__ = [
    "ADDS",
    "CONTRACTIONS",
    "MOVES",
    "MULTIPLIES",
    "SUBTRACTS",
    "UNIFORM",
    "Facts",
    "base_name",
    "facts_of",
    "form_of",
    "parts_of",
    "schema",
]


def _all(names: str, form: Form) -> dict[str, Form]:
    return dict.fromkeys(names.split(), form)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


MOVES = _words(
    "alias clone contiguous detach _to_copy lift_fresh lift_fresh_copy view _unsafe_view reshape",
    "_reshape_copy _reshape_alias expand permute transpose t squeeze unsqueeze select slice split",
    "split_with_sizes chunk",
    "unsafe_split unsafe_split_with_sizes unsafe_chunk unbind narrow diagonal as_strided unfold",
    "view_as_real view_as_complex roll flip rot90 constant_pad_nd reflection_pad1d reflection_pad2d",
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d repeat repeat_interleave",
    "pixel_shuffle pixel_unshuffle im2col col2im channel_shuffle native_channel_shuffle tril triu",
    "index gather index_select take masked_select take_along_dim swapaxes movedim",
)
"""Operators that only move elements: they are no step of their own."""

_FORMS: Mapping[str, Form] = {
    **_all("mm addmm bmm baddbmm addbmm mv addmv dot vdot outer ger addr _grouped_mm", Form.CONTRACTION),
    **_all("linear matmul _trilinear _scaled_mm _scaled_grouped_mm _addmm_activation", Form.CONTRACTION),
    **_all("convolution _convolution convolution_overrideable mkldnn_convolution", Form.CONVOLUTION),
    **_all("cudnn_convolution cudnn_convolution_transpose miopen_convolution", Form.CONVOLUTION),
    **_all("embedding _embedding_bag _embedding_bag_forward_only", Form.LOOKUP),
    **_all("mean sum var std var_mean std_mean norm linalg_vector_norm amax amin logsumexp", Form.REDUCTION),
    **_all("_softmax _log_softmax _safe_softmax softmax log_softmax _masked_softmax", Form.SOFTMAX),
    **_all("native_layer_norm native_group_norm native_batch_norm _fused_rms_norm rms_norm", Form.NORM),
    **_all("_native_batch_norm_legit _native_batch_norm_legit_functional cudnn_batch_norm", Form.NORM),
    **_all("_native_batch_norm_legit_no_training batch_norm_with_update miopen_batch_norm", Form.NORM),
    **_all("_batch_norm_with_update _batch_norm_with_update_functional _batch_norm_no_update", Form.NORM),
    **_all("avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d", Form.POOL),
    **_all("max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d max_pool2d", Form.POOL),
    **_all("adaptive_max_pool3d fractional_max_pool2d max argmax upsample_nearest1d", Form.POOL),
    **_all("upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d", Form.POOL),
    **_all("upsample_linear1d upsample_trilinear3d _upsample_bilinear2d_aa min median", Form.POOL),
    **_all("_upsample_bicubic2d_aa _upsample_nearest_exact2d grid_sampler_2d mkldnn_max_pool2d", Form.POOL),
    **_all("native_dropout _fused_dropout", Form.DROPOUT),
    **_all("cat stack", Form.CONCAT),
    **_all("mkldnn_rnn_layer _cudnn_rnn lstm gru rnn_tanh rnn_relu miopen_rnn", Form.RECURRENCE),
    **_all("_thnn_fused_lstm_cell _thnn_fused_gru_cell", Form.RECURRENCE),
    **_all("glu", Form.GLU),
    **_all("nll_loss_forward nll_loss2d_forward mse_loss smooth_l1_loss huber_loss", Form.LOSS),
    **_all("binary_cross_entropy binary_cross_entropy_with_logits _ctc_loss kl_div", Form.LOSS),
    # Not tagged pointwise in every release, or tagged by overload only.
    **_all(
        "_prelu_kernel prelu rrelu_with_noise rrelu_with_noise_functional log_sigmoid_forward", Form.POINTWISE
    ),
    **_all(
        "masked_fill masked_fill_ celu celu_ elu elu_ selu selu_ hardtanh hardtanh_ hardswish mish relu6 "
        "copy_ where clamp leaky_relu leaky_relu_ softplus softshrink hardshrink hardsigmoid hardsigmoid_ "
        "threshold threshold_ ldexp rad2deg",
        Form.POINTWISE,
    ),
    **_all("scatter_add index_add scatter_reduce index_add_ scatter_add_", Form.POINTWISE),
    **_all("index_put index_put_ _unsafe_index_put index_copy index_copy_ scatter scatter_", Form.POINTWISE),
}

ADDS = _words(
    "add sub rsub add_ sub_ _foreach_add lerp index_add index_add_ scatter_add scatter_add_ index_put",
    "index_put_ _unsafe_index_put index_copy index_copy_ copy_ scatter scatter_",
)
SUBTRACTS = _words("sub sub_ rsub")
MULTIPLIES = _words("mul div mul_ div_ addcmul true_divide")

UNIFORM: Mapping[str, float | None] = {
    "zeros": 0.0,
    "zeros_like": 0.0,
    "new_zeros": 0.0,
    "ones": 1.0,
    "ones_like": 1.0,
    "new_ones": 1.0,
    "full": None,
    "full_like": None,
    "new_full": None,
    "scalar_tensor": None,
}
"""Operators that make a tensor of one value; None where the value is an argument."""

CONTRACTIONS: Mapping[str, tuple[int, str, str]] = {
    "mm": (0, "xc", "cw"),
    "addmm": (1, "xc", "cw"),
    "_addmm_activation": (1, "xc", "cw"),
    "_scaled_mm": (0, "xc", "cw"),
    "bmm": (0, "bxc", "bcw"),
    "baddbmm": (1, "bxc", "bcw"),
    "addbmm": (1, "bxc", "bcw"),
    "mv": (0, "xc", "c"),
    "addmv": (1, "xc", "c"),
    "dot": (0, "c", "c"),
    "vdot": (0, "c", "c"),
    "outer": (0, "x", "w"),
    "ger": (0, "x", "w"),
    "addr": (1, "x", "w"),
    "linear": (0, "xc", "wc"),
}
"""Place of the left factor among the tensor operands, and a letter for each dimension of both
factors: c is summed over, b runs along in both, x and w are free in the left and the right one."""

_SHAPE_ONLY = _words(
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like",
    "new_zeros new_ones new_full new_empty new_empty_strided bernoulli",
)
"""Operators that read a tensor for its shape, not for its values."""

_NORMS: Mapping[str, tuple[int, int]] = {
    "native_layer_norm": (2, 3),
    "native_group_norm": (1, 2),
    "_fused_rms_norm": (2, -1),
    "rms_norm": (2, -1),
}
"""Places of scale and shift among the arguments; the batch norms have them at 1 and 2."""


@cache
def schema(func: Any) -> Any:
    """The operator's declared signature."""
    return func._schema


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """What a recorder has to know of an operator; there is one for each, equal to itself alone.

    Parameters
    ----------
    name, base
        Its name in full, and without namespace and overload.
    form
        What it does; None for one that only moves elements.
    written
        Places and names of the arguments that it writes to.
    aliases
        Whether an output may share memory with what it reads.
    shape_only
        Whether it reads a tensor for its shape, not for its values.
    arguments
        Names of all its arguments, in order.
    by_shape
        Whether shapes of outputs follow from shapes of what is read. For an index, if it is no mask.
    """

    name: str
    base: str
    form: Form | None
    written: tuple[tuple[int, str], ...]
    aliases: bool
    shape_only: bool
    arguments: tuple[str, ...]
    by_shape: bool


@cache
def facts_of(func: Any) -> Facts:
    """What there is to know of an operator."""
    arguments = schema(func).arguments
    return Facts(
        name=str(func),
        base=base_name(func),
        form=form_of(func),
        written=tuple(
            (place, str(spec.name))
            for place, spec in enumerate(arguments)
            if schema(func).is_mutable and spec.alias_info is not None and spec.alias_info.is_write
        ),
        aliases=any(output.alias_info is not None for output in schema(func).returns),
        shape_only=base_name(func) in _SHAPE_ONLY,
        arguments=tuple(str(spec.name) for spec in arguments),
        by_shape=_by_shape(func),
    )


def _by_shape(func: Any) -> bool:
    if not isinstance(func, torch._ops.OpOverload) or func.namespace != "aten":
        return False  # an operator that is not torch's own may look at values
    if base_name(func).startswith("lift"):
        return False  # what is lifted is a constant, and torch keeps its value
    values = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}
    return func is torch.ops.aten.index.Tensor or not values & set(func.tags)


@cache
def base_name(func: Any) -> str:
    """The operator's name without its namespace and overload."""
    return str(schema(func).name).split("::")[-1]


@cache
def form_of(func: Any) -> Form | None:
    """The form of an operator; None for one that only moves elements."""
    name = base_name(func)
    if name in MOVES:
        return None
    if name in _FORMS:
        return _FORMS[name]
    if name.startswith("_scaled_dot_product") or "flex_attention" in name or "flash_attention" in name:
        return Form.ATTENTION
    if "_efficient_attention" in name or name == "_native_multi_head_attention":
        return Form.ATTENTION
    return Form.POINTWISE if torch.Tag.pointwise in func.tags else Form.OTHER


def parts_of(name: str, form: Form, count: int) -> dict[int, Part]:
    """The parts that an operator fixes by position; keys are places among its `count` arguments."""
    if form == Form.NORM:
        scale, shift = _NORMS.get(name, (1, 2))
        parts = {0: Part.DATA, scale: Part.SCALE, shift: Part.SHIFT}
        return {**parts, **({} if name in _NORMS else {3: Part.STATISTIC, 4: Part.STATISTIC})}
    if form == Form.CONVOLUTION:
        return {0: Part.DATA, 1: Part.WEIGHT, 2: Part.BIAS}
    if name == "linear":
        return {0: Part.DATA, 1: Part.WEIGHT, 2: Part.BIAS}
    if form == Form.LOOKUP:
        return {0: Part.TABLE, **dict.fromkeys(range(1, count), Part.INDEX)}
    if name in {"_prelu_kernel", "prelu"}:
        return {0: Part.DATA, 1: Part.SLOPE}
    if name == "mkldnn_rnn_layer":
        bias = Part.RECURRENT_BIAS
        return {1: Part.RECURRENT_INPUT, 2: Part.RECURRENT_STATE, 3: bias, 4: bias}
    if name.startswith("_thnn_fused"):
        return {3: Part.RECURRENT_BIAS, 4: Part.RECURRENT_BIAS}
    if name in {"addmm", "baddbmm", "addmv", "addbmm", "addr", "_addmm_activation"}:
        return {0: Part.BIAS}
    return {}

"""Sick networks as people posted them: in issues, in reviews of changes, in forums.

They were written, and checked for the first time, by one who had not read the rules. Most are known to be
sick because the same network with the right start trains, and they do not, or far worse, in 200 steps of
gradient descent with momentum (of Adam where that shows no difference). The others are so because it cannot
be otherwise: gradients of 0, equal members, a loss with a floor.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_posted_ends
import check_posted_norms
import check_posted_steps
import check_posted_tokens
import check_posted_weights
import check_posted_within
from check_blocks import BATCH, Case, Fault
from check_posted_parts import POOL, Made

__all__ = ["POSTED"]

_FILES: tuple[ModuleType, ...] = (
    check_posted_weights,
    check_posted_norms,
    check_posted_tokens,
    check_posted_steps,
    check_posted_ends,
    check_posted_within,
)

_ANSWERS: dict[str, tuple[str, str, str]] = {
    "typo_02_for_002": ("101 102 203 301 205 112", "no usual law", "sophiajw/HistAuGAN/pull/4"),
    "xavier_missing_brackets": ("101 102 106 112 203 301 205 105", "gain", "mlverse/torch/issues/555"),
    "depthwise_fan_out": ("101 102 203 205", "fan_out", "pytorch/pytorch/issues/23854"),
    "grouped_fan_of_all": ("101 102 203 205", "gain 0.14", "ml-explore/mlx/issues/4536"),
    "makemore_randn": (
        "105 301 203 205",
        "W1",
        "breno.bearblog.dev/the-weights-in-a-study-on-fixing-the-saturated-function",
    ),
    "transposed_fan": ("101 102 203 301 205", "w.2", "pytorch/pytorch/pull/130122"),
    "experts_three_dims": ("101 102 203 205", "", ""),
    "biases_below_zero": ("104 208 101 102 107", "below zero", "facebookresearch/dlrm/pull/358"),
    "weight_norm_g_one": ("101 102 203 205 208", "scales", "openai/weightnorm/issues/4"),
    "resnet_without_norms": ("108 101 102 301 203", "residual branches", "huangleiBuaa/ONI/issues/1"),
    "deepspeech_small_std": ("101 102 203 205", "", "mozilla/DeepSpeech/issues/138"),
    "critic_clipped": ("101 102 203 205", "", ""),
    "norm_gamma_drawn": ("204 101 102", "norms as well", "huggingface/transformers/issues/143"),
    "norm_gain_shift_swapped": ("204", "set to zero", "google/objax/pull/94"),
    "conditional_norm_zero_scale": (
        "204 101 302 103 203 102 201",
        "zeros on both sides",
        "ecmwf/anemoi-core/issues/633",
    ),
    "every_bn_gamma_zero": ("204", "set to zero", "google-deepmind/sonnet/issues/185"),
    "bn_gamma_tiny": ("204 101 102 103 208", "norms as well", "gcr/torch-residual-networks/pull/3"),
    "layer_norm_of_one_column": ("110", "one value", "pytorch/pytorch/issues/108956"),
    "group_norm_on_pooled": ("110", "one value", ""),
    "tied_table_std_one": ("209 301 203", "head too", "fastai/fastai/pull/2090"),
    "tokens_drowned_by_positions": ("209 103 101", "", "SamLynnEvans/Transformer/issues/10"),
    "positions_drowned_by_tokens": ("209 103 203", "", "espnet/espnet/issues/2797"),
    "xavier_word_table": ("209 101 203 208", "", "allenai/allennlp/pull/1120"),
    "lora_both_zero": ("201 302", "zeros on both sides", "Guitaricet/relora/issues/18"),
    "router_top1_renormalised": ("302", "divided by itself", "jingyaogong/minimind/issues/858"),
    "ensemble_of_copies": ("201 202", "copied", ""),
    "missing_keys_denormal": (
        "101 203 302 102 103 201 208",
        "constant",
        "huggingface/transformers/issues/35437",
    ),
    "attention_bias_nan": (
        "106",
        "never initialised",
        "EdGENetworks/attention-networks-for-classification/issues/7",
    ),
    "background_embedding_garbage": (
        "106 206 209 112 203 205 301",
        "never initialised",
        "sauradip/STALE/issues/16",
    ),
    "fully_masked_row": ("106", "masked", ""),
    "rnn_hidden_std_one": ("105 102 203 205 101", "rnn.weight_hh_l0", "speechbrain/speechbrain/issues/104"),
    "relu_rnn_over_one": ("101 102 106 112 203 301 207 205", "rnn.weight_hh_l0", "batzner/indrnn/issues/9"),
    "lstm_forget_wrong": ("102 101 208 105 303", "", "pytorch/pytorch/issues/20102"),
    "linear_recurrence_unstable": ("101 102 106 112 301 203", "a has", ""),
    "graph_sum_unnormalised": (
        "101 102 203 301",
        "not what brings it about",
        "awslabs/dgl-lifesci/issues/113",
    ),
    "graph_oversmoothed": ("103 101 102", "depth", "RS-KR/GNN-RS-Beginner/issues/12"),
    "capsules_small_std": ("101 102 203 209 301 205", "", "ageron/handson-ml/pull/176"),
    "detector_no_prior": ("304 301", "", "kuangliu/pytorch-retinanet/issues/10"),
    "siren_pixel_coordinates": ("401 105 101 102 103", "as it was measured", "vsitzmann/siren/issues/19"),
    "siren_hidden_not_divided": (
        "102 203 101 105 103 211",
        "each multiplies",
        "lucidrains/siren-pytorch/issues/1",
    ),
    "clip_without_temperature": ("307 301", "", "huggingface/transformers/issues/13430"),
    "softmax_of_one_output": (
        "307 302",
        "softmax over one",
        "wwe.bdsfgr1.cloudns.ch/localsearch/search?FORM=HDRSC2&q=SoftMax+Activation+Function",
    ),
    "softmax_before_cross_entropy": (
        "307",
        "softmax",
        "runebook.dev/en/docs/pytorch/generated/torch.nn.functional.sigmoid",
    ),
    "sigmoid_before_nll": ("307 301", "sigmoid", "example-a.com/answer/55469311"),
    "sigmoid_before_bce_logits": (
        "307",
        "sigmoid",
        "runebook.dev/en/docs/pytorch/generated/torch.nn.functional.sigmoid",
    ),
    "relu_ends_a_regression": (
        "307 104",
        "relu at the end",
        "math.techqa.club/are-relu-a-very-bad-choice-as-last-layer-for-regression-4483706",
    ),
    "tanh_for_targets_to_hundred": ("307 301", "tanh", ""),
    "house_prices": ("301 304 401 307", "unit of their own", ""),
    "cubic_of_thousands": (
        "401 301 304",
        "as it was measured",
        "discuss.pytorch.org/t/neural-network-could-not-learn-on-this-type-of-data-why/96648/5",
    ),
    "uint8_in_and_out": ("401 301 304", "as it was measured", "yulunzhang/RCAN/issues/76"),
    "normalised_twice": ("401 402 103", "as it was measured", ""),
    "table_columns_unscaled": ("401", "as it was measured", ""),
    "microvolts": ("401 101 208", "as it was measured", ""),
    "loader_repeats_one": ("402", "the data", ""),
    "broadcast_loss": ("307 301 304", "(N, 1)", ""),
    "encoder_detached": ("302", "detach", ""),
    "sign_units": ("302 102", "steps", ""),
    "tnet_without_identity": ("101 302 103 203 102 201 208", "zeros on both sides", ""),
    "stn_theta_zero": ("101 103 203 302 402", "", ""),
    "hard_gates_closed": ("302 101 104 105 208 102 103", "b.bias", ""),
    "flow_log_scales": ("101 102 106 112 301 203", "", ""),
    "vae_log_variance": ("401 106 112 301", "", "vanderschaarlab/synthcity/issues/331"),
    "factorisation_machine_std_one": ("301 209 101 203", "", "VinceShieh/spark-ffm/issues/12"),
    "gaussian_log_std": ("301 304 203", "log_std", ""),
    "exp_units": ("101 102 106 112 301 203", "", ""),
    "constant_column_standardised": ("106 403 401", "division by zero", ""),
    "distance_of_equal_pair": ("106 302", "root", ""),
}
"""For each kind the codes that may be found (without FAN), a word of the cause, and where it was posted
(github.com where no site is named; "" for those that were made up)."""


def case(made: Made) -> Case:
    """What a builder made, as `fanin.torch.check` takes it: the first samples, or a whole graph."""
    model, inputs, target, loss = made
    count = BATCH if len(target) == POOL else len(target)
    options: dict[str, Any] = {} if loss is None else {"loss": loss}
    return Case(model=model, inputs=tuple(x[:count] for x in inputs), target=target[:count], options=options)


def _seeded(make: Callable[..., Made]) -> Callable[[int], Case]:
    def build(seed: int) -> Case:
        return case(make(seed=seed, sick=True))

    build.__doc__ = make.__doc__
    return build


def _fault(name: str) -> Fault:
    make = next(getattr(file, name) for file in _FILES if hasattr(file, name))
    codes, cause, _ = _ANSWERS[name]
    return Fault(make=_seeded(make), codes=tuple(f"FAN{code}" for code in codes.split()), cause=cause)


POSTED: dict[str, Fault] = {name: _fault(name) for name in _ANSWERS}

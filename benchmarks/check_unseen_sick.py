"""Sick networks that were written, and checked for the first time, by one who had not read the rules.

Most are known to be sick because the same network with the right start trains, and they do not, or far worse,
in 200 steps on the same data. The others are so because it cannot be otherwise: gradients of 0, equal
units, a loss with a floor.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import check_unseen_blocks
import check_unseen_dense
import check_unseen_images
import check_unseen_models
import check_unseen_signals
import check_unseen_steps
import check_unseen_tokens
import check_unseen_towers
from check_blocks import Case, Fault, start

__all__ = ["UNSEEN_SICK"]

_FILES: tuple[ModuleType, ...] = (
    check_unseen_dense,
    check_unseen_towers,
    check_unseen_images,
    check_unseen_signals,
    check_unseen_tokens,
    check_unseen_blocks,
    check_unseen_models,
    check_unseen_steps,
)

_ANSWERS: dict[str, tuple[tuple[str, ...], str]] = {
    "tanh_mlp_randn": (("FAN105",), "std 1"),
    "deep_relu_n001": (("FAN101", "FAN102"), "std 0.01"),
    "residual_mlp_unscaled": (("FAN101", "FAN108"), "residual branches"),
    "rand_instead_of_randn": (("FAN205",), "one sign"),
    "softmax_then_ce": (("FAN307",), "softmax"),
    "sigmoid_depth_100": (("FAN102",), "sigmoid"),
    "quantile_loss_million": (("FAN301",), "unit of its own"),
    "regression_relu_end": (("FAN307",), "relu at the end"),
    "regression_relu_dead_end": (("FAN104",), "4.bias"),
    "tabular_raw_feature": (("FAN401",), "as it was measured"),
    "rows_all_equal": (("FAN402",), "the data"),
    "deepsets_sum_1000": (("FAN101",), "sum"),
    "siren_default_linear": (("FAN102", "FAN101"), "default law"),
    "realnvp_scale_explodes": (("FAN106", "FAN101"), ""),
    "hypernet_head_randn": (("FAN301", "FAN101"), "hyper.2.weight"),
    "moe_router_collapsed": (("FAN111",), "router.bias"),
    "moe_cloned_experts": (("FAN202", "FAN201"), "copied"),
    "matrix_factors_std1": (("FAN301",), "N(0, 1)"),
    "ppo_actor_gain_100": (("FAN301",), "pi.weight"),
    "critic_raw_returns": (("FAN301",), "targets"),
    "siamese_sqrt_zero": (("FAN106",), "root"),
    "half_overflow": (("FAN101", "FAN106"), "std 1"),
    "tower_never_called": (("FAN302",), "not called"),
    "no_grad_in_forward": (("FAN302",), "no_grad"),
    "data_trick": (("FAN302",), "detach"),
    "layernorm_over_one": (("FAN110",), "one value"),
    "cnn_constant": (("FAN201",), "constant"),
    "lenet_raw_pixels": (("FAN401",), "as it was measured"),
    "vgg_negative_bias": (("FAN104",), "biases"),
    "resnet_eval_tiny_running_var": (("FAN110",), "running statistics"),
    "densenet_gamma_zero": (("FAN204",), "set to zero"),
    "mobilenet_fan_out_groups": (("FAN101",), "fan_out"),
    "unet_sigmoid_bcelogits": (("FAN307",), "sigmoid"),
    "conv3d_default_deep": (("FAN102",), "default law"),
    "autoencoder_relu_end": (("FAN307",), "relu at the end"),
    "vae_logvar_head": (("FAN301", "FAN106"), "logvar"),
    "generator_tanh_saturated": (("FAN105",), "gain"),
    "discriminator_saturated": (("FAN105",), "gain"),
    "wavenet_gates_closed": (("FAN105",), "bias"),
    "tcn_weight_norm_small_g": (("FAN102", "FAN101"), "scale"),
    "textcnn_equal_filters": (("FAN201",), "copied"),
    "group_norm_after_pool": (("FAN110",), "one value"),
    "gnn_sum_high_degree": (("FAN101",), "not what brings it about"),
    "gat_isolated_node": (("FAN106",), "masked"),
    "ctc_too_few_frames": (("FAN106",), "loss function"),
    "lstm_lm_gates_shut": (("FAN105",), "closed"),
    "lstm_forget_minus_10": (("FAN105",), "closed"),
    "gru_recurrent_times_20": (("FAN105",), "weight_hh"),
    "irnn_identity_times_1_3": (("FAN101",), ""),
    "rnn_cell_recurrent_n001": (("FAN102", "FAN101"), "h2h.weight"),
    "gpt_tied_std_1": (("FAN209",), "head too"),
    "encoder_without_sqrt_d": (("FAN111",), "1/sqrt(d)"),
    "transformer_no_norm_deep": (("FAN101",), "residual branches"),
    "gpt_positions_drown_tokens": (("FAN209",), "apart from each other"),
    "seq2seq_memory_detached": (("FAN302",), "detach"),
    "all_tokens_padding": (("FAN402",), "the data"),
    "mixer_both_zero": (("FAN201",), "zeros on both sides"),
    "gmlp_gate_bias_100": (("FAN301", "FAN101", "FAN108"), "bias"),
    "ft_transformer_missing_value": (("FAN106",), "the data"),
    "post_ln_weights_times_10": (("FAN102", "FAN111"), "weights"),
    "vit_head_std_1": (("FAN301",), "head.weight"),
    "vit_constant_blocks": (("FAN201",), "constant"),
    "vit_norm_gamma_zero": (("FAN204",), "set to zero"),
    "masked_row_nan": (("FAN106",), "masked"),
    "cloned_blocks": (("FAN202",), "copied"),
    "lstm_input_weights_times_30": (("FAN105",), "weight_ih"),
    "bert_range_1": (("FAN105", "FAN111", "FAN101"), "std 1"),
    "gpt2_dropout_95": (("FAN210",), "share"),
    "resnet_nan_weight": (("FAN106",), "never initialised"),
    "llama_tied_std_1": (("FAN209",), "head too"),
    "convnext_dead_branches": (("FAN201",), "zeros on both sides"),
    "t5_weights_times_10": (("FAN111", "FAN209"), ""),
    "one_layer_times_100": (("FAN101",), "4.weight"),
    "batchnorm_batch_of_two": (("FAN110",), "a batch of 2"),
    "nll_on_probabilities": (("FAN307",), "log-softmax"),
    "vq_without_straight_through": (("FAN302",), "detach"),
    "sign_activation": (("FAN302",), "function of steps"),
    "nerf_density_dead": (("FAN104",), "sigma.bias"),
    "neural_ode_step_one": (("FAN105",), "f.0.weight"),
    "normalize_of_zero": (("FAN101",), "zero"),
}
"""For each kind the codes that may be found, and a word of the cause."""


def _seeded(make: Callable[..., Case]) -> Callable[[int], Case]:
    def build(seed: int) -> Case:
        start(seed)
        return make(sick=True)

    build.__doc__ = make.__doc__
    return build


def _fault(name: str) -> Fault:
    make = next(getattr(file, name) for file in _FILES if hasattr(file, name))
    codes, cause = _ANSWERS[name]
    return Fault(make=_seeded(make), codes=codes, cause=cause)


UNSEEN_SICK: dict[str, Fault] = {name: _fault(name) for name in _ANSWERS}

"""Causal language models of transformers with settings that are seldom set."""

from __future__ import annotations

from typing import Any

import torch
import transformers as t
from check_brought_data import LETTERS, Case, text

__all__ = ["KINDS"]

SMALL = {"vocab_size": LETTERS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def _causal(g: torch.Generator) -> Any:
    ids = text(g)
    return ({"input_ids": ids, "labels": ids},), None


def _lm(seed: int, config: Any, cls: Any, lr: Any = 3e-3, draw: Any = _causal, **how: Any) -> Any:
    torch.manual_seed(seed)
    model = cls(config) if not how else cls._from_config(config, **how)
    return Case(model, draw, None, lr)


def falcon_alibi(seed: int) -> Case:
    config = t.FalconConfig(
        **SMALL,
        alibi=True,
        multi_query=True,
        parallel_attn=True,
        bias=True,
        new_decoder_architecture=False,
        **ENDS,
    )
    return _lm(seed, config, t.FalconForCausalLM, attn_implementation="eager")


def opt_post_norm(seed: int) -> Case:
    config = t.OPTConfig(
        **SMALL,
        ffn_dim=64,
        max_position_embeddings=64,
        do_layer_norm_before=False,
        word_embed_proj_dim=16,
        activation_function="gelu",
        **ENDS,
    )
    return _lm(seed, config, t.OPTForCausalLM)


def persimmon_squared_relu(seed: int) -> Case:
    config = t.PersimmonConfig(**SMALL, intermediate_size=64, hidden_act="relu2", qk_layernorm=True, **ENDS)
    return _lm(seed, config, t.PersimmonForCausalLM)


def stablelm_parallel_checkpointed(seed: int) -> Case:
    config = t.StableLmConfig(
        **SMALL,
        intermediate_size=64,
        num_key_value_heads=2,
        use_parallel_residual=True,
        qk_layernorm=True,
        use_qkv_bias=True,
        **ENDS,
    )
    case = _lm(seed, config, t.StableLmForCausalLM)
    case.model.gradient_checkpointing_enable()
    case.model.train()
    return case


def cohere_parallel_tied(seed: int) -> Case:
    config = t.CohereConfig(
        **SMALL, intermediate_size=64, num_key_value_heads=2, logit_scale=0.25, use_qk_norm=True, **ENDS
    )
    return _lm(seed, config, t.CohereForCausalLM)


def olmo2_tanh_gqa(seed: int) -> Case:
    config = t.Olmo2Config(
        **SMALL, intermediate_size=64, num_key_value_heads=1, hidden_act="tanh", attention_bias=True, **ENDS
    )
    return _lm(seed, config, t.Olmo2ForCausalLM)


def mixtral_router_loss(seed: int) -> Case:
    config = t.MixtralConfig(
        **SMALL,
        intermediate_size=48,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        output_router_logits=True,
        **ENDS,
    )
    return _lm(seed, config, t.MixtralForCausalLM)


def granite_multipliers(seed: int) -> Case:
    config = t.GraniteConfig(
        **SMALL,
        intermediate_size=64,
        num_key_value_heads=2,
        embedding_multiplier=12.0,
        residual_multiplier=0.22,
        attention_multiplier=0.125,
        logits_scaling=8.0,
        tie_word_embeddings=True,
        initializer_range=0.1,
        **ENDS,
    )
    return _lm(seed, config, t.GraniteForCausalLM)


def llama_bfloat16(seed: int) -> Case:
    config = t.LlamaConfig(
        **SMALL,
        intermediate_size=64,
        num_key_value_heads=4,
        hidden_act="gelu_pytorch_tanh",
        mlp_bias=True,
        **ENDS,
    )
    case = _lm(seed, config, t.LlamaForCausalLM)
    return case._replace(model=case.model.to(torch.bfloat16))


def rwkv_four(seed: int) -> Case:
    config = t.RwkvConfig(
        vocab_size=LETTERS,
        hidden_size=32,
        attention_hidden_size=32,
        num_hidden_layers=2,
        context_length=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    return _lm(seed, config, t.RwkvForCausalLM, lr=1e-2)


def falcon_mamba(seed: int) -> Case:
    config = t.FalconMambaConfig(
        vocab_size=LETTERS,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=4,
        time_step_rank=4,
        conv_kernel=3,
        **ENDS,
    )
    return _lm(seed, config, t.FalconMambaForCausalLM)


def recurrent_gemma(seed: int) -> Case:
    config = t.RecurrentGemmaConfig(
        vocab_size=LETTERS,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        intermediate_size=64,
        lru_width=32,
        attention_window_size=16,
        **ENDS,
    )
    return _lm(seed, config, t.RecurrentGemmaForCausalLM)


def gpt_oss_sinks(seed: int) -> Case:
    config = t.GptOssConfig(
        **SMALL,
        head_dim=8,
        num_key_value_heads=2,
        intermediate_size=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        **ENDS,
    )
    return _lm(seed, config, t.GptOssForCausalLM, attn_implementation="eager")


def qwen3_next_delta(seed: int) -> Case:
    config = t.Qwen3NextConfig(
        **SMALL,
        head_dim=8,
        num_key_value_heads=2,
        intermediate_size=64,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        layer_types=["linear_attention", "full_attention"],
        **ENDS,
    )
    return _lm(seed, config, t.Qwen3NextForCausalLM)


def gptj_from_embeds(seed: int) -> Case:
    config = t.GPTJConfig(
        vocab_size=LETTERS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        rotary_dim=4,
        n_positions=64,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    fixed = torch.randn(LETTERS, 32, generator=torch.Generator().manual_seed(7))

    def draw(g: torch.Generator) -> Any:
        ids = text(g)
        return ({"inputs_embeds": fixed[ids], "labels": ids},), None

    return _lm(seed, config, t.GPTJForCausalLM, draw=draw)


class LowRank(torch.nn.Module):
    """A frozen linear layer with a low-rank adapter beside it: A drawn, B zero."""

    def __init__(self, base: Any, rank: Any = 4, alpha: Any = 8) -> None:
        super().__init__()
        self.base = base
        for parameter in base.parameters():
            parameter.requires_grad_(False)
        outs, ins = base.weight.shape if isinstance(base, torch.nn.Linear) else base.weight.shape[::-1]
        self.lora_A = torch.nn.Parameter(torch.empty(rank, ins))
        self.lora_B = torch.nn.Parameter(torch.zeros(outs, rank))
        torch.nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)
        self.scaling = alpha / rank

    def forward(self, x: Any) -> Any:
        return self.base(x) + self.scaling * (x @ self.lora_A.T) @ self.lora_B.T


def lora_by_hand(seed: int) -> Case:
    config = t.GPT2Config(
        vocab_size=LETTERS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    case = _lm(seed, config, t.GPT2LMHeadModel, lr=2e-2)
    for parameter in case.model.parameters():
        parameter.requires_grad_(False)
    for block in case.model.transformer.h:
        block.attn.c_attn = LowRank(block.attn.c_attn)
        block.mlp.c_fc = LowRank(block.mlp.c_fc)
        block.mlp.c_proj = LowRank(block.mlp.c_proj)
    case.model.lm_head.weight.requires_grad_(True)  # tied: the embedding learns, too
    return case


KINDS = (
    falcon_alibi,
    opt_post_norm,
    persimmon_squared_relu,
    stablelm_parallel_checkpointed,
    cohere_parallel_tied,
    olmo2_tanh_gqa,
    mixtral_router_loss,
    granite_multipliers,
    llama_bfloat16,
    rwkv_four,
    falcon_mamba,
    recurrent_gemma,
    gpt_oss_sinks,
    qwen3_next_delta,
    gptj_from_embeds,
    lora_by_hand,
)

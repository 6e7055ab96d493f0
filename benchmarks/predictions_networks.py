"""Networks of many kinds, with a batch each, on which predictions are held against measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from check_blocks import PreResidual
from torch import nn

__all__ = ["NETWORKS", "Network"]

Made = tuple[nn.Module, Any, torch.Tensor | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model, its batch and its labels, from the random state that was set before; `own` names its init.

    `loss` is what the labels go into; None for what their type calls for.
    """

    make: Callable[[], Made]
    what: str
    own: str = "PyTorch"
    loss: Callable[..., Any] | None = None


CLASSES = 10


def mlp(activation: Callable[[], nn.Module], depth: int, width: int = 256, norm: Any = None) -> Made:
    """A plain network on 64 vectors."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), *([norm(width)] if norm else []), activation()]
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    return model, torch.randn(64, width), torch.randint(0, CLASSES, (64,))


def conv(activation: Callable[[], nn.Module], depth: int) -> Made:
    """Padded convolutions, one of them with stride 2, on 32 images."""
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Conv2d(64 if k else 3, 64, 3, padding=1, stride=2 if k == 2 else 1), activation()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))
    return model, torch.randn(32, 3, 16, 16), torch.randint(0, CLASSES, (32,))


class Glu(nn.Module):
    """``x + V (silu(W x) * U x)`` behind an RMS norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.gate, self.up = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One block."""
        y = self.norm(x)
        out: torch.Tensor = x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))
        return out


def blocks(kind: Callable[[int], nn.Module], depth: int) -> Made:
    """Residual blocks on 64 vectors."""
    model = nn.Sequential(nn.Linear(128, 128), *[kind(128) for _ in range(depth)], nn.Linear(128, CLASSES))
    return model, torch.randn(64, 128), torch.randint(0, CLASSES, (64,))


def resnet(depth: int, batch: int, side: int = 96) -> Made:
    """Of the transformers library, in training mode."""
    deep = {18: ([2, 2, 2, 2], "basic"), 50: ([3, 4, 6, 3], "bottleneck")}[depth]
    widths = [64, 128, 256, 512] if depth == 18 else [256, 512, 1024, 2048]
    config = hf.ResNetConfig(depths=deep[0], layer_type=deep[1], hidden_sizes=widths, num_labels=1000)
    model = hf.ResNetForImageClassification(config)
    return model, torch.randn(batch, 3, side, side), torch.randint(0, 1000, (batch,))


class Language(nn.Module):
    """Tokens through an encoder of torch's own layers."""

    def __init__(self, *, first: bool, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(500, 128)
        layers = [nn.TransformerEncoderLayer(128, 4, 512, batch_first=True, norm_first=first, dropout=0.0)
                  for _ in range(depth)]  # fmt: skip
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(128, 500)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        out: torch.Tensor = self.head(self.layers(self.embed(x)))
        return out


def encoder(*, first: bool, depth: int = 6) -> Made:
    """A transformer of torch's own layers on 8 sequences of 32 tokens."""
    ids = torch.randint(0, 500, (8, 32))
    return Language(first=first, depth=depth), ids, torch.randint(0, 500, (8, 32))


class Steps(nn.Module):
    """A recurrent layer and a head at every step."""

    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.steps = kind(32, 96, batch_first=True, **options)
        width = options.get("proj_size") or 96
        self.head = nn.Linear(width * (2 if options.get("bidirectional") else 1), CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every step."""
        out: torch.Tensor = self.head(self.steps(x)[0])
        return out


def recurrent(kind: Any, **options: Any) -> Made:
    """32 sequences of 24 steps."""
    return Steps(kind, **options), torch.randn(32, 24, 32), torch.randint(0, CLASSES, (32, 24))


def small(kind: str, task: str, length: int = 32, **sizes: Any) -> Made:
    """A language model of the transformers library, in evaluation mode: 8 sequences of 32 tokens."""
    config = hf.AutoConfig.for_model(kind, **sizes)
    model = getattr(hf, f"AutoModelFor{task}").from_config(config).eval()
    vocabulary = config.get_text_config().vocab_size
    ids = torch.randint(5, vocabulary, (8, length))
    batch: dict[str, Any] = {"input_ids": ids}
    if task == "Seq2SeqLM":
        batch["decoder_input_ids"] = torch.randint(5, vocabulary, (8, length))
    return model, batch, torch.randint(0, vocabulary, (8, length))


SIZE: dict[str, Any] = {"hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4,
                        "intermediate_size": 512, "vocab_size": 500}  # fmt: skip
LLAMA = SIZE | {
    "num_key_value_heads": 2,
    "head_dim": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "n_embd": 128,
    "n_layer": 6,
    "n_head": 4,
    "vocab_size": 500,
    "n_positions": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
T5 = {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 4, "num_heads": 4, "vocab_size": 500}
MAMBA = {"hidden_size": 128, "num_hidden_layers": 4, "vocab_size": 500, "state_size": 8}


def gpt2() -> Made:
    """The whole GPT-2, 124 million weights, on 1,024 tokens."""
    model = hf.GPT2LMHeadModel(hf.GPT2Config()).eval()
    ids = torch.randint(0, 50257, (4, 256))
    return model, {"input_ids": ids}, torch.randint(0, 50257, (4, 256))


def image(kind: str, **sizes: Any) -> Made:
    """A classifier of images of the transformers library, in training mode: 16 of 64 x 64."""
    config = hf.AutoConfig.for_model(kind, num_labels=CLASSES, **sizes)
    model = hf.AutoModelForImageClassification.from_config(config)
    return model, torch.randn(16, 3, 64, 64), torch.randint(0, CLASSES, (16,))


VIT = {"hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 512,
       "image_size": 64, "patch_size": 8, "hidden_dropout_prob": 0.0}  # fmt: skip
CONVNEXT = {"depths": [2, 2, 4, 2], "hidden_sizes": [48, 96, 192, 384]}


def whisper() -> Made:
    """Encoder and decoder on 4 spectrograms."""
    heads = dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], 4)
    wide = dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim"], 512)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    lengths = {"max_source_positions": 64, "max_target_positions": 32, "num_mel_bins": 40}
    sizes = {"d_model": 128, "encoder_layers": 4, "decoder_layers": 4, "vocab_size": 500}
    config = hf.WhisperConfig(**sizes, **heads, **wide, **tokens, **lengths)
    model = hf.WhisperForConditionalGeneration(config).eval()
    batch = {"input_features": torch.randn(4, 40, 128), "decoder_input_ids": torch.randint(5, 500, (4, 32))}
    return model, batch, torch.randint(0, 500, (4, 32))


def _net(make: Callable[[], Made], what: str, own: str = "PyTorch") -> Network:
    return Network(make=make, what=what, own=own)


NETWORKS: dict[str, Network] = {
    "ReLU 10": _net(lambda: mlp(nn.ReLU, 10), "10 layers of 256"),
    "ReLU 50": _net(lambda: mlp(nn.ReLU, 50), "50 layers of 256"),
    "leaky 20": _net(lambda: mlp(lambda: nn.LeakyReLU(0.2), 20), "20 layers of 256"),
    "tanh 50": _net(lambda: mlp(nn.Tanh, 50), "50 layers of 256"),
    "sigmoid 5": _net(lambda: mlp(nn.Sigmoid, 5), "5 layers of 256"),
    "GELU 12": _net(lambda: mlp(nn.GELU, 12), "12 layers of 256"),
    "SiLU 12": _net(lambda: mlp(nn.SiLU, 12), "12 layers of 256"),
    "ELU 12": _net(lambda: mlp(nn.ELU, 12), "12 layers of 256"),
    "SELU 30": _net(lambda: mlp(nn.SELU, 30), "30 layers of 256"),
    "softplus 6": _net(lambda: mlp(nn.Softplus, 6), "6 layers of 256"),
    "mish 12": _net(lambda: mlp(nn.Mish, 12), "12 layers of 256"),
    "LayerNorm 20": _net(lambda: mlp(nn.ReLU, 20, norm=nn.LayerNorm), "20 layers of 256"),
    "BatchNorm 10": _net(lambda: mlp(nn.ReLU, 10, norm=nn.BatchNorm1d), "10 layers of 256"),
    "conv ReLU 8": _net(lambda: conv(nn.ReLU, 8), "8 convolutions of 64"),
    "conv tanh 8": _net(lambda: conv(nn.Tanh, 8), "8 convolutions of 64"),
    "conv GELU 8": _net(lambda: conv(nn.GELU, 8), "8 convolutions of 64"),
    "residual 24": _net(lambda: blocks(PreResidual, 24), "24 blocks of 128, no norm"),
    "GLU 12": _net(lambda: blocks(Glu, 12), "12 gated blocks of 128"),
    "ResNet-18, 8": _net(lambda: resnet(18, 8), "8 images of 96 x 96", "transformers"),
    "ResNet-18, 32": _net(lambda: resnet(18, 32, 64), "32 images of 64 x 64", "transformers"),
    "ResNet-50, 8": _net(lambda: resnet(50, 8), "8 images of 96 x 96", "transformers"),
    "ResNet-50, 32": _net(lambda: resnet(50, 32, 64), "32 images of 64 x 64", "transformers"),
    "norm first": _net(lambda: encoder(first=True), "6 layers of 128"),
    "norm last": _net(lambda: encoder(first=False), "6 layers of 128"),
    "RNN": _net(lambda: recurrent(nn.RNN), "96 units, 24 steps"),
    "RNN ReLU": _net(lambda: recurrent(nn.RNN, nonlinearity="relu"), "96 units, 24 steps"),
    "GRU": _net(lambda: recurrent(nn.GRU), "96 units, 24 steps"),
    "GRU 2 both ways": _net(
        lambda: recurrent(nn.GRU, num_layers=2, bidirectional=True), "96 units, 24 steps"
    ),
    "LSTM": _net(lambda: recurrent(nn.LSTM), "96 units, 24 steps"),
    "LSTM 2 both ways": _net(
        lambda: recurrent(nn.LSTM, num_layers=2, bidirectional=True), "96 units, 24 steps"
    ),
    "LSTM projected": _net(
        lambda: recurrent(nn.LSTM, num_layers=2, proj_size=48), "96 units to 48, 24 steps"
    ),
    "GPT-2 small": _net(lambda: small("gpt2", "CausalLM", **GPT2), "6 layers of 128", "transformers"),
    "GPT-2": _net(gpt2, "124 M, 1,024 tokens", "transformers"),
    "BERT": _net(lambda: small("bert", "MaskedLM", **SIZE), "6 layers of 128", "transformers"),
    "T5": _net(lambda: small("t5", "Seq2SeqLM", **T5), "4 + 4 layers of 128", "transformers"),
    "Llama": _net(lambda: small("llama", "CausalLM", **LLAMA), "6 layers of 128", "transformers"),
    "Mistral": _net(lambda: small("mistral", "CausalLM", **LLAMA), "6 layers of 128", "transformers"),
    "Mamba": _net(lambda: small("mamba", "CausalLM", **MAMBA), "4 layers of 128", "transformers"),
    "ViT": _net(lambda: image("vit", **VIT), "6 layers of 128, 64 patches", "transformers"),
    "ConvNeXt": _net(lambda: image("convnext", **CONVNEXT), "10 blocks", "transformers"),
    "Whisper": _net(whisper, "4 + 4 layers of 128", "transformers"),
}

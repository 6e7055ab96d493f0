"""A pre-norm transformer of 48 layers: without a depth factor the residual stream grows tenfold.

Each of 96 branches adds about as much power as the first; with ``1/sqrt(96)`` on the last weight of
each, they add in all what one does. A. Radford et al., Language Models are Unsupervised Multitask
Learners, 2019, section 2.3. The branches are counted in the model's graph.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from training import full, initialised, show

POLICIES = ("lecun", "lecun+depth-scaled", "auto", "auto+zero-out", "gpt2")


class Layer(nn.Module):
    """Attention and a feed-forward part, each behind a norm and added to the stream."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Carry the stream on."""
        batch, length, width = x.shape
        packed = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        ended: torch.Tensor = x + self.down(functional.gelu(self.up(self.norm2(x))))
        return ended


class Stack(nn.Module):
    """Layers on one stream, and a head behind a last norm."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of sequences."""
        for layer in self.layers:
            x = layer(x)
        logits: torch.Tensor = self.head(self.norm(x).mean(1))
        return logits


def measure(policy: str, *, layers: int, width: int) -> tuple[float, float]:
    """How many times larger the stream is at its end, and the first layer's gradient than the last's."""
    model = Stack(layers, width)
    initialised(model, policy, 0, size=(1, 8, width))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 16, width, generator=generator)
    start = float(x.std())
    ends: list[torch.Tensor] = []
    hook = model.norm.register_forward_hook(lambda _, inputs, __: ends.append(inputs[0]))
    model(x).square().mean().backward()
    hook.remove()
    sizes = [layer.down.weight.grad.norm() for layer in model.layers]  # type: ignore[union-attr, operator]
    share = float(sizes[0] / sizes[-1])
    return float(ends[0].detach().std()) / start, share


def main() -> None:
    """Print the stream's growth for each policy."""
    whole = full(__doc__)
    layers, width = (48, 256) if whole else (48, 32)
    rows = [
        (policy, *measure(policy, layers=layers, width=width))
        for policy in (POLICIES if whole else POLICIES[:2])
    ]
    show(("policy", f"stream after {2 * layers} branches", "gradient, first to last layer"), rows)


if __name__ == "__main__":
    main()

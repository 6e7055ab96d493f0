"""Speech, text in pictures and sequences by convolution, as their authors initialise them."""

from __future__ import annotations

import torch
from check_unseen_healthy_data import Batch, Case, chars, digits, images, unigram, vocabulary
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _strips(seed: int) -> tuple[Tensor, Tensor]:
    """Three digits side by side (n, 1, 16, 48) and their classes."""
    x, y = images(seed, 96, 16)
    return x.view(32, 3, 16, 16).permute(0, 2, 1, 3).reshape(32, 1, 16, 48), y.view(32, 3)


def _ctc(out: Tensor, y: Tensor) -> Tensor:
    """(time, batch, classes) of log probabilities, blank last."""
    t, n, _ = out.shape
    return functional.ctc_loss(out, y, torch.full((n,), t), torch.full((n,), 3), blank=10)


class CRNN(nn.Module):
    """meijieru's: convolutions N(0, 0.02), norms N(1, 0.02), two bidirectional LSTMs, CTC."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1),
            nn.ReLU(True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, 1, 1),
            nn.BatchNorm2d(32),
            nn.ReLU(True),
            nn.MaxPool2d((2, 1)),
            nn.Conv2d(32, 32, (4, 3), 1, (0, 1)),
            nn.BatchNorm2d(32),
            nn.ReLU(True),
        )
        self.rnn1, self.out1 = nn.LSTM(32, 32, bidirectional=True), nn.Linear(64, 32)
        self.rnn2, self.out2 = nn.LSTM(32, 32, bidirectional=True), nn.Linear(64, 11)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0.0, 0.02)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.normal_(m.weight, 1.0, 0.02)
                nn.init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.cnn(x).squeeze(2).permute(2, 0, 1)
        h = self.out1(self.rnn1(h)[0])
        return functional.log_softmax(self.out2(self.rnn2(h)[0]), dim=-1)


def crnn_ocr(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = _strips(s)
        return (x,), y

    return Case(model=CRNN(), draw=draw, loss=_ctc, chance=3.3, lr=3e-3, share=0.85, steps=400)


class ConformerBlock(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()

        def ff() -> nn.Sequential:
            return nn.Sequential(
                nn.LayerNorm(d),
                nn.Linear(d, 4 * d),
                nn.SiLU(),
                nn.Dropout(0.1),
                nn.Linear(4 * d, d),
                nn.Dropout(0.1),
            )

        self.f1, self.f2, self.na, self.nc, self.last = (
            ff(),
            ff(),
            nn.LayerNorm(d),
            nn.LayerNorm(d),
            nn.LayerNorm(d),
        )
        self.attn = nn.MultiheadAttention(d, 4, batch_first=True)
        self.conv = nn.Sequential(
            nn.Conv1d(d, 2 * d, 1),
            nn.GLU(dim=1),
            nn.Conv1d(d, d, 7, padding=3, groups=d),
            nn.BatchNorm1d(d),
            nn.SiLU(),
            nn.Conv1d(d, d, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.f1(x)
        h = self.na(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        x = x + self.conv(self.nc(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.last(x + 0.5 * self.f2(x))
        return out


class Conformer(nn.Module):
    def __init__(self, d: int = 48) -> None:
        super().__init__()
        self.into = nn.Linear(32, d)
        self.blocks, self.out = nn.Sequential(ConformerBlock(d), ConformerBlock(d)), nn.Linear(d, 11)

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(self.out(self.blocks(self.into(x))), -1).transpose(0, 1)


def conformer_ctc(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = _strips(s)
        return (x.squeeze(1).transpose(1, 2).reshape(32, 24, 32),), y

    return Case(model=Conformer(), draw=draw, loss=_ctc, chance=3.3, lr=2e-3, share=0.85, steps=400)


class TemporalBlock(nn.Module):
    """TCN of locuslab: weight norm, causal cuts, weights N(0, 0.01)."""

    def __init__(self, i: int, o: int, dilation: int) -> None:
        super().__init__()
        pad = 2 * dilation
        wn = nn.utils.weight_norm
        self.c1, self.c2 = (wn(nn.Conv1d(a, o, 3, padding=pad, dilation=dilation)) for a in (i, o))
        self.down, self.cut = nn.Conv1d(i, o, 1) if i != o else None, pad
        for c in (self.c1, self.c2):
            c.weight_v.data.normal_(0, 0.01)
        if self.down is not None:
            nn.init.normal_(self.down.weight, 0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.dropout(functional.relu(self.c1(x)[..., : -self.cut]), 0.1, self.training)
        h = functional.dropout(functional.relu(self.c2(h)[..., : -self.cut]), 0.1, self.training)
        return functional.relu(h + (x if self.down is None else self.down(x)))


class TCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            TemporalBlock(1, 25, 1),
            TemporalBlock(25, 25, 2),
            TemporalBlock(25, 25, 4),
            TemporalBlock(25, 25, 8),
        )
        self.linear = nn.Linear(25, 10)

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(self.linear(self.net(x)[:, :, -1]), dim=1)


def tcn(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = digits(s)
        return (x.unsqueeze(1),), y

    return Case(model=TCN(), draw=draw, loss=functional.nll_loss, lr=4e-3, share=0.8, steps=400)


class WaveNet(nn.Module):
    """Gated dilated convolutions, residual and skip, one-hot characters in, a character out."""

    def __init__(self, c: int = 32) -> None:
        super().__init__()
        v = vocabulary()
        self.start, self.dilations = nn.Conv1d(v, c, 1), (1, 2, 4, 8)
        self.filters = nn.ModuleList(nn.Conv1d(c, c, 2, dilation=d) for d in self.dilations)
        self.gates = nn.ModuleList(nn.Conv1d(c, c, 2, dilation=d) for d in self.dilations)
        self.residuals, self.skips = (
            nn.ModuleList(nn.Conv1d(c, o, 1) for _ in self.dilations) for o in (c, 64)
        )
        self.end1, self.end2 = nn.Conv1d(64, 64, 1), nn.Conv1d(64, v, 1)

    def forward(self, idx: Tensor) -> Tensor:
        x = self.start(functional.one_hot(idx, self.start.in_channels).float().transpose(1, 2))
        skip = 0.0
        for d, f, g, r, s in zip(
            self.dilations, self.filters, self.gates, self.residuals, self.skips, strict=True
        ):
            padded = functional.pad(x, (d, 0))
            h = torch.tanh(f(padded)) * torch.sigmoid(g(padded))
            skip = skip + s(h)
            x = x + r(h)
        out: Tensor = self.end2(functional.relu(self.end1(functional.relu(skip))))  # type: ignore[arg-type]
        return out.transpose(1, 2)


def wavenet(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, y = chars(s)
        return (x,), y

    return Case(model=WaveNet(), draw=draw, chance=unigram(), share=0.9, lr=3e-3)


KINDS = {f.__name__: f for f in (crnn_ocr, conformer_ctc, tcn, wavenet)}

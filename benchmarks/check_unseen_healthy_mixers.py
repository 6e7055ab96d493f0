"""Language models without softmax attention, and recurrent ones, as their authors initialise them."""

from __future__ import annotations

import math

import torch
from check_unseen_healthy_data import Batch, Case, chars, digits, images, unigram, vocabulary
from check_unseen_healthy_language import HEADS, D, Pair, RMSNorm, Stack, _lm, _mlp, _normal
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


class RWKV(nn.Module):
    """Time mixing of RWKV-4: token shift, decays by channel; output, receptance and key begin at zero."""

    def __init__(self, layer: int, layers: int) -> None:
        super().__init__()
        ratio = layer / (layers - 1)
        x = torch.arange(D) / D
        self.mix = nn.Parameter(x ** (1 - ratio))
        self.decay = nn.Parameter(-5 + 8 * (torch.arange(D) / (D - 1)) ** (0.7 + 1.3 * ratio))
        self.first = nn.Parameter(
            torch.ones(D) * math.log(0.3) + torch.tensor([(i + 1) % 3 - 1 for i in range(D)]) * 0.5
        )
        self.key, self.value, self.receptance, self.output = (nn.Linear(D, D, bias=False) for _ in range(4))
        for zero in (self.key, self.receptance, self.output):
            nn.init.zeros_(zero.weight)
        nn.init.orthogonal_(self.value.weight)

    def forward(self, x: Tensor) -> Tensor:
        before = functional.pad(x, (0, 0, 1, -1))
        h = x * self.mix + before * (1 - self.mix)
        k, v, r = self.key(h), self.value(h), torch.sigmoid(self.receptance(h))
        w, num, den, out = -torch.exp(self.decay), 0.0, 0.0, []
        for t in range(x.shape[1]):
            now = torch.exp(self.first + k[:, t])
            out.append((num + now * v[:, t]) / (den + now))
            num = torch.exp(w) * num + torch.exp(k[:, t]) * v[:, t]
            den = torch.exp(w) * den + torch.exp(k[:, t])
        y: Tensor = self.output(r * torch.stack(out, 1))
        return y


class ChannelMix(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(D, 4 * D, bias=False), nn.Linear(4 * D, D, bias=False)
        self.receptance = nn.Linear(D, D, bias=False)
        nn.init.orthogonal_(self.key.weight, gain=2.0)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.receptance.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.receptance(x)) * self.value(torch.relu(self.key(x)) ** 2)


def rwkv(_: int) -> Case:
    model = Stack([Pair(RWKV(i, 3), ChannelMix()) for i in range(3)], nn.LayerNorm(D))
    nn.init.uniform_(model.embed.weight, -1e-4, 1e-4)
    model.blocks.insert(0, nn.LayerNorm(D))
    nn.init.orthogonal_(model.head.weight, gain=0.5)
    return _lm(model, lr=2e-3)


class Retention(nn.Module):
    """Parallel retention with group norm and a swish gate (RetNet): Xavier's with gain 2 to the minus 2.5."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.g, self.o = (nn.Linear(D, D, bias=False) for _ in range(5))
        for w in (self.q, self.k, self.v, self.g):
            nn.init.xavier_uniform_(w.weight, gain=2**-2.5)
        nn.init.xavier_uniform_(self.o.weight, gain=2**-1)
        self.norm = nn.GroupNorm(HEADS, D, affine=False)
        self.register_buffer("decay", torch.log(1 - 2 ** (-5 - torch.arange(HEADS).float())))

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (w(x).view(b, t, HEADS, -1).transpose(1, 2) for w in (self.q, self.k, self.v))
        gap = (torch.arange(t)[:, None] - torch.arange(t)).float()
        mask = torch.exp(gap * self.decay[:, None, None]).masked_fill(gap < 0, 0.0)
        y = ((q @ k.transpose(-1, -2)) * (D // HEADS) ** -0.5 * mask) @ v
        y = self.norm(y.transpose(1, 2).reshape(b * t, D)).view(b, t, D)
        out: Tensor = self.o(functional.silu(self.g(x)) * y)
        return out


def retnet(_: int) -> Case:
    return _lm(Stack([Pair(Retention(), _mlp()) for _ in range(3)], nn.LayerNorm(D)), lr=2e-3)


class Hyena(nn.Module):
    """Order-2 operator: short convolution, implicit long filters from a sine MLP with a decay window."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.short = nn.Conv1d(3 * D, 3 * D, 3, groups=3 * D, padding=2)
        self.f1, self.f2, self.f3 = nn.Linear(5, 16), nn.Linear(16, 16), nn.Linear(16, D, bias=False)
        self.freq, self.bias = nn.Parameter(torch.full((16,), 10.0)), nn.Parameter(torch.randn(D))
        self.register_buffer("rate", torch.linspace(math.log(100.0) / 1.5, math.log(100.0) / 0.3, D))

    def forward(self, x: Tensor) -> Tensor:
        t = x.shape[1]
        a, b, v = self.short(self.into(x).transpose(1, 2))[..., :t].chunk(3, dim=1)
        at = torch.linspace(0, 1, t)[:, None]
        z = torch.cat(
            [at, torch.cos(at * math.tau), torch.sin(at * math.tau), torch.cos(at * 9), torch.sin(at * 9)], -1
        )
        h = self.f3(torch.sin(self.freq * self.f2(torch.sin(self.freq * self.f1(z))))) * torch.exp(
            -at * self.rate
        )
        u = v * a
        long = torch.fft.irfft(torch.fft.rfft(u, n=2 * t) * torch.fft.rfft(h.t(), n=2 * t), n=2 * t)[..., :t]
        y: Tensor = self.out(((long + u * self.bias[:, None]) * b).transpose(1, 2))
        return y


def hyena(_: int) -> Case:
    return _lm(_normal(Stack([Pair(Hyena(), _mlp()) for _ in range(3)], nn.LayerNorm(D))), lr=2e-3)


class Mamba(nn.Module):
    """mamba-minimal, with the official starts of A, D and the step's bias."""

    def __init__(self, n: int = 8, rank: int = 4) -> None:
        super().__init__()
        e, self.n, self.rank = 2 * D, n, rank
        self.in_proj, self.out_proj = nn.Linear(D, 2 * e, bias=False), nn.Linear(e, D, bias=False)
        self.conv = nn.Conv1d(e, e, 4, groups=e, padding=3)
        self.x_proj, self.dt_proj = nn.Linear(e, rank + 2 * n, bias=False), nn.Linear(rank, e)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        dt = torch.exp(torch.rand(e) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)).clamp(min=1e-4)
        self.dt_proj.bias.data.copy_(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1).float().repeat(e, 1)))
        self.D = nn.Parameter(torch.ones(e))

    def forward(self, x: Tensor) -> Tensor:
        t = x.shape[1]
        u, gate = self.in_proj(x).chunk(2, dim=-1)
        u = functional.silu(self.conv(u.transpose(1, 2))[..., :t].transpose(1, 2))
        dt, b, c = self.x_proj(u).split([self.rank, self.n, self.n], dim=-1)
        dt = functional.softplus(self.dt_proj(dt))
        a = torch.exp(dt[..., None] * -torch.exp(self.A_log))
        push = dt[..., None] * b[:, :, None, :] * u[..., None]
        h, ys = torch.zeros_like(push[:, 0]), []
        for i in range(t):
            h = a[:, i] * h + push[:, i]
            ys.append((h * c[:, i, None]).sum(-1))
        y: Tensor = self.out_proj((torch.stack(ys, 1) + u * self.D) * functional.silu(gate))
        return y


class One(nn.Module):
    """Residual around a normed mixer."""

    def __init__(self, body: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.body, self.norm = body, norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(self.norm(x))
        return out


def mamba(_: int) -> Case:
    model = Stack([One(Mamba(), RMSNorm(D)) for _ in range(3)], RMSNorm(D), tied=True)
    nn.init.normal_(model.embed.weight, 0.0, 0.02)
    for name, p in model.named_parameters():
        if name.endswith("out_proj.weight"):
            nn.init.kaiming_uniform_(p, a=math.sqrt(5))
            with torch.no_grad():
                p.div_(math.sqrt(3))
    return _lm(model, lr=2e-3)


class S4D(nn.Module):
    """Diagonal state space by convolution (S4D-Lin), GLU at the end, as the authors' minimal file."""

    def __init__(self, d: int = D, n: int = 16) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.rand(d) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        self.C = nn.Parameter(torch.view_as_real(torch.randn(d, n // 2, dtype=torch.cfloat)))
        self.log_A_real = nn.Parameter(torch.log(0.5 * torch.ones(d, n // 2)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(n // 2).float().repeat(d, 1))
        self.D = nn.Parameter(torch.randn(d))
        self.out = nn.Sequential(nn.Conv1d(d, 2 * d, 1), nn.GLU(dim=-2))

    def forward(self, x: Tensor) -> Tensor:
        u, t = x.transpose(1, 2), x.shape[1]
        dt, c = torch.exp(self.log_dt), torch.view_as_complex(self.C)
        a = -torch.exp(self.log_A_real) + 1j * self.A_imag
        k = torch.exp((a * dt[:, None])[..., None] * torch.arange(t))
        c = c * (torch.exp(a * dt[:, None]) - 1.0) / a
        k = 2 * torch.einsum("hn,hnl->hl", c, k).real
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * t) * torch.fft.rfft(k, n=2 * t), n=2 * t)[..., :t]
        out: Tensor = self.out(functional.gelu(y + u * self.D[:, None])).transpose(1, 2)
        return out


class Pixels(nn.Module):
    """Sequential digits: a row of pixels a step, mean over time."""

    def __init__(self, width: int, body: nn.Module) -> None:
        super().__init__()
        self.encoder, self.body, self.decoder = nn.Linear(width, D), body, nn.Linear(D, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.body(self.encoder(x)).mean(1))
        return out


def s4d(_: int) -> Case:
    def rows(s: int) -> Batch:
        x, y = digits(s)
        return (x.reshape(-1, 64, 1),), y

    body = nn.Sequential(*(One(S4D(), nn.LayerNorm(D)) for _ in range(3)))
    return Case(model=Pixels(1, body), draw=rows, lr=4e-3, share=0.7)


class AWD(nn.Module):
    """LSTM language model, tied, embeddings U(±0.1), locked dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary(), D)
        self.rnns = nn.ModuleList((nn.LSTM(D, 128, batch_first=True), nn.LSTM(128, D, batch_first=True)))
        self.decoder = nn.Linear(D, vocabulary())
        self.decoder.weight = self.embed.weight
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def _locked(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], 1, x.shape[2]) > 0.2) / 0.8

    def forward(self, idx: Tensor) -> Tensor:
        x = self._locked(self.embed(idx))
        for rnn in self.rnns:
            x = self._locked(rnn(x)[0])
        out: Tensor = self.decoder(x)
        return out


def awd_lstm(_: int) -> Case:
    return _lm(AWD(), lr=5e-3, clip=0.25)


class CharRNN(nn.Module):
    """Karpathy's char-rnn in PyTorch: two GRU layers, all defaults, hidden state handed back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Embedding(vocabulary(), D), nn.Linear(D, vocabulary())
        self.rnn = nn.GRU(D, D, 2, batch_first=True)

    def forward(self, idx: Tensor) -> tuple[Tensor, Tensor]:
        y, h = self.rnn(self.encoder(idx))
        return self.decoder(y), h


def char_gru(_: int) -> Case:
    def ce(out: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        return functional.cross_entropy(out[0].flatten(0, 1), y.flatten())

    return _lm(CharRNN(), lr=4e-3, loss=ce)


class Seq2Seq(nn.Module):
    """GRU encoder and decoder with additive attention, as PyTorch's translation tutorial; reverses a word."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        v = vocabulary()
        self.enc_embed, self.dec_embed = nn.Embedding(v, hidden), nn.Embedding(v + 1, hidden)
        self.encoder = nn.GRU(hidden, hidden, batch_first=True)
        self.cell = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.wa, self.ua, self.va = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.out = nn.Linear(hidden, v)

    def forward(self, source: Tensor, goal: Tensor) -> Tensor:
        seen, h = self.encoder(self.enc_embed(source))
        logits = []
        for t in range(goal.shape[1]):
            score = self.va(torch.tanh(self.wa(h[-1][:, None]) + self.ua(seen)))
            context = (functional.softmax(score, dim=1) * seen).sum(1, keepdim=True)
            y, h = self.cell(torch.cat([self.dec_embed(goal[:, t : t + 1]), context], -1), h)
            logits.append(self.out(y))
        return torch.cat(logits, 1)


def seq2seq(_: int) -> Case:
    def words(s: int) -> Batch:
        x, _ = chars(s, 32, 6)
        back = x.flip(1)
        start = torch.full((32, 1), vocabulary())
        return (x, torch.cat([start, back[:, :-1]], 1)), back

    return Case(model=Seq2Seq(), draw=words, chance=unigram(), share=0.8, lr=4e-3)


class IRNN(nn.Module):
    """ReLU network with the identity as its recurrent matrix (Le, Jaitly, Hinton), inputs N(0, 0.001)."""

    def __init__(self, width: int, hidden: int = 100) -> None:
        super().__init__()
        self.rnn, self.out = (
            nn.RNN(width, hidden, nonlinearity="relu", batch_first=True),
            nn.Linear(hidden, 10),
        )
        nn.init.eye_(self.rnn.weight_hh_l0)
        nn.init.normal_(self.rnn.weight_ih_l0, 0.0, 0.001)
        nn.init.normal_(self.out.weight, 0.0, 0.001)
        for b in (self.rnn.bias_ih_l0, self.rnn.bias_hh_l0, self.out.bias):
            nn.init.zeros_(b)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.rnn(x)[0][:, -1])
        return out


def irnn(_: int) -> Case:
    def rows(s: int) -> Batch:
        x, y = images(s, 32, standard=False)
        return (x.squeeze(1),), y

    return Case(model=IRNN(28), draw=rows, lr=1e-3, clip=1.0)


class CellLoop(nn.Module):
    """LSTMCell by hand over the rows of a digit; forget gates begin at one, recurrent matrices orthogonal."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(28, hidden), nn.Linear(hidden, 10)
        nn.init.xavier_uniform_(self.cell.weight_ih)
        nn.init.orthogonal_(self.cell.weight_hh)
        for b in (self.cell.bias_ih, self.cell.bias_hh):
            nn.init.zeros_(b)
        self.cell.bias_ih.data[hidden : 2 * hidden] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        h = c = torch.zeros(len(x), self.cell.hidden_size)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        out: Tensor = self.out(h)
        return out


def lstm_cells(_: int) -> Case:
    def rows(s: int) -> Batch:
        x, y = images(s, 32)
        return (x.squeeze(1),), y

    return Case(model=CellLoop(), draw=rows, lr=3e-3)


KINDS = {
    f.__name__: f for f in (rwkv, retnet, hyena, mamba, s4d, awd_lstm, char_gru, seq2seq, irnn, lstm_cells)
}

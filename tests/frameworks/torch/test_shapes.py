"""What is noted of operators on fake tensors: a run by notes is the run that torch's own rules give."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional as F  # noqa: N812

import zoo
from fanin.errors import ModelError
from fanin.plans import planner
from fanin.records import codec
from fanin.torch import fakes, shapes
from fanin.torch.inputs import as_call
from fanin.torch.read import graph_of, read
from fanin.torch.record import Operand, Recording, record

pytestmark = pytest.mark.filterwarnings("ignore")

ZOO = dict(zoo.ZOO)
del ZOO["scripted"]  # never runs on fake tensors

X, IDS = torch.zeros(2, 5, 8), torch.tensor([[3, 1, 4, 0], [1, 5, 0, 0]])


class Function(nn.Module):
    """A function of its input and of one weight, as a module."""

    def __init__(self, function: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(8, 8), nn.Embedding(9, 8)
        self.register_buffer("scale", torch.ones(8))
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def in_place(m: Any, x: torch.Tensor) -> torch.Tensor:
    y = m.layer(x).relu_().mul_(2.0)
    y[:, 1:3].add_(1.0)
    y[:, 0] = 0.0
    return y.transpose_(0, 1).unsqueeze_(0)


def constants(m: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.cat([torch.tensor([]).view(2, 0, 8), m.layer(x)], dim=1) * torch.tensor(0.5)
    return y + torch.full((), 1) + torch.full((), 1.0) + torch.tensor([True, False] * 4)


def masked(m: Any, x: torch.Tensor) -> torch.Tensor:
    keep = torch.arange(5) > 1
    return m.layer(x)[:, keep].masked_fill(keep.sum() > 5, 0.0).sum(1, True)


def views(m: Any, x: torch.Tensor) -> Any:
    a, b = m.layer(x).unbind(1)[0], torch.stack(m.layer(x).split([2, 3], dim=1)[0].chunk(2, 1))
    return a.unflatten(-1, (2, 4)).flatten(1).expand(3, 2, 8) @ m.layer.weight.t()[:, 2:], b.movedim(0, 1)


def strided(m: Any, x: torch.Tensor) -> torch.Tensor:
    w = m.layer.weight.view(-1).as_strided((4, 8), (8, 1), 16)
    return F.linear(x, w) + m.scale.double()[:4].float() + torch.view_as_real(torch.polar(x, x))[..., :4, 0]


def parts(m: Any, x: torch.Tensor) -> Any:
    return {"all": [torch.aminmax(m.layer(x)), m.layer(x).topk(2), torch.var_mean(m.layer(x), dim=-1)]}


LAYERS: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
    "mlp": lambda: (nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 4)), (X,)),
    "conv": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten()),
        (torch.zeros(2, 3, 9, 9),),
    ),
    "channels last": lambda: (
        nn.Sequential(nn.Conv2d(4, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.ConvTranspose2d(8, 4, 2)).to(
            memory_format=torch.channels_last
        ),
        (torch.zeros(2, 4, 9, 9).to(memory_format=torch.channels_last),),
    ),
    "lstm": lambda: (nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True), (X,)),
    "gru": lambda: (nn.GRU(8, 6), (X,)),
    "cell": lambda: (nn.LSTMCell(8, 6), (X[0],)),
    "attention": lambda: (nn.MultiheadAttention(8, 2, batch_first=True), (X, X, X)),
    "encoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        (X,),
    ),
    "tied": lambda: (Function(lambda m, x: m.table(x) @ m.table.weight.t()), (IDS,)),
    "weight norm": lambda: (nn.utils.parametrizations.weight_norm(nn.Linear(8, 4)), (X,)),
    "spectral norm": lambda: (nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)), (X,)),
    "half": lambda: (nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8)).bfloat16(), (X.bfloat16(),)),
    **{
        f.__name__: (lambda f=f: (Function(f), (X,)))  # type: ignore[misc]
        for f in (in_place, constants, masked, views, strided, parts)
    },
}

MODELS = ("GPT2", "Llama", "T5", "ViT", "Mamba")
MORE = (
    *("Albert", "Bart", "Bert", "Bloom", "Clip", "DebertaV2", "Cohere", "Dinov2", "DistilBert", "Electra"),
    *("Falcon", "GPTNeoX", "Granite", "Longformer", "MobileBert", "MPNet", "MT5", "Olmo2", "OPT", "Phi"),
    *("RegNet", "ResNet", "RoFormer", "Rwkv", "Segformer", "Starcoder2", "Whisper", "XLNet"),
)
SMALL = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "embedding_size", "dim", "embed_dim"), 16),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"), 2),
    **dict.fromkeys(("intermediate_size", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "d_inner"), 32),
    "decoder_attention_heads": 2,
    "vocab_size": 64,
}


def transformer(kind: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """A small model of a type of transformers, and a batch."""
    transformers = pytest.importorskip("transformers")
    kinds = {name.lower(): name for name in dir(transformers) if name.endswith("Config")}
    blank = getattr(transformers, kinds[f"{kind.lower()}config"])()
    known = {key: value for key, value in SMALL.items() if type(getattr(blank, key, None)) is int}
    config = type(blank)(**known, **({"pad_token_id": 0} if hasattr(blank, "vocab_size") else {}))
    model = transformers.AutoModel.from_config(config)
    batches: list[dict[str, object]] = [
        {"input_ids": IDS},
        {"input_ids": IDS, "decoder_input_ids": IDS},
        {"pixel_values": torch.zeros(1, 3, 64, 64)},
        {"pixel_values": torch.zeros(1, 3, 224, 224)},
        {"input_values": torch.zeros(1, 3200)},
        {"input_features": torch.zeros(1, 80, 3000), "decoder_input_ids": IDS[:1]},
        {"input_ids": IDS, "pixel_values": torch.zeros(2, 3, 224, 224)},
    ]
    for batch in batches:
        try:
            with torch.no_grad():
                model(**batch)
        except Exception:  # noqa: BLE001, S112 - a batch of another kind; the next one is tried
            continue
        return model, (batch,)
    pytest.fail(f"{kind} takes none of the batches")


@pytest.fixture
def by_rules() -> Iterator[Callable[[], pytest.MonkeyPatch]]:
    """Let torch's own fake tensors do all the work from now on: no notes, no mint."""
    with pytest.MonkeyPatch.context() as patch:

        def begin() -> pytest.MonkeyPatch:
            def run(_self: Any, func: Any, _facts: Any, args: Any, kwargs: Any, _seen: Any) -> Any:
                return func(*args, **kwargs), None

            patch.setattr(shapes.Shapes, "run", run)
            patch.setattr(fakes, "_simple", lambda tensor: tensor.is_meta)
            return patch

        yield begin


def written(run: Recording) -> list[object]:
    """All that a recording says, but for the values of constants."""

    def plain(value: Any) -> Any:
        if isinstance(value, Operand):
            return replace(value, value=None), None if value.value is None else value.value.tolist()
        return [plain(item) for item in value] if isinstance(value, list | tuple) else repr(value)

    said: list[object] = []
    for op in run.ops:
        said += [replace(op, args=(), kwargs={}, operands=(), before=None), plain(op.operands)]
        said += [plain(op.args), [(key, plain(x)) for key, x in op.kwargs.items()], plain(op.before)]
    return [*said, plain(run.outputs)]


def outcome(model: nn.Module, inputs: tuple[object, ...]) -> tuple[Any, ...]:
    """Graph and plan as JSON, and the recordings in both modes, as far as they can be made."""
    args, kwargs = as_call(inputs)
    runs: list[Any] = []
    for training in (True, False):
        model.train(training)
        torch.manual_seed(0)
        try:
            runs.append(written(record(model, args, kwargs, engine="fake")))
        except ModelError as error:
            runs.append(str(error))
    torch.manual_seed(0)
    graph = read(model, *inputs)
    return runs, codec.to_json(graph), planner.plan(graph).to_json()


def check_same(model: nn.Module, inputs: tuple[object, ...], by_rules: Callable[[], Any]) -> None:
    read(model, *inputs)  # notes are made
    noted = outcome(model, inputs)  # notes are used
    by_rules()
    ruled = outcome(model, inputs)
    for made, due in zip(noted[0], ruled[0], strict=True):
        assert type(made) is type(due)
        differing = [(a, b) for a, b in zip(made, due, strict=True) if a != b]
        assert not differing, differing[0]
    assert noted[1:] == ruled[1:]


@pytest.mark.parametrize(
    "name",
    [*LAYERS, *(pytest.param(name, marks=[pytest.mark.slow] if i % 4 else []) for i, name in enumerate(ZOO))],
)
def test_a_run_by_notes_is_the_run_by_rules(name: str, by_rules: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model, inputs = {**LAYERS, **ZOO}[name]()
    check_same(model, inputs, by_rules)


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_of_a_transformer_by_notes_is_the_run_by_rules(kind: str, by_rules: Callable[[], Any]) -> None:
    model, inputs = transformer(kind)
    check_same(model, inputs, by_rules)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MORE)
def test_a_run_of_any_transformer_by_notes_is_the_run_by_rules(
    kind: str, by_rules: Callable[[], Any]
) -> None:
    model, inputs = transformer(kind)
    check_same(model, inputs, by_rules)


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch, by_rules: Callable[[], Any]) -> None:
    made = shapes.Shapes._made

    def wrong(self: Any, how: shapes.Made, tensors: list[FakeTensor]) -> FakeTensor:
        if len(how.shape) == 2 and how.base is None and how.same is None:
            how = replace(how, strides=how.strides[::-1], outputs=(replace(how.outputs[0], strides=(1, 1)),))
        return made(self, how, tensors)

    model, inputs = Function(lambda m, x: m.layer(x[:, 0]).view(-1)), (X,)
    shapes._notes().clear()
    outcome(model, inputs)
    monkeypatch.setattr(shapes.Shapes, "_made", wrong)
    with pytest.raises((AssertionError, ModelError)):
        check_same(model, inputs, by_rules)


def test_deeper_models_ask_torch_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    dispatch = FakeTensorMode.dispatch

    def counted(self: FakeTensorMode, func: Any, *rest: Any) -> Any:
        asked.append(str(func))
        return dispatch(self, func, *rest)

    monkeypatch.setattr(FakeTensorMode, "dispatch", counted)

    def count(depth: int) -> int:
        shapes._notes().clear()
        asked.clear()
        record(nn.Sequential(*layers(depth)), (X,), {}, engine="fake")
        return len(asked)

    def layers(depth: int) -> list[nn.Module]:
        return [module for _ in range(depth) for module in (nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU())]

    assert 0 < count(2) == count(12)


def test_reading_takes_as_long_for_each_layer_of_a_deep_model_as_of_a_shallow_one() -> None:
    def calls(depth: int) -> int:
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        model = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        run = record(model, (X,), {}, engine="fake")
        graph_of(run, model)
        found = 0

        def count(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal found
            found += event == "call"

        sys.setprofile(count)
        try:
            graph_of(record(model, (X,), {}, engine="fake"), model)
        finally:
            sys.setprofile(None)
        return found

    # Four times the layers; a search through all layers for each would make it 16 times the calls.
    assert calls(16) < 1.2 * 4 * calls(4)


def test_notes_tell_numbers_of_different_types_apart() -> None:
    def forward(m: Any, x: torch.Tensor) -> Any:
        return m.layer(x), torch.full((3,), 1), torch.full((3,), 1.0), torch.full((3,), True)

    model = Function(forward)
    for _ in range(2):
        run = record(model, (X,), {}, engine="fake")
        assert [operand.dtype for operand in run.outputs[1:]] == [torch.int64, torch.float32, torch.bool]


def test_notes_follow_the_default_type() -> None:
    model = Function(lambda m, x: (m.layer(x), torch.zeros(3)))
    for dtype in (torch.float32, torch.float64, torch.float32):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            assert record(model, (X,), {}, engine="fake").outputs[1].dtype == dtype
        finally:
            torch.set_default_dtype(before)


def test_minted_fakes_are_treated_as_torchs_own() -> None:
    mode = FakeTensorMode()
    bare = torch.empty_strided((2, 3), (1, 2), device="meta")
    ours = fakes.Mint(mode).fake(bare, torch.device("cpu"), requires_grad=True)
    theirs = FakeTensor(mode, bare, torch.device("cpu")).requires_grad_()
    assert torch._C._dispatch_key_set(ours) == torch._C._dispatch_key_set(theirs)
    assert vars(ours) == vars(theirs)
    assert (ours.device, ours.stride(), ours.requires_grad) == (theirs.device, (1, 2), True)
    with pytest.raises(RuntimeError):
        ours.data_ptr()


def test_a_release_of_torch_that_makes_fakes_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "_struck", lambda *_args, **_kwargs: torch.empty(2, device="meta"))
    fake = fakes.Mint(FakeTensorMode()).fake(torch.empty(2, device="meta"), torch.device("cpu"))
    assert type(fake) is FakeTensor


def test_collection_of_garbage_is_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    for on in (True, False):
        (gc.enable if on else gc.disable)()
        try:
            read(model, X)
            assert gc.isenabled() is on
            with pytest.raises(ModelError):
                read(model, torch.zeros(3, 3, 3))
            assert gc.isenabled() is on
        finally:
            gc.enable()

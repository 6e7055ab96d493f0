"""Run a model once and write down every operator, what it read, and where it ran."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from fanin.errors import InputError, ModelError, explain
from fanin.graphs.sources import Layout, Source, layout_of, root, view
from fanin.torch.derive import derive
from fanin.torch.names import NamedTensor, named_modules, named_tensors
from fanin.torch.sandbox import keep_random_state, keep_state, keep_values, swap_tensors

__all__ = ["Observer", "Op", "Operand", "Output", "Recording", "record", "unwrapped"]

_SMALL = 64
"""Largest number of elements of an outside constant that a recording keeps."""

_SHAPE_ONLY = (
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided", "bernoulli"),
)
"""Operators that read a tensor for its shape, not for its values."""


class Observer(Protocol):
    """Someone who looks at tensors while the model runs."""

    def after(self, id: int, output: torch.Tensor) -> None:
        """Right after operator `id`, with its (first) output: the object that gets the history."""
        ...

    def before_mutation(self, id: int, tensor: torch.Tensor) -> None:
        """Just before the output of `id` is changed in place by a later operator."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A tensor that an operator read.

    Parameters
    ----------
    op, index
        The operator whose output it is (or a view of it), and which of its outputs. None for
        parameters and for tensors from outside.
    sources
        Parameters behind it, when its values come from parameters alone.
    constant
        Whether it depends neither on the inputs nor on parameters.
    value
        The tensor itself, for small constants from outside.
    """

    op: int | None
    index: int = 0
    shape: tuple[int, ...]
    dtype: torch.dtype
    sources: tuple[Source, ...] = ()
    constant: bool = False
    value: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where one output of an operator lies in its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operator that ran; `func` is None for an input of the model.

    `args` and `kwargs` are as they were passed, with an `Operand` for each tensor; `operands`
    lists these in order. `sources` and `constant` speak of the first output. `view` says that the
    output is a view of memory that existed before. If an in-place operator wrote to a part of a
    memory, `before` is that memory as it was; reads of the whole then have index -1.
    """

    id: int
    name: str
    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    operands: tuple[Operand, ...]
    module: str
    call: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    outputs: tuple[Output, ...]
    sources: tuple[Source, ...] = ()
    constant: bool = False
    view: bool = False
    mutates: bool = False
    before: Operand | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A run: operators in order (ids are places in `ops`), and what the model returned."""

    engine: str
    ops: tuple[Op, ...]
    outputs: tuple[Operand, ...]
    tensors: tuple[NamedTensor, ...]
    mode: Literal["train", "eval"]


def record(
    model: nn.Module,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    engine: Literal["fake", "real"],
    observer: Observer | None = None,
) -> Recording:
    """Run ``model(*args, **kwargs)`` once and record every operator.

    Gradients are enabled, so that both engines run the same operators. Afterwards the model
    is as it was, bit for bit: parameters, buffers, attributes, hooks, random states, mode.

    Parameters
    ----------
    model
        Any module, also one built on the meta device.
    args, kwargs
        Arguments of the forward pass; see `fanin.torch.inputs.as_call`.
    engine
        "fake": shapes and dtypes only, nothing is computed or allocated. "real": the model's own
        tensors and values (on meta tensors, if the model was built there).
    observer
        Is shown each output as it is made.

    Raises
    ------
    InputError
        `model` is not a module.
    ModelError
        The forward pass failed; the message has its own error text and the module's path.

    Examples
    --------
    >>> run = record(nn.Linear(2, 3), (torch.zeros(1, 2),), {}, engine="fake")
    >>> [op.name for op in run.ops]
    ['input', 'aten.t.default', 'aten.addmm.default']
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                "There is no model to run",
                received=repr(type(model).__name__),
                rule="A model is a torch.nn.Module",
                remedy="Wrap a function in a module whose forward calls it",
            )
        )
    tensors = named_tensors(model)
    meta = any(entry.tensor.is_meta for entry in tensors)
    run = _Run(observer)
    with contextlib.ExitStack() as stack:
        stack.enter_context(keep_random_state())
        stack.enter_context(keep_state(model))
        if engine == "fake":
            fakes = _Fakes(tensors)
            stack.enter_context(swap_tensors(model, fakes))
            run.stand_ins(fakes.originals())
            replace = fakes
            mode: Any = fakes.mode
        else:
            replace = _to_meta if meta else _same
            mode = contextlib.nullcontext()
            if meta:
                stack.enter_context(swap_tensors(model, _to_meta))
            else:
                stack.enter_context(keep_values(model))
        for entry in tensors:
            run.register(entry.name, getattr(entry.owner, entry.attribute), buffer=entry.buffer)
        args, kwargs = tree_map(
            lambda x: replace(x) if isinstance(x, torch.Tensor) else x, (args, dict(kwargs))
        )
        for tensor in _tensors((args, kwargs)):
            run.input(tensor)
        stack.enter_context(_eager())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_paths(model, run))
        stack.enter_context(mode)
        stack.enter_context(run)
        try:
            output = unwrapped(model)(*args, **kwargs)
        except Exception as error:
            raise ModelError(
                explain(
                    f"The forward pass failed in module '{run.module}'"
                    if run.module
                    else "The model's forward pass failed",
                    received=f"{type(error).__name__}: {error}",
                    remedy="Check that the model runs on this batch by itself: model(batch)",
                )
            ) from error
        outputs = tuple(run.operand(tensor) for tensor in _tensors(output))
    return Recording(
        engine="fake tensors" if engine == "fake" else "meta tensors" if meta else "real tensors",
        ops=tuple(run.ops),
        outputs=outputs,
        tensors=tensors,
        mode="train" if model.training else "eval",
    )


@dataclass(slots=True)
class _Memory:
    """What is known of one storage."""

    alive: Any
    writer: tuple[int, int] | None
    constant: bool
    layouts: tuple[Layout, ...]
    views: dict[tuple[Any, ...], tuple[int, int]]


class _Run(TorchDispatchMode):
    """The dispatch mode that writes operators down."""

    def __init__(self, observer: Observer | None) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.module, self.call = "", 0
        self._observer = observer
        self._memory: dict[int, _Memory] = {}
        self._buffers: set[str] = set()
        self._originals: Mapping[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def register(self, name: str, tensor: torch.Tensor, *, buffer: bool) -> None:
        """Make the storage of a parameter or buffer known."""
        if buffer:
            self._buffers.add(name)
        strides = tensor.stride() if tensor.layout is torch.strided else ()
        key, alive = _storage(tensor)
        memory = self._memory.setdefault(key, _Memory(alive, None, False, (), {}))
        if len(strides) == tensor.ndim:
            new = root(name, tensor.shape, strides, tensor.storage_offset())
            memory.layouts = (*memory.layouts, new)

    def stand_ins(self, originals: Mapping[int, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Say which real tensor each fake one (by its id) stands for; both are kept alive by the pair."""
        self._originals = originals

    def input(self, tensor: torch.Tensor) -> None:
        """Make an input of the model known."""
        id = len(self.ops)
        self._remember(tensor, id, 0, constant=False, sources=())
        self.ops.append(
            Op(
                id=id,
                name="input",
                func=None,
                args=(),
                kwargs={},
                operands=(),
                module="",
                call=0,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
                outputs=(_output(tensor),),
            )
        )
        if self._observer is not None:
            self._observer.after(id, tensor)

    def operand(self, tensor: torch.Tensor) -> Operand:
        """What is known of a tensor now."""
        shape = tuple(tensor.shape)
        memory = self._memory.get(_storage(tensor)[0])
        if memory is None:
            return Operand(op=None, shape=shape, dtype=tensor.dtype, constant=True, value=self._value(tensor))
        op, index = memory.views.get(_geometry(tensor)) or memory.writer or (None, 0)
        return Operand(
            op=op,
            index=index,
            shape=shape,
            dtype=tensor.dtype,
            sources=_sources(memory.layouts, tensor),
            constant=memory.constant,
        )

    def _value(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The numbers of a small constant, also if a fake stands in for it."""
        if tensor.numel() > _SMALL:
            return None
        real = self._originals.get(id(tensor)) or (tensor, tensor)
        known = real[1].constant if isinstance(real[1], FakeTensor) else real[1]
        # (Not detached: under the fake mode that would make another fake.)
        return None if known is None or known.is_meta else known

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":  # questions such as "which device?", asked by fake tensors only
            return func(*args, **kwargs)
        operands: list[Operand] = []

        def note(x: Any) -> Any:
            if isinstance(x, torch.Tensor):
                operands.append(self.operand(x))
                return operands[-1]
            return x

        noted_args = tuple(_mapped(note, x) for x in args)
        noted_kwargs = {key: _mapped(note, x) for key, x in kwargs.items()}
        written = _written(func, args, kwargs)
        if self._observer is not None:
            for tensor in written:
                known = self.operand(tensor)
                if known.op is not None:
                    self._observer.before_mutation(known.op, tensor)
        out = _shape_rule(func, args)
        if out is None:
            out = func(*args, **kwargs)
        results = [
            x for x in (out if isinstance(out, list | tuple) else (out,)) if isinstance(x, torch.Tensor)
        ]
        if not results and not written:
            return out
        self._write_down(func, noted_args, noted_kwargs, operands, written, results)
        if self._observer is not None and results:
            self._observer.after(len(self.ops) - 1, results[0])
        return out

    def _write_down(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        operands: list[Operand],
        written: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> None:
        id = len(self.ops)
        base = func._schema.name.split("::")[-1]
        constant = base in _SHAPE_ONLY or all(o.constant for o in operands)
        first = (results or written)[0]
        is_view = bool(results) and not written and self._known(first)
        alone = not constant and all(o.constant or o.sources for o in operands)
        for index, tensor in enumerate(results):
            if written and self._known(tensor):
                continue
            if not written and self._known(tensor):
                memory = self._memory[_storage(tensor)[0]]
                memory.views[_geometry(tensor)] = (id, index)
                continue
            shapes = [(o.shape, o.sources) for o in operands]
            sources = derive(func, args, shapes, tuple(tensor.shape), self._buffers) if alone else ()
            self._remember(tensor, id, index, constant=constant, sources=sources or ())
        before: Operand | None = None
        for tensor in written:
            known_memory = self._memory.get(_storage(tensor)[0])
            if known_memory is None:
                self._remember(tensor, id, 0, constant=constant, sources=())
                continue
            if tensor.numel() * tensor.itemsize < tensor.untyped_storage().nbytes():
                before = _state(known_memory, tensor)
            self._overwrite(
                known_memory, tensor, id, func, args, operands, constant=constant, alone=alone, part=before is not None
            )
        known = self._memory.get(_storage(first)[0])
        self.ops.append(
            Op(
                id=id,
                name=str(func),
                func=func,
                args=args,
                kwargs=kwargs,
                operands=tuple(operands),
                module=self.module,
                call=self.call,
                shape=tuple(first.shape),
                dtype=first.dtype,
                outputs=tuple(_output(result) for result in results or [first]),
                sources=_sources(known.layouts, first) if known else (),
                constant=known.constant if known else constant,
                view=is_view,
                mutates=bool(written),
                before=before,
            )
        )

    def _overwrite(
        self,
        memory: _Memory,
        tensor: torch.Tensor,
        id: int,
        func: Any,
        args: tuple[Any, ...],
        operands: list[Operand],
        *,
        constant: bool,
        alone: bool,
        part: bool,
    ) -> None:
        pristine = memory.writer is None and bool(memory.layouts)
        if pristine and (constant or alone):
            return  # a buffer that follows from parameters (power iteration, a counter) stays itself
        here = _geometry(tensor)
        memory.views = {there: made for there, made in memory.views.items() if part and _apart(here, there)}
        memory.views[here] = (id, 0)
        memory.writer = (id, -1 if part else 0)
        memory.constant = memory.constant and constant
        memory.layouts = ()
        if alone:
            shapes = [(o.shape, o.sources) for o in operands]
            sources = derive(func, args, shapes, tuple(tensor.shape), self._buffers) or ()
            memory.layouts = _laid_out(tensor, sources)

    def _known(self, tensor: torch.Tensor) -> bool:
        return _storage(tensor)[0] in self._memory

    def _remember(
        self, tensor: torch.Tensor, id: int, index: int, *, constant: bool, sources: tuple[Source, ...]
    ) -> None:
        key, alive = _storage(tensor)
        self._memory[key] = _Memory(alive, (id, index), constant, _laid_out(tensor, sources), {})


def _laid_out(tensor: torch.Tensor, sources: tuple[Source, ...]) -> tuple[Layout, ...]:
    if not sources or tensor.layout is not torch.strided:
        return ()
    return tuple(layout_of(s, tensor.shape, tensor.stride(), tensor.storage_offset()) for s in sources)


def _sources(layouts: tuple[Layout, ...], tensor: torch.Tensor) -> tuple[Source, ...]:
    if not layouts or tensor.layout is not torch.strided:
        return ()
    place = tensor.storage_offset()
    here = [x for x in layouts if x.offset <= place < x.offset + max(x.numel, 1)] or layouts[:1]
    return tuple(view(layout, tensor.shape, tensor.stride(), place) for layout in here)


def _output(tensor: torch.Tensor) -> Output:
    shape = tuple(tensor.shape)
    if tensor.layout is not torch.strided:
        return Output(shape=shape, strides=(0,) * len(shape), offset=0)
    return Output(shape=shape, strides=tensor.stride(), offset=int(tensor.storage_offset()))


def _storage(tensor: torch.Tensor) -> tuple[int, Any]:
    """A key for the tensor's memory, and what must be held so that the key is not given away."""
    try:
        # A weak reference keeps the address taken but lets the memory go.
        alive = StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        return id(tensor), tensor
    return alive.cdata, alive


def _geometry(tensor: torch.Tensor) -> tuple[Any, ...]:
    if tensor.layout is not torch.strided:
        return (id(tensor),)
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _state(memory: _Memory, tensor: torch.Tensor) -> Operand:
    """All of a memory, as it is now."""
    op, index = memory.writer or (None, 0)
    size = tensor.untyped_storage().nbytes() // tensor.itemsize
    return Operand(op=op, index=index, shape=(size,), dtype=tensor.dtype, constant=memory.constant)


def _apart(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two views of one memory, on the same lattice of strides, have no element in common."""
    if len(a) < 4 or len(b) < 4 or a[2] != b[2]:
        return False
    (low, shape, strides, _), (high, *_) = sorted((a, b), key=lambda view: view[0])
    rest = high - low
    for size, stride in sorted(zip(shape, strides, strict=True), key=lambda pair: -pair[1]):
        if stride <= 0:
            return False
        steps, rest = divmod(rest, stride)
        if steps >= size:
            return True
    return False


def _shape_rule(func: Any, args: tuple[Any, ...]) -> torch.Tensor | None:
    """Shapes where torch has no rule for fake tensors: grouped products in float32."""
    if func is not getattr(torch.ops.aten._grouped_mm, "default", None) or not isinstance(args[0], FakeTensor):
        return None
    left, right = args[0], args[1]
    return left.new_empty((*left.shape[:-1], right.shape[-1])) if right.ndim == 3 else None


def _mapped(function: Any, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (
            type(value)(_mapped(function, item) for item in value) if type(value) in (list, tuple) else value
        )
    return function(value)


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    if not func._schema.is_mutable:
        return []
    found: list[torch.Tensor] = []
    for place, spec in enumerate(func._schema.arguments):
        if spec.alias_info is None or not spec.alias_info.is_write:
            continue
        value = args[place] if place < len(args) else kwargs.get(spec.name)
        found += [
            t for t in (value if isinstance(value, list | tuple) else (value,)) if isinstance(t, torch.Tensor)
        ]
    return found


class _Fakes:
    """Fake copies of real and meta tensors, one for each, sharing memory where they do."""

    def __init__(self, tensors: tuple[NamedTensor, ...]) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        devices = [entry.tensor.device for entry in tensors if not entry.tensor.is_meta]
        self._device = devices[0] if devices else torch.device("cpu")
        self._done: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._bases: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in self._done:
            fake = self._of_meta(tensor) if tensor.is_meta else self._of_real(tensor)
            # The original is kept, so that its id is not given away.
            self._done[id(tensor)] = (tensor, fake)
        return self._done[id(tensor)][1]

    def originals(self) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of fake and original, by the id of the fake."""
        return {id(fake): (fake, original) for original, fake in self._done.values()}

    def _of_real(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.requires_grad and not tensor.is_leaf:
            return self.mode.from_tensor(tensor.detach()).requires_grad_()
        return self.mode.from_tensor(tensor)

    def _of_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata, tensor.dtype
        with self.mode, torch.no_grad():
            if key not in self._bases:
                size = tensor.untyped_storage().nbytes() // tensor.itemsize
                self._bases[key] = tensor, torch.empty(size, dtype=tensor.dtype, device=self._device)
            fake = self._bases[key][1].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
            if isinstance(tensor, nn.Parameter):
                return nn.Parameter(fake.detach(), requires_grad=tensor.requires_grad)
            return fake.detach()


def _to_meta(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_meta:
        return tensor
    moved = tensor.detach().to("meta")
    return (
        nn.Parameter(moved, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved
    )


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """No compiled code and no fused inference paths, which hide operators; no log of a fallback."""
    # torch logs a traceback when a fake run fails; the caller is told by an exception, or falls back.
    talk = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, talk.disabled = talk.disabled, True
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    stance = getattr(torch.compiler, "set_stance", None)
    try:
        with stance("force_eager") if stance is not None else contextlib.nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        talk.disabled = disabled


@contextlib.contextmanager
def _paths(model: nn.Module, run: _Run) -> Iterator[None]:
    """Keep `run.module` and `run.call` at the innermost module, by hooks that are removed again."""
    names: dict[nn.Module, str] = {}
    for path, module in named_modules(model):
        names.setdefault(module, path)
    calls: dict[nn.Module, int] = {}
    entered: list[tuple[nn.Module, str, int]] = []

    def enter(module: nn.Module, args: Any) -> None:
        call = calls.get(module, 0)
        calls[module] = call + 1
        entered.append((module, run.module, run.call))
        run.module, run.call = names[module], call

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        # A module that raised, and whose error the model caught, has left its entry behind.
        while entered:
            inner, run.module, run.call = entered.pop()
            if inner is module:
                break

    handles = []
    try:
        for module in names:
            handles.append(module.register_forward_pre_hook(enter, prepend=True))
            handles.append(module.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside data parallel wrappers and ``torch.compile``."""
    inner = model
    while (
        isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel)
        or "_orig_mod" in inner._modules
    ):
        inner = inner._modules.get("_orig_mod") or inner._modules["module"]  # type: ignore[assignment]
    return inner


def _tensors(value: Any) -> list[torch.Tensor]:
    """Tensors in an output or input, in order; objects of unknown kinds (caches) are not opened."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping | OrderedDict):
        return [t for item in value.values() for t in _tensors(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in _tensors(item)]
    if is_dataclass(value) and not isinstance(value, type):
        return [t for field in fields(value) for t in _tensors(getattr(value, field.name))]
    return []

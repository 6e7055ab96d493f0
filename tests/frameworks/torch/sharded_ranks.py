"""One process of several: every way to spread a model, with the numbers of the model as a whole."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import fanin.torch as ft
from fanin.errors import InputError

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
CPU = torch.device("cpu")


class Net(nn.Module):
    """Sizes that two processes cannot share evenly, a tie, a packed weight, a norm, a matrix draw."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.packed, self.norm = nn.Linear(8, 15), nn.Linear(15, 15), nn.BatchNorm1d(15)
        self.gate, self.again, self.last = nn.Linear(15, 30), nn.Linear(15, 15), nn.Linear(15, 3)
        self.again.weight = self.packed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(torch.relu(self.packed(self.first(x))))
        value, gate = self.gate(x).chunk(2, -1)
        out: torch.Tensor = self.last(self.again(value * torch.sigmoid(gate)))
        return out


def fsdp(model: nn.Module, *, original: bool) -> nn.Module:
    return FullyShardedDataParallel(model, use_orig_params=original, device_id=CPU)


def flat(*, original: bool) -> nn.Module:
    model = Net()
    model.gate = fsdp(model.gate, original=original)
    return fsdp(model, original=original)


def placed(mesh: Any, *, meta: bool = False) -> nn.Module:
    with torch.device("meta" if meta else "cpu"):
        model = Net()
    fully_shard(model.gate, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def parallel(mesh: Any) -> nn.Module:
    # The gate's outputs are whole again before they are cut in two.
    return parallelize_module(
        Net(),
        mesh,
        {
            "gate": ColwiseParallel(output_layouts=Replicate()),
            "last": RowwiseParallel(input_layouts=Replicate()),
        },
    )


def ways(mesh: Any) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    yield "ddp", lambda: nn.parallel.DistributedDataParallel(Net())
    yield "fsdp original", lambda: flat(original=True)
    yield "fsdp flat", lambda: flat(original=False)
    yield "fsdp2", lambda: placed(mesh)
    yield "fsdp2 on meta", lambda: placed(mesh, meta=True)
    yield "tensor parallel", lambda: parallel(mesh)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters as a whole, by their plain names."""
    if isinstance(model, FullyShardedDataParallel):
        with FullyShardedDataParallel.summon_full_params(model, writeback=False):
            return {
                name.replace("_fsdp_wrapped_module.", ""): p.detach().clone()
                for name, p in model.named_parameters()
            }
    return {
        name.removeprefix("module."): p.full_tensor() if isinstance(p, DTensor) else p.detach()
        for name, p in model.named_parameters()
    }


def try_one(name: str, make: Callable[[], nn.Module], policy: str) -> None:
    whole = Net()
    plan = ft.init_(whole, X, seed=3, policy=policy)
    model = make()
    made = ft.plan(model, X, seed=3, policy=policy)
    assert made.model == plan.model, made.model
    assert made.entries == plan.entries, made.diff(plan)
    meta = any(p.is_meta for p in model.parameters())
    if name != "ddp":
        with pytest.raises(InputError, match="sharded model takes no values"):
            ft.apply_(model, made, values={"x": X})
    if meta:
        with pytest.raises(InputError, match="without memory"):
            ft.apply_(model, made)
    before = values(model) if not meta else {}
    other = nn.Linear(8, 3)
    with pytest.raises(InputError, match="for another model"):
        ft.apply_(model, ft.plan(other, X))
    assert all(torch.equal(v, before[n]) for n, v in values(model).items() if n in before)
    ft.apply_(model, made, device="cpu" if meta else None)
    here, wanted = values(model), dict(whole.named_parameters())
    assert here.keys() == wanted.keys(), here.keys() ^ wanted.keys()
    for key, value in here.items():
        assert torch.equal(value, wanted[key]), key
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), whole.buffers(), strict=True))
    assert ft.audit(model, against=made).agrees
    again = values(model)
    assert ft.predict(model, X, policy=None) == ft.predict(whole, X, policy=None)
    report, same = ft.check(model, X), ft.check(whole, X)
    assert [f.code for f in report.findings] == [f.code for f in same.findings], report.verdict
    assert all(torch.equal(value, again[key]) for key, value in values(model).items())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(X).square().mean().backward()
    optimizer.step()
    trained = torch.optim.SGD(whole.parameters(), lr=0.1)
    whole(X).square().mean().backward()
    trained.step()
    for key, value in values(model).items():
        torch.testing.assert_close(value, wanted[key].detach(), rtol=1e-4, atol=1e-5, msg=f"{name} {key}")


def main(rank: int, processes: int, store: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    mesh = init_device_mesh("cpu", (processes,))
    for name, make in ways(mesh):
        try_one(name, make, "auto")
        if name in ("fsdp original", "fsdp2"):
            try_one(name, make, "orthogonal")
        print(name, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

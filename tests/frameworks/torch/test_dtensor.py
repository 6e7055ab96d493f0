"""A DTensor is refused before anything is written: its elements are elsewhere too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

import fanin.torch
from fanin.errors import InputError

DROP_INS = {
    "uniform_": fanin.torch.uniform_,
    "normal_": fanin.torch.normal_,
    "trunc_normal_": fanin.torch.trunc_normal_,
    "xavier_uniform_": fanin.torch.xavier_uniform_,
    "kaiming_normal_": fanin.torch.kaiming_normal_,
    "orthogonal_": fanin.torch.orthogonal_,
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceMesh]:
    """A mesh of this one process."""
    store = Path(tmp_path_factory.mktemp("store")) / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("name", DROP_INS)
def test_drop_ins_refuse(mesh: DeviceMesh, name: str) -> None:
    tensor = distribute_tensor(torch.full((4, 6), 7.0), mesh, [Shard(0)])
    assert isinstance(tensor, DTensor)
    with pytest.raises(InputError, match=r"cannot be written element by element\. Received: a DTensor"):
        DROP_INS[name](tensor, seed=0)
    assert bool((tensor.to_local() == 7.0).all())


def test_the_message_says_what_to_do(mesh: DeviceMesh) -> None:
    tensor: Any = distribute_tensor(torch.zeros(4, 6), mesh, [Shard(0)])
    with pytest.raises(InputError, match="before it is sharded"):
        fanin.torch.kaiming_normal_(tensor, seed=0)


def test_a_plain_tensor_is_filled() -> None:
    for fill in DROP_INS.values():
        tensor = fill(torch.full((4, 6), 7.0), seed=0)
        assert bool((tensor != 7.0).all())

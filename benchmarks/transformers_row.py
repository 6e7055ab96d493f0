"""One row of the sweep over models of transformers, and the process that makes rows.

Reads model types from stdin, and writes a row of JSON to stdout for each.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from typing import Any

import torch
from transformers_fit import fit
from transformers_models import group_of

import fanin.torch
from fanin.checks import runner
from fanin.checks.stations import stations
from fanin.plans import planner
from fanin.records.graph import Graph
from fanin.records.trace import Trace
from fanin.torch.probe import measure
from fanin.torch.read import read

MEMORY = 8 << 30
"""Bytes of address space that a worker may take."""


def measured(kind: str) -> dict[str, Any]:
    """Everything that the table says of one model type."""
    row: dict[str, Any] = {"kind": kind}
    try:
        found = fit(kind)
    except Exception as error:  # noqa: BLE001 - a model that does not run by itself says nothing of fanin
        return row | {"not built": str(error)}
    model, batch = found.model, found.batch
    row["group"] = group_of(kind, found.config, model, batch)
    row |= {"model": type(model).__name__, "size": sum(p.numel() for p in model.parameters())}
    row |= {"way": found.way, "training": model.training, "inputs": sorted(batch)}

    start = time.perf_counter()
    graph = read(model, batch)  # the two halves of `plan`, for the engine
    plan = planner.plan(graph)
    row["plan"] = time.perf_counter() - start
    row["engine"] = graph.engine
    row["status"] = dict(Counter(str(entry.status) for entry in plan.entries))
    row["tensors"] = len(plan.entries)
    row["unread"] = [p.name for p in graph.parameters if not p.uses and not p.buffer]
    row["unrecognised"] = [
        [e.name, e.evidence[0] if e.evidence else ""]
        for e in plan.entries
        if e.status == "unrecognised" and e.name not in row["unread"]
    ]
    row["branches"] = len(graph.branches)
    row["before"] = _health(*measure(model, batch))
    start = time.perf_counter()
    fanin.torch.apply_(model, plan)
    row["write"] = time.perf_counter() - start
    row["after"] = _health(*measure(model, batch))
    return row


def _health(graph: Graph, trace: Trace) -> dict[str, Any]:
    """Power at the end of the path over that at its start, both ways, and what the rules find."""
    diagnosis = runner.run(graph, planner.plan(graph), trace)
    chain = stations(graph, trace)
    ends: dict[str, Any] = {"stations": len(chain)}
    if len(chain) > 1:
        first, last = chain[0].measure, chain[-1].measure
        ends["forward"] = _ratio(last.power, first.power)
        ends["backward"] = _ratio(first.gradient_power, last.gradient_power)
    grave = [f for f in diagnosis.findings if str(f.severity) != "info"]
    ends["findings"] = [[f.code, f.name, str(f.severity), f.summary, list(f.where[:3])] for f in grave]
    return ends


def _ratio(a: float | None, b: float | None) -> float | None:
    if a is None or b is None or not b > 0 or not math.isfinite(a / b):
        return None
    return a / b


def work() -> None:
    """A worker: model types from stdin, a row each to stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rows = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a model prints is no row
    torch.set_num_threads(1)
    for line in sys.stdin:
        kind = line.strip()
        try:
            row = measured(kind)
        except Exception as error:  # noqa: BLE001 - the row says what went wrong
            text = traceback.format_exc(limit=-6)
            row = {"kind": kind, "failed": f"{type(error).__name__}: {str(error)[:300]}", "trace": text}
        rows.write(json.dumps(row) + "\n")
        rows.flush()


if __name__ == "__main__":
    work()

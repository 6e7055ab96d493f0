"""Initialise GPT-2, fanin beside the model's own code in one process; plan a model of 7 billion weights.

Each number of threads is a process of its own, in which the two take turns. Prints the tables, and
writes them as a page of the documentation.

    python benchmarks/gpt2_init.py [--runs 5] [--threads 1 2] [--page docs/benchmarks/gpt2_init.md]

Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

import fanin.torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "gpt2_init.md"
SIZES = {
    "GPT-2": {"n_layer": 12, "n_embd": 768, "n_head": 12},
    "GPT-2 medium": {"n_layer": 24, "n_embd": 1024, "n_head": 16},
}
IDS = {"input_ids": torch.zeros(1, 8, dtype=torch.long)}

HEAD = """---
orphan: true
---

# Initialising GPT-2, planning 7 billion weights

Written by `benchmarks/gpt2_init.py`; run it to write this page anew.

Medians of {runs} runs in which transformers {transformers} (`model.init_weights()`, which calls its
`_init_weights` on every module) and fanin take turns in one process; PyTorch {torch}; {machine},
{processors} processors, load average {load:.1f} at the end of the run. Times of one thread are its
processor's, in which other work on the machine does not count; those of several are by the clock. Weights
are float32 and drawn in memory that is there already.

*Carried out* is `apply_(model, plan)`, every check and every number. *With the plan* is
`init_(model, batch)`, which runs the model once on fake tensors, reads it and plans it before that. That
time does not grow with the width, so it counts in small models and vanishes beside the draws of large ones;
a plan that was saved is carried out without it.

GPT-2 stores its matrices as (in, out), and numbers count in the order (out, in) whatever the layout. That
costs next to nothing: the generator gives any number without those before it, so rows that are neighbours
in memory are drawn side by side, and no number is moved afterwards. All tensors of a model are one piece
of work that the threads share; PyTorch draws on one thread however many there are.
"""
SEVEN = """## A plan for 7 billion weights

Llama of {billions:.2f} billion weights (32 layers of width 4096) on the meta device:
`fanin.torch.plan` takes {wall:.2f} s ({cpu:.2f} s of processor time), the best of {runs}, and the process
grows by {grown:.0f} MB, where the weights would take {weights:.0f} MB.
"""


def own(model: Any) -> None:
    """The model's own initialisation, of tensors that it has not marked as done."""
    for module in model.modules():
        vars(module).pop("_is_hf_initialized", None)
        for parameter in vars(module)["_parameters"].values():
            if parameter is not None:
                vars(parameter).pop("_is_hf_initialized", None)
    model.init_weights()


def turns(runs: int, clock: Callable[[], float], work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each piece of work, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, run in work.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    return {name: statistics.median(spent) for name, spent in times.items()}


def measure(name: str, runs: int) -> dict[str, Any]:
    """One row: the model's own code, the plan, the plan carried out, both."""
    # One thread's processor time is its time on an idle machine.
    clock = time.process_time if len(os.sched_getaffinity(0)) == 1 else time.perf_counter
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**SIZES[name]))
    plan = fanin.torch.init_(model, IDS)
    found: dict[str, Any] = turns(
        runs,
        clock,
        {
            "own": lambda: own(model),
            "apply": lambda: fanin.torch.apply_(model, plan),
            "plan": lambda: fanin.torch.plan(model, IDS),
            "init": lambda: fanin.torch.init_(model, IDS),
        },
    )
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return {"model": name, "millions": millions, **found}


def seven(runs: int) -> dict[str, float]:
    """Plan a 7B Llama without memory."""
    config = transformers.LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        fanin.torch.plan(model, IDS)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    count = sum(parameter.numel() for parameter in model.parameters())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "billions": count / 1e9,
        "wall": min(walls),
        "cpu": min(cpus),
        # Linux counts in kB.
        "grown": grown / 1e3,
        "weights": 4 * count / 1e6,
    }


def child(what: str, runs: int, threads: int) -> Any:
    """Run one measurement in a process of its own."""
    count = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--child", what, "--runs", str(runs)]
    pinned = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))]
    done = subprocess.run(
        [*pinned, *command], env={**os.environ, **count}, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as Markdown."""
    columns = ("model", "weights", "its own code, s", "carried out, s", "faster", "plan, s")
    head = "| " + " | ".join([*columns, "with the plan, s", "faster"]) + " |"
    return [
        head,
        "|---|" + "---:|" * 7,
        *(
            f"| {row['model']} | {row['millions']:.0f} M | {row['own']:.3f} | {row['apply']:.3f} "
            f"| **{row['own'] / row['apply']:.1f}×** | {row['plan']:.3f} | {row['init']:.3f} "
            f"| **{row['own'] / row['init']:.1f}×** |"
            for row in rows
        ),
    ]


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if options.child is not None:
        found = seven(options.runs) if options.child == "seven" else measure(options.child, options.runs)
        sys.stdout.write(json.dumps(found))
        return
    lines: list[str] = []
    for threads in options.threads:
        lines += ["", f"## {threads} thread{'s' * (threads > 1)}", ""]
        lines += table([child(name, options.runs, threads) for name in options.models])
    lines += ["", SEVEN.format(runs=options.runs, **child("seven", options.runs, 1))]
    head = HEAD.format(
        runs=options.runs,
        transformers=transformers.__version__,
        torch=torch.__version__,
        machine=platform.machine(),
        processors=os.cpu_count(),
        load=os.getloadavg()[0],
    )
    text = head + "\n".join(lines)
    sys.stdout.write(text)
    options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

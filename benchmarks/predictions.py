"""How near predictions are: every operation of many networks, by law and as measured.

    PYTHONPATH=src python benchmarks/predictions.py [--only NAME ...] [--seeds 1] [--page]

Each network is made with its own init and with fanin's, predicted, and run once forward and back. A line
a network is appended to a file, so a run that was stopped goes on where it was; `--page` prints the page.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from predictions_images import IMAGES
from predictions_networks import NETWORKS as FIRST
from predictions_networks import Network
from predictions_others import OTHERS
from predictions_tokens import TOKENS

import fanin.torch
from fanin.records.finding import Diagnosis
from fanin.records.graph import OpKind
from fanin.records.prediction import Certainty, Prediction

__all__ = ["main"]

NETWORKS = FIRST | TOKENS | IMAGES | OTHERS
SIGMAS = 3.0
OWN = 0.05
"""Nats that figures may differ by besides: measured powers are of samples of large tensors."""


def _predicted(diagnosis: Diagnosis) -> Prediction:
    if diagnosis.prediction is None:
        raise SystemExit(f"nothing was predicted: {diagnosis.trace.notes}")
    return diagnosis.prediction


def logs(diagnosis: Diagnosis, *, backward: bool) -> list[dict[str, Any]]:
    """Every node with both figures: ln(measured / law), whether within the band, and how certain."""
    prediction = _predicted(diagnosis)
    outputs = [diagnosis.graph.node(i) for i in diagnosis.graph.outputs[:1]]
    size = math.prod(outputs[0].shape) if outputs else 1
    luck = math.sqrt(2.0 / max(size, 1)) if backward else 0.0  # of the random direction
    seen = {m.node: m for m in diagnosis.trace.measurements}
    found = []
    for p in prediction.nodes:
        m = seen.get(p.node)
        if m is None or m.kind == OpKind.INPUT:
            continue
        law, real = (p.gradient_power, m.gradient_power) if backward else (p.power, m.power)
        shift, sd = (p.gradient_shift, p.gradient_spread) if backward else (p.shift, p.spread)
        certainty = p.gradient_certainty if backward else p.certainty
        if not (law and real and 1e-290 < law < 1e290 and 1e-290 < real < 1e290):
            continue
        log = math.log(real / law)
        within = abs(log - shift) <= SIGMAS * math.hypot(sd, luck) + OWN
        found.append({"log": round(log, 4), "within": within, "certainty": str(certainty), "node": p.node,
                      "op": p.op, "module": p.module, "sd": round(sd, 4)})  # fmt: skip
    return found


def row(name: str, network: Network, init: str, seed: int) -> dict[str, Any]:
    """One network, measured."""
    torch.manual_seed(seed)
    start = time.process_time()
    model, batch, target = network.make()
    if init == "fanin":
        fanin.torch.init_(model, batch, seed=seed)
    kwargs: dict[str, Any] = {"target": target} if target is not None else {}
    if network.loss is not None:
        kwargs["loss"] = network.loss
    diagnosis = fanin.torch.check(model, batch, tier="fast", **kwargs).diagnosis
    prediction, loss = _predicted(diagnosis), diagnosis.trace.loss
    law = {p.node: p for p in prediction.nodes}
    dead = [(m.dead, law[m.node].dead) for m in diagnosis.trace.measurements
            if m.dead is not None and m.node in law and law[m.node].dead is not None]  # fmt: skip
    unseen = [n.op for n in diagnosis.graph.nodes if n.id not in law]
    return {
        "name": name, "init": init, "seed": seed, "seconds": round(time.process_time() - start, 1),
        "forward": logs(diagnosis, backward=False), "backward": logs(diagnosis, backward=True),
        "dead": max((abs(a - b) for a, b in dead if b is not None), default=None),
        "loss": None if loss is None else loss.value,
        "law": None if prediction.loss is None else prediction.loss.value,
        "luck": None if prediction.loss is None else prediction.loss.spread,
        "reasons": Counter(r for p in prediction.nodes for r in p.reasons),
        "missing": unseen,
    }  # fmt: skip


def _quantiles(found: list[dict[str, Any]]) -> tuple[str, str, str]:
    if not found:
        return "", "", ""
    far = np.abs([f["log"] for f in found])
    within = np.mean([f["within"] for f in found])
    return f"{np.median(far):.3f}", f"{np.quantile(far, 0.95):.3f}", f"{within:.0%}"


def _shares(found: list[dict[str, Any]]) -> str:
    counts = Counter(f["certainty"] for f in found)
    return " / ".join(f"{counts[str(c)]}" for c in Certainty)


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The page's table."""
    head = ("network", "init", "median", "95 %", "in band", "median", "95 %", "in band",
            "exact / approximate / unknown", "dead, off by", "loss", "by law")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        loss = "" if r["loss"] is None or r["law"] is None else f"{r['loss']:.3f}"
        law = "" if not loss else f"{r['law']:.3f} +- {r['luck']:.3f}"
        lines.append("| " + " | ".join([
            r["name"], r["init"], *_quantiles(r["forward"]), *_quantiles(r["backward"]),
            f"{_shares(r['forward'])}; {_shares(r['backward'])}",
            "" if r["dead"] is None else f"{r['dead']:.1%}", loss, law]) + " |")  # fmt: skip
    return "\n".join(lines)


HEAD = """# Predictions beside measurements

Written by `python benchmarks/predictions.py --page`: every network is made twice, with its own init and
with fanin's, predicted from the variances of its weights and the moments of its batch, and run once forward
and back. At every operation that both know: `|ln(measured / by law)|` of the power, its median and 95 %
quantile, and the share within the predicted band (three standard deviations of luck, and 5 % that powers of
sampled elements may be off). First forward, then backward; then how many operations are exact, approximate
and unknown, forward and backward; the largest difference of a layer's share of dead units; and the first
loss with one standard deviation of luck.

Where figures stay far off: Mamba and unrolled recurrences of transformers read single steps of a
convolution whose first steps see fewer inputs, and a class token (ViT) has another power than the patches:
positions are taken to be alike, which is said in the reasons. A GRU and a projected LSTM run as single
operators that write into their own outputs, so that what is measured of some of these is not what they
computed (the 95 % quantile of their forward figures). Gradients of queries and keys are a factor of 1.2 to
2 off where attention is peaked.
"""


def page(rows: list[dict[str, Any]]) -> str:
    """The page of the documentation."""
    found = [HEAD, table(rows), "", "## In all", ""]
    lines = ["| direction | certainty | operations | median | 95 % | in band |", "|---|---|---|---|---|---|"]
    for way in ("forward", "backward"):
        for certainty in Certainty:
            logs_of = [f for r in rows for f in r[way] if f["certainty"] == str(certainty)]
            if logs_of:
                middle, far, within = _quantiles(logs_of)
                lines.append(f"| {way} | {certainty} | {len(logs_of)} | {middle} | {far} | {within} |")
    reasons: Counter[str] = Counter()
    for r in rows:
        for reason, count in r["reasons"].items():
            reasons[reason.partition(" (one-layer")[0]] += count
    reasoned = ["", "## Why figures are not exact", "", "| reason | operations |", "|---|---|"]
    reasoned += [f"| {reason} | {count} |" for reason, count in reasons.most_common()]
    what = ["", "## The networks", "", "| network | what | own init |", "|---|---|---|"]
    what += [f"| {name} | {network.what} | {network.own} |" for name, network in NETWORKS.items()]
    return "\n".join([*found, *lines, *reasoned, *what, ""])


def run(told: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every network that has no result yet."""
    path = Path(told.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    done = [json.loads(line) for line in lines]
    known = {(r["name"], r["init"], r["seed"]) for r in done}
    with path.open("a", encoding="utf-8") as out:
        for name, network in NETWORKS.items():
            if told.only and name not in told.only:
                continue
            for init in told.inits or (network.own, "fanin"):
                for seed in range(told.seeds):
                    if (name, init, seed) in known:
                        continue
                    r = row(name, network, init, seed)
                    out.write(json.dumps(r) + "\n")
                    out.flush()
                    done.append(r)
                    print(table([r]).splitlines()[-1], r["seconds"], file=sys.stderr, flush=True)
    return done


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", default="benchmarks/results/predictions.jsonl")
    parser.add_argument("--only", nargs="*", help="Names of networks.")
    parser.add_argument("--inits", nargs="*", help="The network's own init, or fanin.")
    parser.add_argument("--page", action="store_true", help="Print the page of the documentation.")
    told = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = run(told)
    print(page(rows) if told.page else table(rows))


if __name__ == "__main__":
    main()

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

The first 41 networks are those that the laws were made with. The other 71 were written before any of their
figures was seen, and "first try" is what the laws of that day said of them; then the worst were mended by
general laws, so what the tables say of now is no longer blind.

Where figures stay far off:

- The same weights at every step or layer (LSTM and GRU cells written as loops, ALBERT, one layer used again
  and again): ways through the same weights add up coherently, and the laws take each as fresh, so gradients
  far back are too small (a factor of 1.3 a step).
- Mamba's steps: the law of its step sizes is uniform in their logarithm, and is taken as Gaussian.
- Experts: which rows a router picks is not followed; these operations are measured alone, and say so.
- Masks of windows and of padding: attention is taken to see all places, or all before.
- ALiBi fills scores with the lowest number of the format, which is measured as their power.
- DeBERTa's scores add three products of one query.
- ResNets: a unit that is positive in a stream stays so more often than not, so that gradients of 16 blocks
  come out too small by a factor of 1.2 to 1.5. (They had come out better when the power behind padded convolutions
  was too small by 5 %, which made up for it.)
- A loss whose inputs are related beforehand (an anchor and one that resembles it): the outputs are taken to
  know nothing of the targets.
- The gradients of queries and keys, by a factor of 1.2 to 2 where attention is peaked.
"""
FIRST_TRY = Path(__file__).with_name("predictions_first.json")
WORTH = 0.1
"""Nats by which a median or a 95 % quantile has to have changed to be listed."""


def _triple(found: list[dict[str, Any]]) -> list[float] | None:
    far = np.abs([f["log"] for f in found])
    within = [f["within"] for f in found]
    return [float(np.median(far)), float(np.quantile(far, 0.95)), float(np.mean(within))] if found else None


def _shown(three: list[float] | None) -> str:
    return "" if three is None else f"{three[0]:.2f}, {three[1]:.2f}, {three[2]:.0%}"


def _z(r: dict[str, Any]) -> str:
    if r["loss"] is None or r["law"] is None:
        return ""
    return f"{r['loss']:.3f}, {r['law']:.3f}, {(r['loss'] - r['law']) / max(r['luck'], 1e-9):+.1f}"


def _first_try(rows: list[dict[str, Any]]) -> list[str]:
    """What the first try gave, and what is there now, for the networks where that is not the same."""
    before = json.loads(FIRST_TRY.read_text(encoding="utf-8"))
    found, both = [], []
    for r in rows:
        old = before.get(f"{r['name']} / {r['init']}")
        if old is None or r["seed"]:
            continue
        now = {way: _triple(r[way]) for way in ("forward", "backward")}
        both.append((r, old, now))
        moved = any(
            old[way]
            and now[way]
            and max(abs(a - b) for a, b in zip(old[way][:2], now[way][:2], strict=True)) > WORTH
            for way in now
        )
        if (
            moved
            or (old["law"] is None) != (r["law"] is None)
            or (old["law"] and abs(old["law"] - r["law"]) > WORTH)
        ):
            cells = [
                r["name"],
                r["init"],
                *(_shown(x[way]) for way in now for x in (old, now)),
                _z(old),
                _z(r),
            ]
            found.append("| " + " | ".join(cells) + " |")
    head = ("network", "init", "forward, first try", "forward, now", "backward, first try", "backward, now",
            "loss, law, z, first try", "now")  # fmt: skip
    said = (
        "Where a median or a 95 % quantile changed by more than 0.1 nats (median, 95 %, in band), or the law "
        "of the first loss did:"
    )
    rule = "|" + "---|" * len(head)
    table_head = ["| " + " | ".join(head) + " |", rule]
    return ["", "## First try and now", "", *_summary(both), "", said, "", *table_head, *found]


def _summary(both: list[Any]) -> list[str]:
    lines = [
        "| networks | when | forward: median, 95 % above 1 nat | backward | losses foretold, within 3 sd |",
        "|---|---|---|---|---|",
    ]
    for kind in ("the first 41", "the 71 written blind"):
        some = [x for x in both if (x[0]["name"] in FIRST) == (kind == "the first 41")]
        for when in ("first try", "now"):
            cells = [kind, when]
            for way in ("forward", "backward"):
                three = [x for _, old, now in some if (x := (old if when == "first try" else now)[way])]
                if three:
                    far = sum(t[1] > 1.0 for t in three)
                    cells.append(f"{np.median([t[0] for t in three]):.3f}, {far} of {len(three)}")
            told = [x for r, old, _ in some if (x := old if when == "first try" else r)["law"] is not None]
            close = sum(abs(x["loss"] - x["law"]) <= 3.0 * x["luck"] for x in told)
            cells.append(f"{len(told)} of {len(some)}, {close}")
            lines.append("| " + " | ".join(cells) + " |")
    return lines


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
    lines += _first_try(rows)
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

"""The page of the documentation that the sweep over models of transformers writes."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

__all__ = ["figure", "page"]

HEAD = """---
orphan: true
---

# Models of transformers

Written by `benchmarks/transformers_sweep.py`; run it to write this page anew.

{planned} of the {known} types of base models of transformers {transformers} are planned, initialized
and measured here, with small random configurations of their own classes, on one core, in training mode
wherever they run in it. Sizes and batches that a type takes are found by trying
(`benchmarks/transformers_fit.py`): few layers, and usual small widths, or else all widths divided by one
number; images and sounds at their places in the text wherever a form is found that the model takes.
{states}{rest}PyTorch {torch}; {machine}, load average {load:.1f} at the end: a busy machine makes
seconds longer.
Each model is read from one run on fake tensors; where control flow depends on its own values, on real
ones, and the page says so.

- **tensors**: parameters and buffers that a rule *claims* (a draw or a constant), that are *kept*
  (buffers; what a constructor's value is the law for), that this batch does *not* make the model *read*,
  and that are *unrecognised* (no rule knows them).
- **forward**: power of the last layer's output over that of the first one's, before the head.
  **backward**: power of the gradient at the first layer over that at the last. Near 1 is healthy; a
  residual stream grows forward, and gradients of batch norms grow backward.
- **verdict**: codes of the warnings and failures of `fanin.torch.check`, – for none.
- "own" is the model's own initialization, "fanin" what the plan gives it.

| | |
|---|---:|
| planned without an error | {planned} of {all_run} |
| on fake tensors | {fake} |
| on real ones, with a stated reason | {real} |
| tensors claimed / kept / not read by this batch / unrecognised | {claimed} / {kept} / {unread} / {odd} |
| seconds to plan: median / 95 % / most | {median:.2f} / {most:.2f} / {worst:.2f} |
| models with a warning or a failure besides unread parameters, own → fanin | {sick_before} → {sick_after} |
| models whose forward power strays beyond 0.1 to 10, own → fanin | {stray_before} → {stray_after} |
| models whose backward power strays beyond 0.01 to 100, own → fanin | {back_before} → {back_after} |
"""


def page(rows: Sequence[dict[str, Any]], known: int) -> str:
    """The page of the documentation, for rows of so many types as transformers knows."""
    good = [row for row in rows if "after" in row]
    failed = [row for row in rows if "failed" in row]
    plans = sorted(row["plan"] for row in good)

    def total(status: str) -> int:
        return sum(row["status"].get(status, 0) for row in good)

    def sick(when: str) -> int:
        return sum(any(f[0] != UNREAD for f in row[when]["findings"]) for row in good)

    def stray(when: str, way: str, band: float) -> int:
        known = [row[when].get(way) for row in good]
        return sum(not 1 / band < value < band for value in known if value is not None)

    odd = sum(len(row["unrecognised"]) for row in good)
    text = HEAD.format(
        planned=len(good),
        known=known,
        rest=_rest(rows, known),
        states=_states(good),
        all_run=len(good) + len(failed),
        transformers=version("transformers"),
        torch=version("torch"),
        machine=platform.machine(),
        load=os.getloadavg()[0],
        fake=sum(row["engine"].startswith("fake") for row in good),
        real=sum(not row["engine"].startswith("fake") for row in good),
        claimed=total("claimed"),
        kept=total("kept"),
        unread=total("unrecognised") - odd,
        odd=odd,
        median=plans[len(plans) // 2],
        most=plans[int(0.95 * (len(plans) - 1))],
        worst=plans[-1],
        sick_before=sick("before"),
        sick_after=sick("after"),
        stray_before=stray("before", "forward", 10.0),
        stray_after=stray("after", "forward", 10.0),
        back_before=stray("before", "backward", 100.0),
        back_after=stray("after", "backward", 100.0),
    )
    for group in sorted({row["group"] for row in good}):
        text += f"\n## {group[0].upper()}{group[1:]}\n\n{_table([r for r in good if r['group'] == group])}"
    return text + _remarks(good, failed) + TRAINED + AUDITED + _others(rows)


BEYOND = """
What no initial weight mends, and stays as it is:

- muse_glimmer, muse_spark and their texts: queries and keys pass norms without a scale of their own, and a
  constant of the forward pass multiplies them; the scores are sharp whatever the weights are. (Where such
  norms have a scale, as in gemma4, the scale makes up for scores that nothing divides.)
- encodec, mimi, xcodec: codebooks are buffers of zeros until training data fill them, so what a decoder
  reads is exactly zero; with zero biases nothing comes out of it.
- Batch norms let gradients grow toward the input (hgnet_v2, mobilenet_v1, mobilenet_v2, resnet, regnet,
  bit, levit, pp_ocrv5): a property of the norm, seen with every scale of the weights.
- bailing_hybrid: a rate of forgetting, a kept parameter of up to 16, multiplies what its gate reads, and the
  gate sits at its bounds. It trains all the same: the failure says too much.
- dab-detr: the first layer of its decoder starts from queries that are zero, so what reads them fires for no
  sample there: the failure says too much here as well.

What a better plan would mend: in univnet other layers make the kernels that a signal meets, with power 1
where a sum over them asks for less; in vits a latent's scale is an exponential of what a layer makes.
Not looked into: blt, dots3_note, florence2, pp_doclayout_v3.
"""
"""Findings that are true of a model and not of its weights."""

AUDITED = """
## Audits of the models' own initialization

`fanin.torch.audit` compares weights with a named convention, tensor by tensor
(`benchmarks/transformers_audit.py`). Of 120 of these types, built as above and put beside `hf-0.02`,
98 follow it in every tensor, among them 87 whose configuration says 0.02 itself. GPT-2, GPT-SW3,
GPT-BigCode, ImageGPT and the Decision Transformer differ from `hf-0.02` in the last weight of each branch
alone, and follow `gpt2`. The other 17 have laws or numbers of their own.

Tensors that differ from `hf-0.02`, with what transformers 5.23.0 does instead:

| type | tensors | declared | found |
|---|---|---|---|
| mobilevit | `conv_stem.normalization.weight` and 31 more scales of batch norms | 1 | N(0, 0.02²) |
| nemotron | `layers.*.input_layernorm.weight` and the other scales of norms by 1 + w | 0 | 1: a factor 2 |
| gpt_oss | `layers.*.mlp.router.bias` | 0 | N(0, 0.02²) |
| blip | all weights of `vision_model` | N(0, 0.02²) | std 1e-10, as it configures |
| wav2vec2, hubert | `feature_extractor.conv_layers.*.conv.weight` | N(0, 0.02²) | std 0.036 to 0.45 |
| xlm, flaubert | `embeddings.weight`, `position_embeddings.weight` | N(0, 0.02²) | std 0.022 |
| nemotron, starcoder2 | every weight | N(0, 0.02²) | std 0.0134 and 0.0180, as they configure |
| modernbert | `layers.*.attn.Wo.weight`, `layers.*.attn.Wqkv.weight` | N(0, 0.02²) | std 0.0062, 0.0177 |

That a tensor differs from the named convention is no fault by itself: most of these are laws of their own.
"""
"""What audits of the models' own weights found."""

TRAINED = """
## What warnings are worth in training

Mean squared distance to fixed random targets after 40 steps of Adam at 1e-3, one seed, models as above:

| type | warned of with its own weights | own | fanin |
|---|---|---:|---:|
| parakeet_encoder | FAN101: power falls to 5e-11 | 0.957 | 0.174 |
| cpmant | FAN111: scores of std 30 | 0.060 | 0.011 |
| switch_transformers | FAN111: routers with scores of std 7 | 1.12 | 0.486 |
| bart | FAN102: gradient falls by 3.9 powers of ten | 0.253 | 0.408 |
| whisper | FAN102: gradient falls by 6.0 powers of ten | 0.096 | 0.165 |
| gemma4_text | FAN111: scores of std 19 | 0.011 | 0.237 |

The figures of the warnings are true in all six. That they cost something shows in the first three; in the
others this short task, which Adam can learn by heart in the layers near the loss, shows no harm.
"""
"""What some of the models that are warned of do in training, and with fanin's weights."""

UNREAD = "FAN302"
"""The finding that says that parameters take no part: a property of the batch, told in a list of its own."""


def _states(good: Sequence[dict[str, Any]]) -> str:
    """Which commits the rows were measured at, in a sentence; "" where none is told."""
    counts = Counter(row.get("state", "") for row in good)
    told = [f"{count} at {state}" for state, count in counts.most_common() if state]
    rest = counts.get("", 0)
    told += [f"{rest} at earlier commits of the same day"] if rest and told else []
    return f"Of the rows {', '.join(told)}.\n" if told else ""


def _rest(rows: Sequence[dict[str, Any]], known: int) -> str:
    """What became of the other types, in a sentence."""
    odd = sum("not built" in row for row in rows)
    told = [f"{odd} do not run as they are built here, and are listed at the end"] if odd else []
    if known > len(rows):
        told.append(f"{known - len(rows)} were not tried")
    return f"Of the others {'; '.join(told)}.\n" if told else ""


COLUMNS = (
    "| type | parameters, M | claimed | kept | not read | unrecognised | run | plan, s | branches "
    "| forward, own | fanin | backward, own | fanin | verdict, own | fanin |"
)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        COLUMNS,
        "|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row["kind"]):
        status = row["status"]
        cells = [
            row["kind"],
            f"{row['size'] / 1e6:.2f}",
            str(status.get("claimed", 0)),
            str(status.get("kept", 0)),
            str(len(row["unread"]) or ""),
            str(len(row["unrecognised"]) or ""),
            row["engine"].split()[0] + (" (eval)" if "(eval mode" in row["engine"] else ""),
            f"{row['plan']:.2f}",
            str(row["branches"]),
            *(figure(row[when].get(way)) for way in ("forward", "backward") for when in ("before", "after")),
            *(
                " ".join(f[0] for f in row[when]["findings"] if f[0] != UNREAD) or "–"
                for when in ("before", "after")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _remarks(good: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]]) -> str:
    """Every row that is not plain, with its reason."""
    text = ""
    odd = [(row["kind"], name, seen) for row in good for name, seen in row["unrecognised"]]
    if odd:
        text += "\n## Unrecognised tensors\n\n"
        text += "".join(f"- {kind}: `{name}`, {seen}\n" for kind, name, seen in odd)
    sick = [(row["kind"], f) for row in good for f in row["after"]["findings"] if f[0] != UNREAD]
    if sick:
        text += "\n## Findings after initialization\n\n"
        text += "".join(f"- {kind}, {f[0]} ({f[1]}, {f[2]}): {f[3]}.\n" for kind, f in sick)
        text += BEYOND
    other = [(row["kind"], row["engine"]) for row in good if row["engine"] != "fake tensors"]
    if other:
        text += "\n## Runs that fake tensors could not carry\n\n"
        text += "".join(f"- {kind}: {engine}\n" for kind, engine in other)
    parts = [(row["kind"], row["unread"]) for row in good if row["unread"]]
    if parts:
        text += "\n## Parameters that the batch does not reach\n\n"
        for kind, names in parts:
            text += f"- {kind}: {len(names)}, `{names[0]}`{', …' if len(names) > 1 else ''}\n"
    if failed:
        text += "\n## Failed\n\nBegun, but not ended in the time and memory of a worker, or as told:\n\n"
        text += "".join(f"- {row['kind']}: {row['failed'][:300]}\n" for row in failed)
    return text


def _others(rows: Sequence[dict[str, Any]]) -> str:
    """Types that say nothing of fanin: they do not run by themselves as built here."""
    found = [row for row in rows if "not built" in row]
    if not found:
        return ""
    text = (
        f"\n## Not run\n\n{len(found)} types do not run by themselves as this script builds them. Those\n"
        "that name a library need it; trackers of films take a session that they fill as they run; bark and\n"
        "glm_image_vqmodel have no forward pass of their own:\n\n"
    )
    return text + "".join(f"- {row['kind']}: {_plain(row['not built'])}\n" for row in found)


def _plain(reason: str) -> str:
    return " ".join(reason.replace("`", "'").replace("<", "(").replace(">", ")").split())[:110]


def figure(value: float | None) -> str:
    """A number for a cell."""
    return "–" if value is None else f"{value:.2g}"

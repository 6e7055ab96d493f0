"""Audit what models of transformers draw by themselves against a named convention; offline.

    python benchmarks/transformers_audit.py bert vit gpt2 [--against hf-0.02]

Prints for each model type whether its own initialization follows the convention, and which tensors do
not. Models are built as for the sweep. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import logging
import warnings

import torch
from transformers_fit import fit

import fanin.torch

SHOWN = 3
"""Tensors of a model that are printed, at the most."""


def audited(kind: str, against: str) -> str:
    """What there is to say of one type."""
    try:
        found = fit(kind)
    except LookupError as error:
        return f"{kind}: not built: {error}"
    torch.manual_seed(1)
    audit = fanin.torch.audit(found.model, found.batch, against=against)
    odd = [line for line in audit.comparisons if line.severity is not None]
    shown = "".join(f"\n    {line.name}: declared {line.declared}, {line.finding}" for line in odd[:SHOWN])
    return f"{kind}: {audit.verdict}{shown}"


def main() -> None:
    """Print a line for every type, and one for each of its first tensors that differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("types", nargs="+", help="model types")
    parser.add_argument("--against", default="hf-0.02", help="a policy; see fanin.plans.policies.names()")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    for kind in chosen.types:
        print(audited(kind, chosen.against), flush=True)


if __name__ == "__main__":
    main()

"""Use an installed wheel as a new user would, with nothing but its hard dependencies.

Run by `make package` in an environment of its own, from a folder that is not the checkout.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np

OPTIONAL = ("torch", "jax", "keras", "rich", "plotly", "scipy", "safetensors")


def main(checkout: Path) -> None:
    """Import, draw with kernel and reference, and call the command."""
    fanin = importlib.import_module("fanin")
    home = Path(fanin.__file__ or "").resolve()
    if checkout in home.parents:
        raise SystemExit(f"fanin came from the checkout, not from the wheel: {home}")
    version = importlib.metadata.version("fanin")
    if fanin.__version__ != version:
        raise SystemExit(f"fanin says {fanin.__version__}, its wheel says {version}")
    if not (home.parent / "py.typed").is_file():
        raise SystemExit("the wheel has no py.typed")
    importlib.import_module("fanin._kernel")

    weight = fanin.sample(fanin.he_normal(), (256, 784), seed=0, name="fc1.weight")
    again = fanin.sample(fanin.he_normal(), (256, 784), seed=0, name="fc1.weight")
    if weight.shape != (256, 784) or not np.array_equal(weight, again):
        raise SystemExit("the same seed and name gave other numbers")
    # He's law: variance 2 / fan_in. Six standard errors of a sample variance of n normals, sqrt(2 / n),
    # are passed by chance once in 500 million tries.
    off = abs(float(weight.astype(np.float64).var()) * 784 / 2 - 1)
    if off > 6 * (2 / weight.size) ** 0.5:
        raise SystemExit(f"the variance is off by {off:.2%}")

    # The wheel's kernel against its own definition in NumPy, in a process where the kernel is switched off.
    program = "import fanin, sys; sys.stdout.buffer.write(fanin.sample(fanin.he_normal(), (256, 784), "
    program += "seed=0, name='fc1.weight').tobytes())"
    reference = subprocess.run(
        [sys.executable, "-I", "-c", program],
        check=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "FANIN_KERNEL": "off"},
    ).stdout
    if reference != weight.tobytes():
        raise SystemExit("kernel and reference differ")

    command = Path(sysconfig.get_path("scripts")) / "fanin"
    for arguments in (["--version"], ["--help"], ["list"]):
        subprocess.run([command, *arguments], check=True, timeout=60)
    dragged_in = [name for name in OPTIONAL if name in sys.modules]
    if dragged_in:
        raise SystemExit(f"the hard dependencies alone loaded {dragged_in}")
    print(f"fanin {version} works from its wheel")  # the log of the step


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

"""Another processor: the kernel for AArch64 with its NEON path, under an emulator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


def tool(*names: str) -> str:
    """The first of some programs, beside this Python or on the PATH; CI must have one."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found
    text = f"none of {', '.join(names)} is installed"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.mark.slow
def test_golden_vectors_and_contraction_on_aarch64(tmp_path: Path) -> None:
    compiler = tool("aarch64-linux-gnu-g++")
    emulator = tool("qemu-aarch64", "qemu-aarch64-static")
    cmake, ctest, ninja = tool("cmake"), tool("ctest"), tool("ninja")
    options = {
        "CMAKE_MAKE_PROGRAM": ninja,
        "CMAKE_BUILD_TYPE": "Release",
        "FANIN_BUILD_TESTS": "ON",
        "FANIN_PYTHON": "OFF",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_CXX_COMPILER": compiler,
        # No system of the other kind is needed to run what is linked whole.
        "CMAKE_EXE_LINKER_FLAGS": "-static",
        "CMAKE_CROSSCOMPILING_EMULATOR": emulator,
    }
    configure = [cmake, "-S", str(TOP), "-B", str(tmp_path), "-G", "Ninja"]
    commands = [
        [*configure, *(f"-D{name}={value}" for name, value in options.items())],
        [cmake, "--build", str(tmp_path)],
        [ctest, "--test-dir", str(tmp_path), "--verbose", "--no-tests=error"],
    ]
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    # Every path of this processor was held to the vectors.
    assert "paths: neon portable" in result.stdout
    program = (tmp_path / "fanin_test_vectors").read_bytes()
    # e_machine of the ELF header: 183 is AArch64, so what ran was no program of this processor.
    assert int.from_bytes(program[18:20], "little") == 183
    assert not fused(next(tmp_path.rglob("neon.cpp*.o")))


FUSED = re.compile(r"\s(?:fn?madd|fn?msub|fmla|fmls)\s")
"""Instructions that round a product and a sum once."""


def fused(object_file: Path) -> list[str]:
    """The fused instructions of an object file."""
    command = [tool("aarch64-linux-gnu-objdump"), "-d", str(object_file)]
    return FUSED.findall(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_contraction_would_be_seen(tmp_path: Path) -> None:
    # The search above finds what a compiler that may contract makes of the same file.
    target = tmp_path / "neon.o"
    flags = ["-std=c++17", "-O2", "-ffp-contract=fast", "-I", str(TOP / "kernel/include")]
    source = TOP / "kernel/neon.cpp"
    compiler = tool("aarch64-linux-gnu-g++")
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(target)], check=True, capture_output=True)
    assert fused(target)

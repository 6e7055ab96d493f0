"""Another processor: the kernel for AArch64, where compilers turn its loops into NEON, under an emulator."""

from __future__ import annotations

import os
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
        [ctest, "--test-dir", str(tmp_path), "--output-on-failure", "--no-tests=error"],
    ]
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    program = (tmp_path / "fanin_test_vectors").read_bytes()
    # e_machine of the ELF header: 183 is AArch64, so what ran was no program of this processor.
    assert int.from_bytes(program[18:20], "little") == 183

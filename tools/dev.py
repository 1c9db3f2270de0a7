"""Set up and run the project from a fresh clone, on any system: python tools/dev.py demo | test | play.

Standard library only. Makes `.venv` beside this folder, installs the project into it, fetches the models a task needs
into the user's cache, and runs the task. Every step is skipped when it has been done.

    python tools/dev.py demo             a scripted talk with the merchant over ZeroMQ (PROFILE=tiny: a small download)
    python tools/dev.py test [ARGS...]   lint, types, and all tests that this machine can run; ARGS go to pytest
    python tools/dev.py play [CHARACTER] talk to a character in the terminal
    python tools/dev.py setup            only the virtual environment
    python tools/dev.py toolchains       installs what the tests of bindings/ need (root on Debian), or says it
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "installed-from"
MIN_PYTHON = (3, 11)

# For the tests of bindings/. Node.js is not among the packages: Debian's own may be older than 18.
DEBIAN_PACKAGES = (
    "mono-mcs",
    "mono-runtime",
    "libmono-system-core4.0-cil",
    "libzmq3-dev",
    "libmsgpack-cxx-dev",
    "nlohmann-json3-dev",
    "cmake",
    "g++",
    "godot3-server",
    "chromium",
)
# gdtoolkit checks the GDScript binding's style and syntax.
PYTHON_TOOLS = ("gdtoolkit>=4.2,<5",)
TOOLCHAINS = {
    "node": "Node.js 18 or newer with npm: bindings/javascript; then `npm ci` in that folder",
    "chromium": "Chromium: bindings/javascript in a browser",
    "mcs": "Mono's compiler and runtime: bindings/csharp",
    "cmake": "CMake, a C++17 compiler, libzmq and msgpack-cxx: bindings/cpp",
    "godot3-server": "Godot 3 without a display: bindings/gdscript",
}


def main(arguments: list[str]) -> int:
    """Run one task; the exit status is the task's."""
    task, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    tasks = {"demo": demo, "test": test, "play": play, "setup": lambda _: 0, "toolchains": toolchains}
    if task not in tasks:
        print(__doc__)
        return 0 if task in ("help", "-h", "--help") else 2
    set_up()
    return tasks[task](rest)


def demo(arguments: list[str]) -> int:
    """The scripted talk; pulls the profile's models first, saying size and time."""
    profile = os.environ.get("PROFILE", "base")
    return engine("demo", "--model", profile, *arguments)


def play(arguments: list[str]) -> int:
    """A talk in the terminal; pulls the profile's models first."""
    profile = os.environ.get("PROFILE", "base")
    return engine("play", "--model", profile, *(arguments or ["hesta"]))


def test(arguments: list[str]) -> int:
    """Lint, types, tests. Without a network the tests that need models are skipped, with the reason."""
    if any([engine("models", "pull", name) for name in ("tiny", "encoder")]):
        print("\nThe models could not be fetched: tests marked `model` will be skipped.\n", flush=True)
    steps = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["pytest", *arguments]]
    for step in steps:
        print("$", *step, flush=True)
        if status := run([str(PYTHON), "-m", *step]):
            return status
    return 0


def toolchains(arguments: list[str]) -> int:
    """Install what bindings/ need; the tests of a binding whose toolchain is missing are skipped."""
    if run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PYTHON_TOOLS]):
        print(f"Installing {' '.join(PYTHON_TOOLS)} failed; the lines above say why.")
        return 1
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        print("Only root on Debian (or Ubuntu) can have the rest installed from here. What the tests look for:")
        for program, what in TOOLCHAINS.items():
            print(f"  {'found' if shutil.which(program) else 'missing':<8} {program:<14} {what}")
        print(f"As root on Debian: apt-get install {' '.join(DEBIAN_PACKAGES)}")
        return 0
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES]
    if run(["apt-get", "update", "-qq"]) or run(install):
        print("apt-get failed; the lines above say why. Run the same command again to go on.")
        return 1
    if shutil.which("npm") is None:
        print(
            "npm comes with Node.js 18 or newer, which this system does not have: the JavaScript tests will be skipped."
        )
        return 0
    return subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ROOT / "bindings" / "javascript").returncode


def set_up() -> None:
    """Make the virtual environment and install the project, unless pyproject.toml was installed as it stands."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted:
        return
    if not PYTHON.exists():
        print(f"Making the virtual environment {VENV}", flush=True)
        if run([*find_python(), "-m", "venv", str(VENV)]):
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("Making the virtual environment failed. On Debian and Ubuntu: apt install python3-venv")
    print("Installing the project and its dependencies (about 300 MB on a machine that may have a GPU)", flush=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install"]
    if run([*pip, "--quiet", "--upgrade", "pip"]) or run([*pip, "--editable", f"{ROOT}[dev]"]):
        sys.exit("Installing failed; the lines above say why. Run the same command again to go on.")
    STAMP.write_text(wanted, encoding="utf-8")


def find_python() -> list[str]:
    """A Python that is new enough: this one, or another that the system offers."""
    if sys.version_info >= MIN_PYTHON:
        return [sys.executable]
    candidates = [[f"python3.{minor}"] for minor in (13, 12, 11, 14)] + [["py", "-3"]]
    check = f"import sys; sys.exit(sys.version_info < {MIN_PYTHON})"
    for candidate in candidates:
        if shutil.which(candidate[0]) and subprocess.run([*candidate, "-c", check], check=False).returncode == 0:
            return candidate
    sys.exit(f"Python {'.'.join(map(str, MIN_PYTHON))} or newer is needed; this is {sys.version.split()[0]}")


def engine(*arguments: str) -> int:
    """Run the project's own command."""
    return run([str(PYTHON), "-m", "npc_engine", *arguments])


def run(command: list[str]) -> int:
    """Run a command in the repository's root; its exit status."""
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

"""`make setup`: the virtual environment `.venv`, with exactly what requirements.lock names.

Needs a bare Python and its standard library alone, and is written so that an old Python can say that it is too old.
A stamp, written last, says for which lock, project file and Python the environment is whole; what an interrupted run
left is completed or made anew by the next.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements.lock")
STAMP = os.path.join(VENV, "leasehold.stamp")


def main() -> None:
    """Make the environment whole; nothing to do takes a few milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anew", action="store_true", help="make it anew, whatever is there")
    parser.add_argument(
        "--chosen", action="store_true", help="this very Python was asked for; else any that is there will do"
    )
    arguments = parser.parse_args()
    _require_python()
    os.chdir(ROOT)
    with open(os.path.join(ROOT, ".venv.lock"), "w") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another make setup in this folder")
            fcntl.flock(alone, fcntl.LOCK_EX)
        wanted, found = _facts(), _stamped()
        if found and not arguments.chosen and os.path.exists(PYTHON):
            wanted["python"] = found.get("python", "")
        if found == wanted and not arguments.anew:
            return
        if arguments.anew or not _is_usable(wanted, found):
            wanted["python"] = _own_python()
            _create()
        if os.path.exists(STAMP):
            os.remove(STAMP)
        _install()
        with open(STAMP + ".new", "w") as stamp:
            json.dump(wanted, stamp)
        os.replace(STAMP + ".new", STAMP)
        _say("done: .venv")


def _require_python() -> None:
    if sys.version_info < NEEDED:
        _fail(
            "Leasehold needs Python {}.{} or newer, and {} is {}; install a newer one, or name one: "
            "make setup PYTHON=/path/to/python3.12".format(*NEEDED, sys.executable, _version())
        )
    for module, package in (("venv", "python3-venv"), ("ensurepip", "python3-venv"), ("ssl", "libssl")):
        try:
            __import__(module)
        except ImportError:
            _fail(
                f"{sys.executable} has no module {module}; install it (on Debian and Ubuntu: apt install {package}), "
                "or name another Python: make setup PYTHON=/path/to/python3.12"
            )


def _facts() -> dict[str, str]:
    """What the environment depends on. Its path is part of it, since scripts in it name that path."""
    return {
        "lock": _sha256(LOCK),
        "project": _sha256(os.path.join(ROOT, "pyproject.toml")),
        "python": _own_python(),
        "path": VENV,
    }


def _own_python() -> str:
    return f"{_version()} {os.path.realpath(sys.executable)}"


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _stamped() -> dict[str, str] | None:
    try:
        with open(STAMP) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _is_usable(wanted: dict[str, str], found: dict[str, str] | None) -> bool:
    """Whether only the project itself is to be installed again; anything else is made anew, so that nothing old
    stays."""
    if found is None:
        return False
    return all(found.get(name) == wanted[name] for name in ("lock", "python", "path"))


def _create() -> None:
    _say(f"making .venv with Python {_version()} ({sys.executable}); another: make setup PYTHON=/path/to/python")
    shutil.rmtree(VENV, ignore_errors=True)
    _run([sys.executable, "-m", "venv", VENV], "the virtual environment could not be made")


def _install() -> None:
    with open(LOCK) as file:
        total = sum(1 for line in file if "==" in line and not line.startswith((" ", "#")))
    locked = [PYTHON, "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--requirement", LOCK]
    _run(locked, "the libraries could not be installed; look at the network, or at what pip says above", total)
    # setuptools comes from the lock, so nothing is fetched to build.
    own = [PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ROOT]
    _run(own, "Leasehold itself could not be installed")


def _run(command: list[str], failure: str, total: int = 0) -> None:
    """Run quietly, counting packages if `total` says how many there are about; its words are shown if it fails."""
    said = []
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1")
    environment.pop("PIP_REQUIRE_VIRTUALENV", None)
    with subprocess.Popen(  # noqa: S603 (the commands stand above)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, universal_newlines=True
    ) as running:
        count = 0
        for line in running.stdout or ():
            said.append(line)
            if total and line.startswith("Collecting "):
                count += 1
                _count(count, total)
            elif total and line.startswith("Installing collected"):
                _count(count, total, "; installing")
    _count(0, 0)
    if running.returncode != 0:
        sys.stderr.writelines(said[-30:])
        _fail(failure)


def _count(count: int, total: int, more: str = "") -> None:
    """One line that grows, on a terminal; elsewhere one line at the start and one at the end."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" if not total else f"\r\033[Ksetup: library {count} of about {total}{more}")
        sys.stderr.flush()
    elif total and count == 1:
        _say(f"fetching about {total} libraries")
    elif total and more:
        _say(f"installing {count} libraries")


def _version() -> str:
    return "{}.{}.{}".format(*sys.version_info[:3])


def _say(words: str) -> None:
    sys.stderr.write(f"setup: {words}\n")


def _fail(words: str) -> None:
    sys.exit("setup: " + words)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; the next make setup goes on")
    except OSError as error:
        sys.exit(f"setup: {error.filename or ROOT}: {error.strerror}; look at the room and the permissions there")

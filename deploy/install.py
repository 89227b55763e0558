"""Makes `.venv` and installs what FlowRay needs, locked and hashed; the first thing that runs on a fresh machine.

Standard library only, and old syntax on purpose: a Python that is too old must live long enough to say so.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
LOCKS = os.path.join(ROOT, "deploy", "locks")
STAMP = os.path.join(VENV, "installed")
OLDEST = (3, 11)


def main():
    options = _arguments()
    _check_python()
    lock = os.path.join(LOCKS, options.lock + ".txt")
    if _is_current(lock):
        return
    started = time.monotonic()
    python = os.path.join(VENV, "bin", "python")
    uv = _make_venv(python)
    _say("installing %s (locked; about 600 MB, mostly Ray)" % os.path.relpath(lock, ROOT))
    _install(uv, python, lock)
    with open(STAMP, "w") as stamp:
        stamp.write(_identity(lock))
    _say("installed in %.0f s" % (time.monotonic() - started))


def _arguments():
    parser = argparse.ArgumentParser(description="Create .venv and install FlowRay's locked dependencies into it.")
    parser.add_argument("--lock", choices=("service", "dev"), default="service", help="which lock of deploy/locks")
    return parser.parse_args()


def _check_python():
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        _stop("FlowRay needs Python 3.11 or newer, this is %s" % found, "call `make PYTHON=/path/to/python3.11 ...`")


def _make_venv(python):
    """Create the environment; the path of uv when there is one or pip can bring it, else None."""
    uv = shutil.which("uv")
    if uv:
        if not os.path.exists(python):
            _run([uv, "venv", "--quiet", "--python", sys.executable, VENV])
        return uv
    if not os.path.exists(python):
        _make_venv_with_pip()
    _say("fetching uv, which installs several times faster than pip")
    fetched = subprocess.run([python, "-m", "pip", "install", "--quiet", "uv==0.13.9"], check=False)
    inside = os.path.join(VENV, "bin", "uv")
    return inside if fetched.returncode == 0 and os.path.exists(inside) else None


def _make_venv_with_pip():
    made = subprocess.run([sys.executable, "-m", "venv", VENV], check=False, capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        _stop("this Python cannot create a virtual environment", "install uv, or `apt-get install python3-venv`")


def _install(uv, python, lock):
    if uv:
        # Ray's daemons are Python processes of their own: with bytecode there, they start two to four times faster.
        _run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--python", python, "-r", lock]
        )
        _run([uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "-e", ROOT])
        return
    _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock])
    _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", ROOT])


def _identity(lock):
    with open(lock) as text, open(os.path.join(ROOT, "pyproject.toml")) as project:
        return text.read() + project.read() + sys.version


def _is_current(lock):
    if not os.path.exists(STAMP):
        return False
    with open(STAMP) as stamp:
        return stamp.read() == _identity(lock)


def _run(command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(command, check=False, env=environment)
    if ended.returncode:
        _stop("`%s ...` failed" % " ".join(command[:4]), "see its message above")


def _say(text):
    print("flowray: " + text, flush=True)


def _stop(problem, remedy):
    print("flowray: %s: %s" % (problem, remedy), file=sys.stderr, flush=True)
    raise SystemExit(2)


if __name__ == "__main__":
    main()

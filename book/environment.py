"""Make .venv what requirements.txt says. Run by whatever Python the reader has, so this file parses in old ones too.

The stamp in .venv holds the place of the repository, the lock and the project's own settings. It is written last, so
an environment that was interrupted half-way has none and is made again.
"""

import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed")
OLDEST, NEWEST = (3, 11), (3, 13)


def wanted():
    """What the stamp of a complete environment says."""
    text = ROOT + "\n"
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            text += file.read().decode("utf-8")
    return text


def stamped():
    try:
        with open(STAMP, "rb") as file:
            return file.read().decode("utf-8")
    except (OSError, IOError):  # noqa: UP024, older Pythons know two of them
        return None


def version_of(python):
    """(major, minor) of an interpreter that starts and has pip, else None."""
    try:
        code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        text = subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL)
        return tuple(int(part) for part in text.decode("utf-8").split("."))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def main(chosen):
    """`chosen`: the reader named this Python (make PYTHON=...), so an environment of another version does not do."""
    mine = tuple(sys.version_info[:2])
    theirs = version_of(VENV_PYTHON) if os.path.exists(VENV_PYTHON) else None
    if stamped() == wanted() and theirs is not None and (not chosen or theirs == mine):
        return 0
    # Only a finished environment of this place is brought up to date; anything else is made from scratch.
    right = theirs == mine if chosen else theirs is not None and OLDEST <= theirs <= NEWEST
    reusable = right and (stamped() or "").startswith(ROOT + "\n")
    if not reusable and not OLDEST <= mine <= NEWEST:
        print(
            "This book needs Python 3.11, 3.12 or 3.13, and %s is Python %d.%d.\n"
            "Name another one, for example: make book PYTHON=python3.12" % (sys.executable, mine[0], mine[1])
        )
        return 1
    if not reusable:
        print("Making .venv with %s (Python %d.%d)" % (sys.executable, mine[0], mine[1]))
        if os.path.islink(VENV) or os.path.isfile(VENV):
            os.remove(VENV)
        elif os.path.isdir(VENV):
            shutil.rmtree(VENV)
        if subprocess.call([sys.executable, "-m", "venv", VENV]):
            print("Python could not make a virtual environment; on Debian and Ubuntu, apt install python3-venv.")
            return 1
    if os.path.exists(STAMP):
        os.remove(STAMP)
    print("Installing requirements.txt into .venv (once; a few minutes and about 2 GB, most of it torch)")
    sys.stdout.flush()
    extra = shlex.split(os.environ.get("PIP_ARGS", ""))
    pip = [VENV_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = (
        ["-r", os.path.join(ROOT, "requirements.txt")],
        ["--no-deps", "--no-build-isolation", "-e", ROOT],
    )
    for step in steps:
        if subprocess.call(pip + extra + step):
            print("pip could not install %s into .venv; its message is above." % step[-1])
            return 1
    with open(STAMP, "wb") as file:
        file.write(wanted().encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main("--chosen" in sys.argv[1:]))

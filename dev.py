#!/usr/bin/env python3
"""The chores of this repository, one verb each. Needs Python 3.11 or newer, and nothing else.

    python3 dev.py demo           set up and run the demo
    python3 dev.py test [...]     set up and run the tests, with --fast without the slow ones; what follows goes to
                                  pytest
    python3 dev.py lint           ruff, mypy --strict and import-linter
    python3 dev.py docs           build the documentation into site/, strictly
    python3 dev.py build          wheels and sdists of every distribution into dist/, reproducible and checked
    python3 dev.py packages [...] build, then install them as people do, on every Python from 3.11 to 3.13 that is here;
                                  what follows names some of them, such as 3.12

Everything is installed into .venv; nothing outside of this folder is touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "neuromem-dev-stamp"
DISTRIBUTIONS = ("neuromem-core", "neuromem-openai", "neuromem-siliconflow", "neuromem-s3", "neuromem-local")
FIXED_MOMENT = "1767225600"  # 2026-01-01
FAST = "--fast"
DEMO = ("neuromem-core[cli]", "neuromem-local")


def demo(arguments: list[str]) -> int:
    """Set up what a user of the local plugin has, and run the demo."""
    set_up("demo")
    return run("neuromem", "demo", *arguments)


def test(arguments: list[str]) -> int:
    """Set up everything and run the tests, two at a time; ``--fast`` leaves out what is marked slow."""
    set_up("dev")
    return run("pytest", "-n", "2", "--dist", "loadgroup", *pytest_arguments(arguments))


def lint(arguments: list[str]) -> int:
    """Run every check of the source, also after one has failed."""
    no_arguments("lint", arguments)
    set_up("dev")
    sources = [f"{name}/src" for name in DISTRIBUTIONS]
    sources += [name for name in ("tests", "benchmarks", "docs/gen", "dev.py") if (ROOT / name).exists()]
    checks = (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy", "--strict", *sources),
        ("lint-imports", "--no-cache"),
        ("lint-imports", "--no-cache", "tests/architecture/circles.toml"),
    )
    return max(run(*check) for check in checks)


def docs(arguments: list[str]) -> int:
    """Build the documentation, plots and reference included; a broken link or a forgotten page is an error."""
    no_arguments("docs", arguments)
    set_up("dev")
    return run("python", "-m", "mkdocs", "build", "--strict", "--quiet")


def build(arguments: list[str]) -> int:
    """Build every distribution into dist/ and check what an index would show of it.

    What is built is dated by the commit, so that anybody gets the same bytes from it, anywhere and at any time.
    """
    no_arguments("build", arguments)
    set_up("dev")
    os.environ.setdefault("SOURCE_DATE_EPOCH", moment_of_the_commit())
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for name in DISTRIBUTIONS:
        code = run("pyproject-build", "--no-isolation", "--outdir", str(dist), name)
        if code:
            return code
    built = sorted(str(path) for path in dist.iterdir())
    wheels = [path for path in built if path.endswith(".whl")]
    return max(run("twine", "check", "--strict", *built), run("check-wheel-contents", *wheels))


def packages(arguments: list[str]) -> int:
    """Build, and try what was built in clean environments; a Python that is not here is named and left out."""
    return build([]) or run("python", "-m", "tests.packaging.matrix", "dist", *arguments)


def pytest_arguments(arguments: list[str]) -> list[str]:
    """Return what goes to pytest: the arguments, ``--fast`` as the expression that it stands for."""
    rest = [argument for argument in arguments if argument != FAST]
    return rest if rest == arguments else ["-m", "not slow", *rest]


def moment_of_the_commit() -> str:
    """Return when the commit was made that is checked out, in seconds; without git a fixed moment."""
    command = ("git", "log", "-1", "--format=%ct")
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return FIXED_MOMENT
    return done.stdout.strip() or FIXED_MOMENT


def set_up(what: str) -> None:
    """Make .venv hold what is needed; done again only when a pyproject.toml or the Python changed."""
    wanted = [what, digest(sys.version, sys.base_prefix), digest(*map(project, (".", *DISTRIBUTIONS)))]
    have = STAMP.read_text().split() if STAMP.exists() else ["", "", ""]
    if have[1:] == wanted[1:] and have[0] in {what, "dev"}:  # "dev" holds all that "demo" does
        return
    print(f"Setting up {VENV.relative_to(ROOT)} for {what}; the first time takes a few minutes.", flush=True)
    if have[1] != wanted[1]:
        make_venv()
    pip = (str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    step("upgrade pip", *pip, "--upgrade", "pip>=25.1")
    step("install what is needed", *pip, *requirements(what))
    STAMP.write_text(" ".join(wanted))


def make_venv() -> None:
    """Make .venv with the Python that runs this, in place of one that another Python made."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SystemExit(
                f"This Python has no module {module!r}, so it cannot make a virtual environment. On "
                f"Debian and Ubuntu: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
            )
    step("make the virtual environment", sys.executable, "-m", "venv", "--clear", str(VENV))


def requirements(what: str) -> list[str]:
    """Return pip's arguments: the folders, editable, and for development all extras and the group ``dev``."""
    names = DEMO if what == "demo" else [name + all_extras(name) for name in DISTRIBUTIONS]
    editable = [argument for name in names for argument in ("--editable", f"./{name}")]
    return editable if what == "demo" else [*editable, "--group", "dev"]


def all_extras(name: str) -> str:
    """Return the extras of a distribution as they follow its name, in brackets."""
    import tomllib

    extras = tomllib.loads(project(name))["project"].get("optional-dependencies", {})
    return f"[{','.join(extras)}]" if extras else ""


def project(name: str) -> str:
    """Return a folder's pyproject.toml."""
    return (ROOT / name / "pyproject.toml").read_text(encoding="utf-8")


def digest(*parts: str) -> str:
    """Return one hash of them all."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def step(purpose: str, *command: str) -> None:
    """Run one step of the set-up, and stop when it fails."""
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise SystemExit(f"Could not {purpose}: {' '.join(command)} ended with code {code}; see above.")


def run(tool: str, *arguments: str) -> int:
    """Run a command of the virtual environment in the root folder and return how it ended."""
    return subprocess.run([str(BIN / tool), *arguments], cwd=ROOT, check=False).returncode


def no_arguments(verb: str, arguments: list[str]) -> None:
    """Refuse arguments that would be ignored."""
    if arguments:
        raise SystemExit(f"'{verb}' takes no arguments, but was given: {' '.join(arguments)}")


def main() -> int:
    """Run the verb."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python is shown
        raise SystemExit(f"neuromem needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    verbs = {"demo": demo, "test": test, "lint": lint, "docs": docs, "build": build, "packages": packages}
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if verb not in verbs:
        raise SystemExit(__doc__)
    return verbs[verb](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

"""Measure what a machine has not measured yet: what the benchmark workflow runs everywhere.

Releases without a wheel for the platform are left out beforehand, so that a failure is one. The
newest release is measured together with the one before it: only times of one session can tell
whether the gap moved.
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.history.read import History, read
from scripts.releases import pins
from scripts.releases.pins import Release
from scripts.releases.repo import ReleaseRepo


def plan(
    asked: Sequence[str], usable: Sequence[Release], *, done: bool
) -> list[tuple[bool, list[str]]]:
    """The runs to make: whether to leave out what was measured, and the releases, newest first.

    Args:
        asked: the commits of the releases that were asked for.
        usable: all that are pinned and have a wheel for this platform, oldest first.
        done: whether the newest release is measured, and so the one before it in the same session.
    """
    history = [release for release in usable if release.commit in asked]
    session = usable[-2:] if not done and history[-1:] == usable[-1:] else []
    others = [release for release in history if release not in session]
    return [
        (skip, [release.version for release in reversed(run)])
        for skip, run in ((False, session), (True, others))
        if run
    ]


def unwinders() -> tuple[str, ...]:
    """Those that are measured here: libunwind stands in for macOS on Linux with glibc alone."""
    return ("system", "libunwind") if platform.libc_ver()[0] == "glibc" else ("system",)


def is_measured(history: History, machine: str, release: str) -> bool:
    """Whether a machine has measured a release with every unwinder."""
    measured = {file.key for file in history.files if file.values}
    return all((machine, unwinder, release) in measured for unwinder in unwinders())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run asv; its exit code when it fails, 1 on an error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.measuring.measure", description=__doc__
    )
    parser.add_argument("--machine", required=True, help="the name to record under")
    parser.add_argument("--range", default="ALL", help="releases, as for asv run; ALL by default")
    parser.add_argument("--bench", help="a regular expression; all benchmarks by default")
    parser.add_argument("--quick", action="store_true", help="one sample each, to try it")
    options = parser.parse_args(arguments)
    try:
        platforms, history = list(platform_tags()), read(Config.load("asv.conf.json"))
        repo = ReleaseRepo(str(pins.PINS))
        usable = [release for release in repo.releases if release.wheel_for(platforms)]
        done = bool(usable) and is_measured(history, options.machine, usable[-1].version)
        runs = plan(repo.get_hashes_from_range(options.range), usable, done=done)
        if not runs:
            raise UserError(f"No release of {options.range} has a wheel for this platform.")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    worst = 0
    for skip, versions in runs:
        command = ["run", "--show-stderr", "--machine", options.machine]
        command += ["--skip-existing-successful"] * skip + ["--quick"] * options.quick
        command += ["--bench", options.bench] * bool(options.bench)
        for unwinder in unwinders():
            command += ["--environment", f"virtualenv-py3.11-UNWINDER{unwinder}"]
        print("asv", *command, " ".join(versions), flush=True)
        asv = [sys.executable, "-m", "asv", *command, " ".join(versions)]
        worst = max(worst, abs(subprocess.run(asv, check=False).returncode))  # -9: killed
    return worst


if __name__ == "__main__":
    sys.exit(main())

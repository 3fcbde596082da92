"""Measure what a machine has not measured yet: what the benchmark workflow runs everywhere.

Releases without a wheel for the platform are left out beforehand, so that a failure is one. A
newest release that was not measured in one session with the one before it is measured together
with that: only numbers of one session can tell whether the gap moved.
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError

from scripts.history.read import SESSION, History, read
from scripts.measuring import machines
from scripts.releases import pins
from scripts.releases.pins import Release
from scripts.releases.repo import ReleaseRepo


def plan(
    asked: Sequence[Release], releases: Sequence[Release], platforms: Sequence[str], *, done: bool
) -> list[tuple[bool, list[str]]]:
    """The runs to make: whether to leave out what was measured, and the releases, newest first.

    Args:
        asked: the releases that were asked for, oldest first.
        releases: all that are pinned.
        platforms: tags of the platform, the best one first.
        done: whether the newest release was measured in one session with the one before it.
    """
    usable = [release for release in releases if release.wheel_for(platforms)]
    history = [release for release in usable if release in asked]
    session: list[Release] = []
    if history and history[-1] == usable[-1] and not done:
        session = usable[-2:]
    others = [release for release in history if release not in session]
    return [
        (skip, [release.version for release in reversed(run)])
        for skip, run in ((False, session), (True, others))
        if run
    ]


def unwinders() -> tuple[str, ...]:
    """Those that are measured here: libunwind stands in for macOS on Linux with glibc alone."""
    return ("system", "libunwind") if platform.libc_ver()[0] == "glibc" else ("system",)


def in_one_session(history: History, machine: str, releases: Sequence[str]) -> bool:
    """Whether a machine measured all of these releases in one session, with every unwinder."""
    for unwinder in unwinders():
        started = [
            file.started
            for file in history.files
            if file.key[:2] == (machine, unwinder) and file.release in releases and file.values
        ]
        # what an old release cannot do with an unwinder is in its file all the same
        if len(started) < len(releases) or max(started) - min(started) > SESSION:
            return False
    return True


def asked_for(range_spec: str) -> list[Release]:
    """The pinned releases of a range, oldest first.

    Raises:
        UserError: there is no such release or range; it names the near ones.
    """
    repo = ReleaseRepo(str(pins.PINS))
    commits = repo.get_hashes_from_range(range_spec)
    return [release for release in repo.releases if release.commit in commits]


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
        releases, platforms = pins.load(), machines.platforms()
        usable = [release.version for release in releases if release.wheel_for(platforms)]
        history = read(Config.load("asv.conf.json"))
        done = in_one_session(history, options.machine, usable[-2:])
        runs = plan(asked_for(options.range), releases, platforms, done=done)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    if not runs:
        print(f"No release of {options.range} has a wheel for this platform.", file=sys.stderr)
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

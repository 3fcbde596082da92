"""Measure what a machine has not measured yet: what the benchmark workflow runs everywhere.

Releases without a wheel for the platform are left out beforehand, so that a failure is one. A
newest release that was not measured yet is measured together with the one before it, even if that
was: only numbers of one session can tell whether the gap moved.
"""

import argparse
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from asv.util import UserError

from scripts import machines, pins
from scripts.pins import Release
from scripts.release_history import ReleaseHistory


def plan(
    releases: Sequence[Release], measured: Collection[str], platforms: Sequence[str]
) -> list[tuple[bool, list[str]]]:
    """The runs to make: whether to leave out what was measured, and the releases, newest first.

    Args:
        releases: those that were asked for, oldest first.
        measured: commits, by their first eight digits, of which there are results.
        platforms: tags of the platform, the best one first.
    """
    usable = [release for release in releases if release.wheel_for(platforms)]
    new = bool(usable) and usable[-1].commit[:8] not in measured
    session, history = (usable[-2:], usable[:-2]) if new else ([], usable)
    runs = [(False, session), (True, history)]
    return [(skip, [one.version for one in reversed(some)]) for skip, some in runs if some]


def asked_for(range_spec: str) -> list[Release]:
    """The pinned releases of a range, oldest first; `ALL` is all of them.

    Raises:
        UserError: there is no such release or range; it names the near ones.
    """
    releases = pins.load()
    if range_spec == "ALL":
        return releases
    commits = ReleaseHistory(str(pins.PINS), "").get_hashes_from_range(range_spec)
    return [release for release in releases if release.commit in commits]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run asv; its exit code when it fails, 1 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.measure", description=__doc__)
    parser.add_argument("--machine", required=True, help="the name to record under")
    parser.add_argument("--range", default="ALL", help="releases, as for asv run; ALL by default")
    parser.add_argument("--bench", help="a regular expression; all benchmarks by default")
    parser.add_argument("--quick", action="store_true", help="one sample each, to try it")
    options = parser.parse_args(arguments)
    folder = Path("results", options.machine)
    try:
        runs = plan(
            asked_for(options.range),
            {path.name[:8] for path in folder.glob("*-*.json")},
            machines.platforms(),
        )
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    if not runs:
        print(f"No release of {options.range} has a wheel for this platform.", file=sys.stderr)
        return 1
    worst = 0
    for skip, versions in runs:
        command = ["run", "--record-samples", "--show-stderr", "--machine", options.machine]
        command += ["--skip-existing-successful"] * skip + ["--quick"] * options.quick
        command += ["--bench", options.bench] * bool(options.bench)
        print("asv", *command, " ".join(versions), flush=True)
        asv = [sys.executable, "-m", "asv", *command, " ".join(versions)]
        worst = max(worst, subprocess.run(asv, check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())

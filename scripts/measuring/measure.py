"""Run asv for the releases that have a wheel for this platform, newest first.

The benchmark workflow runs this command on every machine. Releases without a wheel are left out, so
a failed install is a real error. Benchmarks with a stored value are skipped.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from asv.util import UserError
from packaging.tags import platform_tags

from scripts.releases import pins
from scripts.releases.repo import ReleaseRepo


def select_releases(spec: str) -> list[str]:
    """Return the releases of a range that have a wheel for this platform, newest first.

    Raises:
        UserError: the range names an unknown release, or no release has a wheel.
    """
    repo, platforms = ReleaseRepo(str(pins.PINS)), list(platform_tags())
    commits = repo.get_hashes_from_range(spec)
    versions = [
        release.version
        for release in reversed(repo.releases)
        if release.commit in commits and release.wheel_for(platforms)
    ]
    if not versions:
        raise UserError(f"No release of {spec} has a wheel for this platform.")
    return versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run asv; return its exit code, or 1 on an error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.measuring.measure", description=__doc__
    )
    parser.add_argument(
        "--machine", required=True, help="machine name; results go to results/MACHINE"
    )
    parser.add_argument(
        "--range", default="ALL", help="releases, in the syntax of asv run (default: ALL)"
    )
    parser.add_argument("--bench", help="regular expression that selects benchmarks (default: all)")
    parser.add_argument("--quick", action="store_true", help="take one sample of each benchmark")
    options = parser.parse_args(arguments)
    try:
        versions = select_releases(options.range)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    command = ["run", "--show-stderr", "--machine", options.machine, "--skip-existing-successful"]
    command += ["--quick"] if options.quick else []
    command += ["--bench", options.bench] if options.bench else []
    command.append(" ".join(versions))
    print("asv", *command, flush=True)
    asv = subprocess.run([sys.executable, "-m", "asv", *command], check=False)
    return abs(asv.returncode)  # the code of a killed process is negative


if __name__ == "__main__":
    sys.exit(main())

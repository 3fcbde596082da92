"""Run asv for the releases that have a wheel for this platform, newest first.

The benchmark workflow runs this command on every machine. Releases without a wheel are left out, so
a failed install is a real error; if no release is left, nothing is measured. Benchmarks with a
stored value are skipped.
"""

import argparse
import sys
from collections.abc import Sequence

from asv.main import main as run_asv
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.releases import pins
from scripts.releases.repo import ReleaseRepo


def select_releases(spec: str) -> list[str]:
    """Return the releases of a range that have a wheel for this platform, newest first.

    Raises:
        UserError: the range names an unknown release, or no release at all has a wheel.
    """
    repo, platforms = ReleaseRepo(str(pins.PINS)), list(platform_tags())
    commits = repo.get_hashes_from_range(spec)
    with_wheel = [release for release in reversed(repo.releases) if release.wheel_for(platforms)]
    if not with_wheel:
        raise UserError("No release has a wheel for this platform.")
    return [release.version for release in with_wheel if release.commit in commits]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run asv in this process, which then exits with asv's code; return 1 on an error.

    A signal to this process reaches asv, which a child would survive.
    """
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
    if not versions:
        print(f"::notice::No release of {options.range} has a wheel for this platform: skipped.")
        return 0
    command = ["run", "--show-stderr", "--machine", options.machine, "--skip-existing-successful"]
    command += ["--quick"] if options.quick else []
    command += ["--bench", options.bench] if options.bench else []
    command.append(" ".join(versions))
    print("asv", *command, flush=True)
    sys.argv = ["asv", *command]
    sys.exit(run_asv())


if __name__ == "__main__":
    sys.exit(main())

"""Tell what unwind info costs when your own module is unloaded, build by build, on this machine.

A build is a pinned release, the wasmtime that a Python has installed, or a library of your own.

Exit codes: 0 if all went well; 1 if a count grew by more than --fail-above; 2 if something failed;
3 if counts could not be compared; 130 if it was interrupted.
"""

import argparse
import json
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from asv.util import UserError
from rich.console import Console

from scripts.base.exits import CHANGED, FAILED, UNKNOWN, exit_code
from scripts.probe import report
from scripts.probe.builds import cache_folder, choose_builds
from scripts.probe.children import interruptible
from scripts.probe.inputs import find_modules
from scripts.probe.measuring import Request, Result, measure_modules
from scripts.probe.proposals import require_features
from scripts.probe.unwinders import choose_unwinders
from scripts.releases.environment import hold_machine

GREW, INTERRUPTED = CHANGED, 130


class Output:
    """Prints each module as it is done, in the format that is asked for."""

    def __init__(self, format_: str) -> None:
        self.format = format_
        self.console = Console(
            width=None if sys.stdout.isatty() else 160, markup=False, emoji=False
        )
        self.printed = 0

    def show(self, results: Sequence[Result]) -> None:
        """Print the results of a module."""
        if self.format == "json":
            for result in results:
                entry = json.dumps(report.to_json(result), indent=1, allow_nan=False)
                print(",\n" if self.printed else "[\n", entry, sep="", end="", flush=True)
                self.printed += 1
        elif self.format == "markdown":
            print(report.format_markdown(results), flush=True)
        else:
            report.print_module(results, self.console)

    def say(self, line: str) -> None:
        """Print a line that is for people."""
        print(line, file=sys.stderr if self.format == "json" else sys.stdout, flush=True)

    def close(self) -> None:
        """End the list of JSON."""
        if self.format == "json":
            print("\n]" if self.printed else "[]", flush=True)


@contextmanager
def open_output(format_: str) -> Iterator[Output]:
    """Yield an output that ends well, however the measurement ends."""
    output = Output(format_)
    try:
        yield output
    finally:
        output.close()


def probe(options: argparse.Namespace) -> int:
    """Measure all modules and print them; return the exit code."""
    modules = find_modules(options.module)
    features = require_features(options.wasm_features)
    unwinders = choose_unwinders(options.unwinder, both=options.library is not None)
    with tempfile.TemporaryDirectory(prefix="wasmtime-probe-") as scratch:
        builds = choose_builds(options, Path(scratch))
        request = Request(
            builds=builds, unwinders=unwinders, modules=options.modules, minutes=options.minutes,
            times=not options.counts_only, features=features, against=bool(options.against),
        )  # fmt: skip
        hold_machine(cache_folder())
        results = list[Result]()
        with open_output(options.format) as output:
            for measured in measure_modules(modules, request):
                output.show(measured)
                results += measured
            return conclude(results, options.fail_above, output)


def conclude(results: Sequence[Result], fail_above: float | None, output: Output) -> int:
    """Return the exit code, and print what made a check fail."""
    code = 0
    if any(result.not_compared for result in results):
        code = UNKNOWN
    if any(result.error for result in results):
        code = FAILED
    if fail_above is None:
        return code
    for result in results:
        for step, growth in result.growth.items():
            if growth is None or growth > fail_above:
                code = GREW
                output.say(
                    f"FAIL: instructions to {step} {report.percent(growth)} > {fail_above:g} % "
                    f"({result.module.name}, {result.build.name}, {result.unwinder.title})"
                )
    if code == 0:
        output.say(f"PASS: no count grew by more than {fail_above:g} %")
    elif code != GREW:
        output.say("UNKNOWN: not everything was compared, see above")
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, or exit with 2 if they do not fit each other."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("module", type=Path, nargs="+", help=".wasm or .wat files, or folders of them")
    add("--release", action="append", default=[], help="a release; the newest by default")
    add("--python", help="measure the wasmtime that this Python has installed")
    add("--library", type=Path, help="measure this libwasmtime")
    add("--bindings", metavar="RELEASE", help="Python bindings for --library; the newest's")
    add("--against", metavar="RELEASE", help="compare counts with this release, or 'newest'")
    add("--fail-above", type=float, metavar="PERCENT", help="exit with 1 if a count grew by more")
    add("--modules", type=int, default=1000, help="how many are loaded at once (1000)")
    add("--minutes", type=float, help="how long it may take (10 s a module, build and unwinder)")
    add(
        "--unwinder",
        choices=("system", "libunwind"),
        help="libunwind stands in for macOS; --library is measured under both by default",
    )
    add("--wasm-features", default="", metavar="A,B", help="WebAssembly proposals to enable")
    add("--counts-only", action="store_true", help="no times")
    add("--format", choices=("table", "markdown", "json"), default="table")
    add("--json", action="store_const", dest="format", const="json", help="--format json")
    options = parser.parse_args(arguments)
    if options.modules < 1:
        parser.error(f"--modules {options.modules}: it must be 1 or more")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"--minutes {options.minutes:g}: it must be above 0")
    if options.bindings and not options.library:
        parser.error("--bindings is for --library")
    if options.fail_above is not None and not (options.against and options.fail_above >= 0):
        parser.error("--fail-above needs --against, and a percentage of 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; the exit codes are those of the module's docstring."""
    options = parse(arguments)
    # asv logs that the probe waits for another measurement
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        with interruptible():
            return probe(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of standard output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(exit_code(main))

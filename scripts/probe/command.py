"""Measure what unwind info costs on this machine when your own module is unloaded.

A build is a pinned release, the wasmtime package of a Python, or your own library.

Exit codes: 0 on success; 1 if a count grew by more than --fail-above; 2 if something failed;
3 if counts could not be compared; 130 if the probe was interrupted.
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

from scripts.base.exits import CHANGED, FAILED, UNKNOWN
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
    """Prints the results of each module once they are complete, in the requested format."""

    def __init__(self, format_: str) -> None:
        self.format = format_
        self.console = Console(
            width=None if sys.stdout.isatty() else 160, markup=False, emoji=False
        )
        self.printed = 0

    def print_results(self, results: Sequence[Result]) -> None:
        """Print the results of one module."""
        if self.format == "json":
            for result in results:
                entry = json.dumps(report.to_json(result), indent=1, allow_nan=False)
                print(",\n" if self.printed else "[\n", entry, sep="", end="", flush=True)
                self.printed += 1
        elif self.format == "markdown":
            print(report.format_markdown(results), flush=True)
        else:
            report.print_module(results, self.console)

    def print_message(self, line: str) -> None:
        """Print a message for people; on standard error if standard output is JSON."""
        print(line, file=sys.stderr if self.format == "json" else sys.stdout, flush=True)

    def close(self) -> None:
        """Close the JSON list, if the format is JSON."""
        if self.format == "json":
            print("\n]" if self.printed else "[]", flush=True)


@contextmanager
def open_output(format_: str) -> Iterator[Output]:
    """Yield an output, and close it even if measuring fails or is interrupted."""
    output = Output(format_)
    try:
        yield output
    finally:
        output.close()


def probe(options: argparse.Namespace) -> int:
    """Measure all modules and print their results; return the exit code."""
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
            for module_results in measure_modules(modules, request):
                output.print_results(module_results)
                results += module_results
            return decide_exit_code(results, options.fail_above, output)


def decide_exit_code(results: Sequence[Result], fail_above: float | None, output: Output) -> int:
    """Return the exit code, and print the outcome of the --fail-above check."""
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
                change = f"instructions to {step} {report.format_percent(growth)}"
                measurement = f"{result.module.name}, {result.build.name}, {result.unwinder.title}"
                output.print_message(f"FAIL: {change} > {fail_above:g} % ({measurement})")
    if code == 0:
        output.print_message(f"PASS: no count grew by more than {fail_above:g} %")
    elif code != GREW:
        output.print_message("UNKNOWN: some counts were not compared; see the reasons above")
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; exit with 2 if they are invalid or contradict each other."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("module", type=Path, nargs="+", help=".wasm or .wat files, or folders of them")
    add(
        "--release",
        action="append",
        default=[],
        help="measure this pinned release; may be repeated (default: the newest)",
    )
    add("--python", help="measure the wasmtime package that this Python imports")
    add("--library", type=Path, help="measure this shared libwasmtime")
    add(
        "--bindings",
        metavar="RELEASE",
        help="load --library with the Python bindings of this release (default: the newest)",
    )
    add("--against", metavar="RELEASE", help="compare counts with this release, or 'newest'")
    add(
        "--fail-above",
        type=float,
        metavar="PERCENT",
        help="exit with 1 if a count grew by more than this (needs --against)",
    )
    add("--modules", type=int, default=1000, help="modules loaded at once (default: 1000)")
    add(
        "--minutes",
        type=float,
        help="time budget of the whole call (default: 10 s for each module, build and unwinder)",
    )
    add(
        "--unwinder",
        choices=("system", "libunwind"),
        help="libunwind: LLVM's, the stand-in for macOS (default: system; with --library, both)",
    )
    add("--wasm-features", default="", metavar="A,B", help="WebAssembly proposals to enable")
    add("--counts-only", action="store_true", help="count instructions, but measure no times")
    formats = ("table", "markdown", "json")
    add("--format", choices=formats, default="table", help="output format (default: table)")
    add("--json", action="store_const", dest="format", const="json", help="same as --format json")
    options = parser.parse_args(arguments)
    if options.modules < 1:
        parser.error(f"--modules {options.modules}: must be 1 or more")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"--minutes {options.minutes:g}: must be above 0")
    if options.bindings and not options.library:
        parser.error("--bindings needs --library")
    if options.fail_above is not None and not (options.against and options.fail_above >= 0):
        parser.error("--fail-above needs --against, and a percentage of 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe; return one of the exit codes in the module docstring."""
    options = parse(arguments)
    # so that asv reports that the probe waits for another measurement
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

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
from collections.abc import Sequence
from pathlib import Path

import psutil
from asv.util import UserError

from scripts.base.exits import CHANGED, FAILED, UNKNOWN
from scripts.probe import from_bytes
from scripts.probe.builds import check_releases, choose_builds
from scripts.probe.flow import ModuleResults, Request, measure_modules
from scripts.probe.host_unwinders import choose_unwinders
from scripts.probe.inputs import find_modules
from scripts.probe.interrupts import (
    INTERRUPTED,
    MESSAGE,
    SIGNALS,
    end_with_launcher,
    handle_signals,
    raise_interrupted,
)
from scripts.probe.output import Output, format_percent, open_output
from scripts.probe.proposals import require_features
from scripts.probe.scratch import make_scratch_folder

GREW = CHANGED


def probe(options: argparse.Namespace) -> int:
    """Measure all modules and print their results; return the exit code."""
    check_releases(options)
    features = require_features(options.wasm_features)
    if options.predict or options.format == "table":
        code = predict(options)  # the first answer, before anything is installed or compiled
        if options.predict:
            return code
    modules = find_modules(options.module)
    unwinders = choose_unwinders(options.unwinder)
    with make_scratch_folder() as scratch:
        request = Request(
            builds=choose_builds(options, scratch), unwinders=unwinders, modules=options.modules,
            minutes=options.minutes, times=not options.counts_only, features=tuple(features),
            against=bool(options.against), only_unwinder=options.unwinder is not None,
        )  # fmt: skip
        measured = list[ModuleResults]()
        with open_output(options.format) as output:
            for module in measure_modules(modules, request):
                output.print_results(module)
                measured.append(module)
            return decide_exit_code(measured, options.fail_above, output)


def predict(options: argparse.Namespace) -> int:
    """Print what each file costs by its bytes; return the exit code."""
    code, entries = 0, []
    for path in from_bytes.list_files(options.module):
        try:
            contents = from_bytes.read_contents(path)
        except UserError as error:
            code = FAILED
            if options.predict:
                print(error, file=sys.stderr)
            entries.append({"module": path.name, "error": str(error)})
            continue
        if options.format == "json":
            entries.append(from_bytes.build_entry(path, contents, options.modules))
        else:
            print(*from_bytes.describe(path, contents, options.modules), "", sep="\n", flush=True)
    if options.format == "json":
        print(json.dumps(entries, indent=1))
    return code


def decide_exit_code(
    measured: Sequence[ModuleResults], fail_above: float | None, output: Output
) -> int:
    """Return the exit code, and print the outcome of the --fail-above check.

    A failure takes precedence over growth, and growth over counts that were not compared.
    """
    results = [result for module in measured for result in module.results]
    grew = False
    for result in results:
        for step, growth in result.growth.items():
            if fail_above is not None and (growth is None or growth > fail_above):
                grew = True
                change = f"instructions to {step} {format_percent(growth)}"
                case = result.case
                where = f"{case.module.name}, {case.build.name}, {case.unwinder.title}"
                output.print_message(f"FAIL: {change} > {fail_above:g} % ({where})")
    if any(module.has_failed for module in measured):
        code = FAILED
    elif grew:
        code = GREW
    else:
        code = UNKNOWN if any(result.not_compared for result in results) else 0
    if fail_above is not None and not grew:
        output.print_message(
            "UNKNOWN: some counts were not compared; see the reasons above"
            if code
            else f"PASS: no count grew by more than {fail_above:g} %"
        )
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; exit with 2 if they are invalid or contradict each other."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "module",
        type=Path,
        nargs="+",
        help=".wasm or .wat files, modules or components, or folders of them; .cwasm files are "
        "predicted, not measured",
    )
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
        help="time limit of the whole call, without compiling (default: about 10 s for each "
        "module, build and unwinder, and more if a single module takes longer)",
    )
    add(
        "--unwinder",
        choices=("system", "libunwind"),
        help="libunwind: LLVM's, the stand-in for macOS (default: both, if it is installed)",
    )
    add("--wasm-features", default="", metavar="A,B", help="WebAssembly proposals to enable")
    add(
        "--predict",
        action="store_true",
        help="stop after the answer by the file's bytes; needs no valgrind, and measures nothing",
    )
    add("--counts-only", action="store_true", help="count instructions, but measure no times")
    formats = ("table", "markdown", "json")
    add("--format", choices=formats, default="table", help="output format (default: table)")
    add("--json", action="store_const", dest="format", const="json", help="same as --format json")
    options = parser.parse_args(arguments)
    if options.modules < 1:
        parser.error(f"--modules {options.modules}: must be 1 or more")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"--minutes {options.minutes:g}: must be above 0")
    measuring = {"--python": options.python, "--library": options.library,
                 "--release": options.release, "--against": options.against}  # fmt: skip
    if options.predict and (given := [name for name, value in measuring.items() if value]):
        parser.error(f"--predict measures nothing, so remove {given[0]}")
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
        with handle_signals(raise_interrupted, SIGNALS):
            end_with_launcher(psutil.Process().parent())
            return probe(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of standard output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print(MESSAGE, file=sys.stderr)
        return INTERRUPTED

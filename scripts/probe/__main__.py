"""What unwind info costs for a module of your own, on this machine, build by build.

The suite's own code counts and times it. A build is a pinned release, a library of your own, or
what a Python has installed. Ends with 1 when a module failed and 2 on an error; --fail-above ends
with 1 when a count grew by more, and 2 when that is not known.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from asv.util import UserError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from scripts.base.names import known
from scripts.gap.changes import WORTH
from scripts.probe.builds import ROOT, Build, installed, prepare, with_library
from scripts.releases import pins

STEP = 20  # modules are dropped by tenths, and counted with a quarter of them
SUFFIXES = (".wasm", ".wat")

Found = dict[str, Any]  # what one module costs under one build: `--json` and the table have it all


def find_modules(paths: Sequence[Path]) -> dict[Path, str]:
    """The modules in files and folders, each with what is wrong with it, if anything.

    Raises:
        UserError: a file that is named is no module, or a folder has none.
    """
    found: dict[Path, str] = {}
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        found |= {file.resolve(): fault(file) for file in inside}
        if not inside:
            if wrong := fault(path):
                raise UserError(wrong)
            found[path.resolve()] = ""
    return found


def fault(path: Path) -> str:
    """Why a file is no module, or nothing."""
    if path.is_dir():
        return f"{path} holds no .wasm or .wat file."
    try:
        start = path.read_bytes()[:8]
    except OSError as error:
        return f"Cannot read {path}: {error.strerror}."
    if path.suffix.lower() == ".wat" or start == b"\0asm\x01\0\0\0":
        return ""
    cut = start[:4] == b"\0asm"
    kind = "core module but a component, or cut short" if cut else "WebAssembly: no \\0asm is there"
    return f"{path} is no {kind}."


def choose(options: argparse.Namespace) -> list[Build]:
    """The builds that are asked for, else the newest release; last what they are held against."""
    pinned = {release.version: release for release in pins.load(ROOT / pins.PINS)}
    *_, newest = pinned
    for name in (*options.release, options.bindings, options.against):
        known(name, pinned, "pinned release")
    builds = [Build(name, pinned[name]) for name in options.release]
    if options.python:
        builds.append(installed(options.python, pinned[newest]))
    if options.library:
        builds.append(with_library(options.library, pinned[options.bindings or newest]))
    builds = builds or [Build(newest, pinned[newest])]
    against = [Build(name, pinned[name]) for name in [options.against] if name]
    return [build for build in builds if build not in against] + against


def probe(module: Path, build: Build, options: argparse.Namespace) -> Found:
    """Measure one module under one build; a failure is part of the answer.

    Raises:
        UserError: a build that is not pinned cannot be made.
    """
    try:
        path = prepare(build)
    except UserError as error:
        if build.package or build.library:
            raise
        return {"error": str(error)}
    print(f"{module.name}, {build.name}:", file=sys.stderr)
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    variables |= {"PYTHONPATH": path, "UNWINDER": options.unwinder, "BENCHMARKS_STRICT": "1"}
    arguments = [str(module), str(options.modules), "counts" if options.counts_only else "all"]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks._one_module", *arguments], cwd=ROOT, env=variables,
        stdout=subprocess.PIPE, check=False, start_new_session=True,  # which Ctrl-C does not reach
    )  # fmt: skip
    died = {"error": f"its process ended with {answer.returncode}; it may have said why, above"}
    return dict(json.loads(answer.stdout)) if answer.returncode == 0 else died


def probe_all(options: argparse.Namespace) -> Iterator[Found]:
    """Measure all modules under all builds, first the one that others are held against."""
    builds = choose(options)
    for module, wrong in find_modules(options.module).items():
        before: Found = {}
        for build in reversed(builds):
            found = {"error": wrong} if wrong else probe(module, build, options)
            growth = grow(found, before) if before else {}
            before = before or (found if options.against else {})
            yield {"module": module.name, "build": build.name, **found, **growth, **conclude(found)}


def grow(found: Found, before: Found) -> Found:
    """By how many percent each count is above what it was before; `null` above nothing."""
    if "counts" not in found or "counts" not in before:
        return {"not_compared": "a count is missing"}
    if found["counted"] != before["counted"]:
        fewest = min(found["counted"], before["counted"]) // STEP * STEP
        return {"not_compared": f"not as many modules are counted; try --modules {fewest}"}
    growth: Found = {}
    for what, counts in found["counts"].items():
        now, was = (one[str(found["counted"])] for one in (counts, before["counts"][what]))
        growth[what] = round(100 * (now - was) / was, 3) if was else None if now else 0.0
    return {"growth_in_percent": growth}


def conclude(found: Found) -> Found:
    """What follows: the counts of a tenth and of ten times as many, on a line, and the advice."""
    concluded: Found = {}
    if "counts" in found:
        removal = found["counts"]["instructions_to_remove"]
        (whole, now), (part, fewer) = ((int(loaded), cost) for loaded, cost in removal.items())
        rise = (now - fewer) / (whole - part)
        concluded["instructions_to_remove_predicted"] = {
            str(loaded): round(now + rise * (loaded - whole), 1)
            for loaded in (whole // 10, whole * 10)
            if loaded
        }
    if "extra_ms_per_1000" in found:
        much = found["extra_ms_per_1000"] > WORTH
        advice = "turn unwind info off if you unload it often" if much else "keep unwind info"
        concluded["advice"] = f"{advice}, {'over' if much else 'up to'} {WORTH:.0f} extra ms"
    return concluded


def rows(found: Found, name: str = "") -> Iterator[tuple[str, str]]:
    """What is found, in words, and its value."""
    for key, value in found.items():
        word = f"{key} loaded" if key.isdigit() else key.replace("_", " ")
        label = f"{name}, {word}" if name else word
        if isinstance(value, dict):
            yield from rows(value, "" if key == "counts" else label)
        elif value != "":
            yield label, str(value) if value is None or value == str(value) else f"{value:,.10g}"


def table(builds: Sequence[Found]) -> Table:
    """One module, and a column for each build."""
    names = [Column(build["build"], justify="right") for build in builds]
    made = Table(builds[0]["module"], *names, box=SIMPLE)
    columns = [dict([*rows(build)][2:]) for build in builds]
    for label in dict.fromkeys(label for column in columns for label in column):
        made.add_row(label, *(column.get(label, "n/a") for column in columns))
    return made


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, which fit each other."""
    parser = argparse.ArgumentParser(prog="python -m scripts.probe", description=__doc__)
    parser.add_argument("module", type=Path, nargs="+", help=".wasm or .wat, or a folder of them")
    parser.add_argument("--release", action="append", default=[], help="the newest by default")
    parser.add_argument("--python", help="measure the wasmtime that this Python has installed")
    parser.add_argument("--library", type=Path, help="measure this libwasmtime")
    parser.add_argument("--bindings", metavar="RELEASE", help="of the library; else the newest")
    parser.add_argument("--against", metavar="RELEASE", help="hold the counts against its counts")
    parser.add_argument("--fail-above", type=float, metavar="PERCENT", help="needs --against")
    parser.add_argument("--modules", type=int, default=1000, help="how many to load at once")
    parser.add_argument("--unwinder", choices=("system", "libunwind"), default="system")
    parser.add_argument("--counts-only", action="store_true", help="no times, which take longer")
    parser.add_argument("--json", action="store_true", help="every number, and nothing else")
    options = parser.parse_args(arguments)
    if options.modules < STEP:
        parser.error(f"--modules {options.modules}: at least {STEP} can be measured")
    if rest := options.modules % STEP:
        options.modules -= rest
        print(f"{options.modules} modules are measured: a multiple of {STEP}", file=sys.stderr)
    if options.bindings and not options.library:
        parser.error("--bindings is for --library")
    if options.fail_above is not None and not (options.against and options.fail_above >= 0):
        parser.error("--fail-above needs --against, and a percentage of 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; the exit code is that of the module's docstring."""
    options = parse(arguments)
    try:
        probed = list(probe_all(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(probed, indent=1, allow_nan=False))
    else:
        shown = Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)
        for _, found in groupby(probed, lambda found: found["module"]):
            shown.print(table(list(found)))
    unknown = any({"error", "not_compared"} & found.keys() for found in probed)
    if options.fail_above is None or unknown:
        return (1 if options.fail_above is None else 2) if unknown else 0
    grown = [growth for found in probed for growth in found.get("growth_in_percent", {}).values()]
    return int(any(growth is None or growth > options.fail_above for growth in grown))


if __name__ == "__main__":
    sys.exit(main())

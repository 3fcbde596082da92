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
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asv.util import UserError
from rich.console import Console

from scripts.base.names import known
from scripts.gap import changes, tables, words
from scripts.history.read import Value
from scripts.probe.builds import installed, released, with_library
from scripts.releases import pins

LEAST = 20  # modules, so that a tenth and a quarter of them are several
SUFFIXES = (".wasm", ".wat")
Found = dict[str, Any]  # what one module costs under one build: `--json` and the table have it all


def find_modules(paths: Sequence[Path]) -> dict[Path, str]:
    """The modules in files and folders, each with what is wrong with it, if anything.

    Raises:
        UserError: there is none that can be measured.
    """
    found: dict[Path, str] = {}
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        found |= {file.resolve(): fault(file) for file in inside or [path]}
    if all(found.values()):
        raise UserError("\n".join(found.values()))
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
    if start[:4] == b"\0asm":
        return f"{path} is no core module but a component, or cut short."
    return f"{path} is no WebAssembly: no \\0asm is there."


def choose(options: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """The builds that are asked for, else the newest release; first what they are held against."""
    pinned = {release.version: release for release in pins.load()}
    *_, newest = pinned
    for name in (*options.release, options.bindings, options.against):
        known(name, pinned, "pinned release")
    own = []
    if options.python is not None:
        own.append(installed(options.python, pinned[newest], scratch / "python"))
    if options.library:
        bindings = pinned[options.bindings or newest]
        own.append(with_library(options.library, bindings, scratch / "library"))
    named = options.release if options.release or own else [newest]
    builds = dict([*(released(pinned[name]) for name in [options.against, *named] if name), *own])
    if options.against and len(builds) == 1:
        raise UserError(f"Nothing is held against {options.against}: name another build as well.")
    return builds


def probe(module: Path, path: str, options: argparse.Namespace) -> Found:
    """Measure one module on a build's path; a failure is part of the answer."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    variables |= {"PYTHONPATH": path, "UNWINDER": options.unwinder, "BENCHMARKS_STRICT": "1"}
    arguments = [str(module), str(options.modules), "counts" if options.counts_only else "all"]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks._one_module", *arguments], env=variables,
        stdout=subprocess.PIPE, check=False, start_new_session=True,  # which Ctrl-C does not reach
    )  # fmt: skip
    if answer.returncode != 0:
        return {"error": f"its process ended with {answer.returncode}; it may have said why, above"}
    found: Found = json.loads(answer.stdout)
    if "extra_ms_per_1000" in found:
        found["advice"] = changes.rule(Value(found["extra_ms_per_1000"]), None)
    return found


def probe_all(options: argparse.Namespace) -> Iterator[list[Found]]:
    """Measure each module under all builds, first under what they are held against."""
    modules = find_modules(options.module)
    with tempfile.TemporaryDirectory() as scratch:
        builds = choose(options, Path(scratch))
        for module, wrong in modules.items():
            found: list[Found] = []
            for name, path in builds.items():
                print(f"{module.name}, {name}:", file=sys.stderr)
                measured = {"error": wrong} if wrong else probe(module, path, options)
                growth = grow(measured, found[0]) if options.against and found else {}
                found.append({"module": module.name, "build": name, **measured, **growth})
            yield found


def grow(found: Found, before: Found) -> Found:
    """By how many percent each count is above what it was before; `null` above nothing."""
    if "counts" not in found or "counts" not in before:
        return {"not_compared": "a count is missing"}
    if found["counted"] != before["counted"]:
        fewest = min(found["counted"], before["counted"])
        return {"not_compared": f"not as many modules are counted; try --modules {fewest}"}
    growth: Found = {}
    for what, counts in found["counts"].items():
        now, was = (one[str(found["counted"])] for one in (counts, before["counts"][what]))
        growth[what] = round(100 * (now - was) / was, 3) if was else None if now else 0.0
    return {"growth_in_percent": growth}


def rows(found: Found, of: str = "") -> Iterator[tuple[str, str]]:
    """What is found, in words, and its value."""
    for key, value in found.items():
        label = of + (f"{key} loaded" if key.isdigit() else key.replace("_", " "))
        if isinstance(value, dict):
            yield from rows(value, "" if key == "counts" else f"{label}, ")
        elif value != "":
            yield label, str(value) if value is None or value == str(value) else f"{value:,.10g}"


def show(builds: Sequence[Found], console: Console) -> None:
    """Print one module, and a column for each build."""
    columns = {build["build"]: dict([*rows(build)][2:]) for build in builds}
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    lines = [[label, *(by.get(label, "n/a") for by in columns.values())] for label in labels]
    tables.print_table(builds[0]["module"], ["", *columns], lines, console)


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
    if options.modules < LEAST:
        parser.error(f"--modules {options.modules}: at least {LEAST} can be measured")
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
    every = [found for builds in probed for found in builds]
    if options.json:
        print(json.dumps(every, indent=1, allow_nan=False))
    else:
        console = Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)
        for builds in probed:
            show(builds, console)
        if not options.counts_only:
            console.print(words.RULE)
    unknown = any({"error", "not_compared"} & found.keys() for found in every)
    if options.fail_above is None:
        return int(unknown)
    grown = [growth for found in every for growth in found.get("growth_in_percent", {}).values()]
    return 2 if unknown else int(any(one is None or one > options.fail_above for one in grown))


if __name__ == "__main__":
    sys.exit(main())

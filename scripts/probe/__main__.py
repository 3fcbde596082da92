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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from asv.util import UserError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.base.names import known
from scripts.gap.changes import WORTH
from scripts.probe.builds import ROOT, Build, installed, prepare, with_library
from scripts.releases import pins

MAGIC, VERSION = b"\0asm", b"\x01\0\0\0"
STEP = 20  # modules are dropped by tenths, and counted with a quarter of them
LOADED = (10, 100, 1000, 10_000)  # where counts are predicted,
FAR = 10  # but no further than to ten times what was counted
EXACT, ROUND = ",.10g", ".3g"
COLUMNS = {
    "fdes": EXACT, "counted": EXACT, "remove": EXACT, "register": EXACT, "remove_calls": EXACT,
    "timed": EXACT, "on": ROUND, "off": ROUND, "ratio": ROUND, "low": ROUND, "high": ROUND,
    "extra": ROUND,
}  # fmt: skip

Found = dict[str, Any]  # what one module costs under one build, as in --json


def find_modules(paths: Sequence[Path]) -> dict[Path, str]:
    """The modules in files and folders, each with what is wrong with it, if anything.

    Raises:
        UserError: a file that is named is no module, or a folder has none.
    """
    found: dict[Path, str] = {}
    for path in paths:
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in (".wasm", ".wat"))
        if not inside and fault(path):
            raise UserError(fault(path))
        found |= {one.resolve(): fault(one) for one in inside or [path]}
    return found


def fault(path: Path) -> str:
    """Why a file is no module, or nothing."""
    if path.is_dir():
        return f"{path} holds no .wasm or .wat file."
    try:
        start = path.read_bytes()[:8]
    except OSError as error:
        return f"Cannot read {path}: {error.strerror}."
    if path.suffix.lower() == ".wat" or start == MAGIC + VERSION:
        return ""
    if start[:4] != MAGIC:
        return f"{path} is no WebAssembly: it does not begin with \\0asm."
    return f"{path} is no core module but a component, or cut short."


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


def probe(
    module: Path, build: Build, options: argparse.Namespace, say: Callable[[str], None]
) -> Found:
    """Measure one module under one build; a failure is part of the answer.

    Raises:
        UserError: a build that is not pinned cannot be made.
    """
    try:
        path = prepare(build, say)
    except UserError as error:
        if build.package or build.library:
            raise
        return {"error": str(error)}
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    variables |= {"PYTHONPATH": path, "UNWINDER": options.unwinder, "BENCHMARKS_STRICT": "1"}
    arguments = [str(module), str(options.modules), "counts" if options.counts_only else "all"]
    answer: Found = {}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._one_module", *arguments], cwd=ROOT, env=variables,
        stdout=subprocess.PIPE, text=True, start_new_session=True,  # Ctrl-C is for this process
    ) as child:  # fmt: skip
        try:
            for line in child.stdout or ():
                answer = json.loads(line)
                say(f"{module.name}, {build.name}: {answer.get('step', 'done')}")
        except KeyboardInterrupt:
            child.kill()
            raise
    died = f"its process ended with {child.returncode}; it may have said why, above"
    return dict(answer.get("measured") or {"error": answer.get("error", died)})


def probe_all(options: argparse.Namespace, say: Callable[[str], None]) -> Iterator[Found]:
    """Measure all modules under all builds."""
    builds = choose(options)
    for module, wrong in find_modules(options.module).items():
        before: Found = {}
        for build in reversed(builds):
            found = {"error": wrong} if wrong else probe(module, build, options, say)
            growth = grow(found, before) if before else {}
            before = before or (found if options.against else {})
            yield {"module": module.name, "build": build.name, **found, **growth}


def grow(found: Found, before: Found) -> Found:
    """By how many percent each count is above what it was before; `null` above nothing."""
    if not found.get("counts") or found["counted"] != before.get("counted"):
        fewest = min(found.get("counted", STEP), before.get("counted", STEP)) // STEP * STEP
        return {"not_compared": f"not as many modules are counted; try --modules {fewest}"}
    growth: dict[str, float | None] = {}
    for what, counts in found["counts"].items():
        now, was = (one[str(found["counted"])] for one in (counts, before["counts"][what]))
        growth[what] = 100 * (now - was) / was if was else None if now else 0.0
    return {"growth": growth}


def sentences(one: Found) -> Iterator[str]:
    """What follows from the numbers: counts elsewhere, the comparison, the advice."""
    for what in ("error", "counted_reduced", "timed_reduced", "not_counted", "not_compared"):
        if one.get(what):
            yield f"{what.replace('_', ' ')}: {one[what]}"
    if one.get("fdes") and "counts" in one:
        whole, part = map(int, one["counts"]["remove"])
        now, fewer = one["counts"]["remove"].values()
        rise = (now - fewer) / (whole - part)
        more = [f"{now + rise * (loaded - whole):,.0f} with {loaded}" for loaded in LOADED
                if loaded != whole and part <= FAR * loaded <= FAR**2 * whole]  # fmt: skip
        yield (
            f"{fewer:{EXACT}} instructions to remove a module with {part} loaded, {now:{EXACT}} "
            f"with {whole}; a straight line through both has {', '.join(more)}"
        )
    for what, value in one.get("growth", {}).items():
        yield f"{what.replace('_', ' ')} {'new' if value is None else f'{value:+,.1f} %'}"
    if "extra" in one:
        advice = ("keep unwind info", "turn unwind info off if you unload it often")
        yield (
            f"{advice[one['extra'] > WORTH]}: it costs {max(one['extra'], 0):{ROUND}} ms per 1000 "
            f"modules, {one['timed']} at a time, and is worth {WORTH:.0f}"
        )


def table(probed: Sequence[Found], title: str) -> Table:
    """A row for each module and build."""
    made = Table("module", "build", title=title, box=SIMPLE, title_justify="left")
    for column in COLUMNS:
        made.add_column(column.replace("_", " "), justify="right")
    for one in probed:
        counts = {what: by[str(one["counted"])] for what, by in one.get("counts", {}).items()}
        flat = one | counts
        cells = (f"{flat[name]:{COLUMNS[name]}}" if name in flat else "n/a" for name in COLUMNS)
        made.add_row(one["module"], one["build"], *cells)
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
    if options.bindings and not options.library:
        parser.error("--bindings is for --library")
    if options.fail_above is not None and not (options.against and options.fail_above >= 0):
        parser.error("--fail-above needs --against, and a percentage of 0 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; the exit code is that of the module's docstring."""
    options = parse(arguments)
    progress = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if rest := options.modules % STEP:
        options.modules -= rest
        progress.print(f"{options.modules} modules are measured: a multiple of {STEP}")
    try:
        with progress.status("starting") as status:
            say = status.update if progress.is_terminal else progress.print
            probed = list(probe_all(options, say))
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
        shown.print(table(probed, f"What a module takes, {options.unwinder}"))
        for one in probed:
            for sentence in sentences(one):
                shown.print(f"{one['module']}, {one['build']}: {sentence}", soft_wrap=True)
    unknown = any({"error", "not_compared"} & one.keys() for one in probed)
    if options.fail_above is None or unknown:
        return (1 if options.fail_above is None else 2) if unknown else 0
    grown = [value for one in probed for value in one.get("growth", {}).values()]
    return int(any(value is None or value > options.fail_above for value in grown))


if __name__ == "__main__":
    sys.exit(main())

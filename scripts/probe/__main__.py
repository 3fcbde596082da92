"""What unwind info costs for a module of your own, on this machine, release by release.

Each release has an environment of its own, made from its pinned wheel. The suite's own code
(`benchmarks/_one_module.py`) measures in it.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asv.util import UserError
from asv_runner.benchmarks import _maxrss
from asv_runner.statistics import compute_stats
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.base.names import known
from scripts.base.numbers import interval, number, times
from scripts.gap.changes import WORTH
from scripts.gap.words import RULE
from scripts.probe.environments import ROOT, python_of
from scripts.releases import pins
from scripts.releases.pins import Release

MAGIC, VERSION = b"\0asm", b"\x01\0\0\0"
COUNTS = (10, 100, 1000, 10_000)
TOLD = 1.1  # a gap below that is not told from noise, and so does not grow in any way
FAR = 10  # a prediction goes no further than to ten times the modules that were measured
AGREES = 1.5  # how far the check of a prediction may be off


@dataclass(frozen=True)
class Probed:
    """What one module costs under one release, or why that is not known.

    Attributes:
        on, off: milliseconds to drop `modules` modules with unwind info and without; `ratio` is
            that of the pairs, with its 99 % interval in the process.
        excess: milliseconds per 1000 modules that unwind info adds, `modules` at a time.
        exponent: how the excess grows with the modules, from a quarter of them to all; the excess
            of half of them is `half`, and what the exponent makes of that is `predicted`.
    """

    module: str
    release: str
    error: str = ""
    modules: int = 0
    reduced: str = ""
    on: float = math.nan
    off: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    excess: float = math.nan
    fdes: int = 0
    eh_frame_bytes: int = 0
    load: float = math.nan
    peak_memory: int = 0
    exponent: float | None = None
    half: float | None = None
    predicted: float | None = None


def find_modules(paths: Sequence[Path]) -> list[Path]:
    """The modules in files and folders.

    Raises:
        UserError: there is no such file, or it holds no module.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted([*path.rglob("*.wasm"), *path.rglob("*.wat")]) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path} holds no .wasm or .wat file.")
        found += inside
    for path in found:
        try:
            with path.open("rb") as file:
                start = file.read(8)
        except OSError as error:
            raise UserError(f"Cannot read {path}: {error.strerror}.") from error
        if path.suffix != ".wat" and start[:4] != MAGIC:
            raise UserError(f"{path} is no WebAssembly: it does not begin with \\0asm.")
        if path.suffix != ".wat" and start[4:] != VERSION:
            raise UserError(f"{path} is no core module but a component, or cut short.")
    return [path.resolve() for path in found]


def choose_releases(names: Sequence[str], python: str | None) -> list[Release]:
    """The pinned releases of these names; else the newest, and that which `python` has installed.

    Raises:
        UserError: one of them is not pinned; it names the near ones.
    """
    pinned = {release.version: release for release in pins.load(ROOT / pins.PINS)}
    wanted = list(names) or [list(pinned)[-1]]
    if python is not None:
        program = "from importlib.metadata import version; print(version('wasmtime'))"
        try:
            answer = subprocess.run(
                [python, "-c", program], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise UserError(f"--python {python} cannot be started: {error.strerror}.") from error
        if answer.returncode != 0:
            raise UserError(f"--python {python} has no wasmtime installed.")
        wanted.insert(0, answer.stdout.strip())
    for name in wanted:
        known(name, pinned, "pinned release")
    return [pinned[name] for name in dict.fromkeys(wanted)]


def probe(
    module: Path, release: Release, wanted: int, unwinder: str, say: Callable[[str], None]
) -> Probed:
    """Measure one module under one release; a failure is part of the answer."""
    try:
        python = python_of(release, say)
    except UserError as error:
        return Probed(module.name, release.version, str(error))
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    command = [python, "-m", "benchmarks._one_module", module, str(wanted), _maxrss.__file__]
    answer: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+") as errors,  # a pipe nobody reads would stop it when full
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**variables, "UNWINDER": unwinder, "BENCHMARKS_STRICT": "1"},
        ) as child,
    ):  # fmt: skip
        try:
            for line in child.stdout or ():
                answer = json.loads(line)
                say(f"{module.name}, {release.version}: {answer.get('step', 'done')}")
        except KeyboardInterrupt:
            child.kill()
            raise
        child.wait()
        errors.seek(0)
        last = (errors.read().strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    if "measured" not in answer:
        failure = answer.get("error", last).split()
        return Probed(module.name, release.version, " ".join(failure))
    return evaluate(module.name, release.version, answer["measured"])


def evaluate(module: str, release: str, measured: dict[str, Any]) -> Probed:
    """The answer from what was measured."""
    ratio, stats = compute_stats(measured["ratios"], 1)
    count, off = measured["modules"], 1e3 * measured["off"]
    fewer = {int(part): 1e3 * excess for part, excess in measured["excess_of_fewer"].items()}
    told = stats["ci_99_a"] > TOLD
    exponent, half, predicted = grow({**fewer, count: off * (ratio - 1)} if told else {})
    return Probed(
        module, release,
        modules=count, reduced=measured["reduced"],
        on=1e3 * measured["on"], off=off,
        ratio=ratio, low=stats["ci_99_a"], high=stats["ci_99_b"],
        excess=off * (ratio - 1) * 1000 / count,
        fdes=measured["fdes"], eh_frame_bytes=measured["eh_frame_bytes"],
        load=1e3 * measured["load"], peak_memory=measured["peak_memory"],
        exponent=exponent, half=half, predicted=predicted,
    )  # fmt: skip


def grow(excess: dict[int, float]) -> tuple[float | None, float | None, float | None]:
    """How the excess grows from a quarter of the modules to all, and the check at a half.

    Returns:
        the exponent, the measured and the predicted excess of a half; nothing where unwind info
        costs nothing that can be told from noise.
    """
    if len(excess) < 3 or min(excess.values()) <= 0:
        return None, None, None
    quarter, half, whole = sorted(excess)
    exponent = math.log(excess[whole] / excess[quarter]) / math.log(whole / quarter)
    return exponent, excess[half], excess[whole] * (half / whole) ** exponent


def sentences(result: Probed) -> Iterator[str]:
    """What follows from the numbers: reductions, the cost at other counts, and the advice."""
    name = f"{result.module}, {result.release}"
    if result.error:
        yield f"{name}: {result.error}"
        return
    if result.reduced:
        yield f"{name}: measured with {result.modules} modules, {result.reduced}"
    if result.exponent is not None and result.half is not None and result.predicted is not None:
        basis = (
            f"the exponent {result.exponent:.2f}, from a quarter of {result.modules} modules to "
            f"all, makes {number(result.predicted)} ms of half of them; {number(result.half)} were "
            "measured"
        )
        whole = result.excess * result.modules / 1000
        costs = ", ".join(
            f"{number(whole * (count / result.modules) ** result.exponent)} ms for {count}"
            for count in COUNTS
            if result.modules <= FAR * count <= FAR**2 * result.modules
        )
        if max(result.half, result.predicted) <= AGREES * min(result.half, result.predicted):
            yield f"{name}: cost by modules loaded at once, {costs}; {basis}"
        else:
            yield f"{name}: no prediction for other counts: {basis}"
    off, keep = "turn unwind info off if you unload it often", "keep unwind info"
    advice = off if result.excess > WORTH else keep
    cost = f"{number(max(result.excess, 0))} ms per 1000 modules, {result.modules} at a time"
    yield f"{name}: {advice}; it costs {cost}"


def table(probed: Sequence[Probed], unwinder: str) -> Table:
    """A row for each module and release."""
    made = Table(title=f"Dropping modules, {unwinder}", box=SIMPLE, title_justify="left")
    for column in ("module", "release"):
        made.add_column(column)
    figures = ("modules", "on", "off", "gap", "99 %", "ms per 1000", "FDEs", "load", "peak")
    for column in figures:
        made.add_column(column, justify="right")
    for result in probed:
        cells = ["n/a"] * len(figures) if result.error else [
            str(result.modules), f"{number(result.on)} ms", f"{number(result.off)} ms",
            times(result.ratio), interval(result.low, result.high), number(result.excess),
            str(result.fdes), f"{number(result.load)} ms", f"{result.peak_memory >> 20} MB",
        ]  # fmt: skip
        made.add_row(result.module, result.release, *cells)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; 1 when nothing could be measured, 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.probe", description=__doc__)
    parser.add_argument("module", type=Path, nargs="+", help=".wasm or .wat, or a folder of them")
    parser.add_argument("--release", action="append", default=[], help="the newest by default")
    parser.add_argument("--python", help="also the release that this Python has installed")
    parser.add_argument("--modules", type=int, default=1000, help="how many to load at once")
    parser.add_argument("--unwinder", choices=("system", "libunwind"), default="system")
    parser.add_argument("--json", action="store_true", help="every number, and nothing else")
    options = parser.parse_args(arguments)
    progress = Console(stderr=True)
    say = progress.print if not progress.is_terminal else None
    try:
        modules = find_modules(options.module)
        releases = choose_releases(options.release, options.python)
        with progress.status("starting") as status:
            probed = [
                probe(module, release, options.modules, options.unwinder, say or status.update)
                for module in modules
                for release in releases
            ]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps([asdict(result) for result in probed], indent=1))
    else:
        shown = Console(width=None if sys.stdout.isatty() else 160)
        shown.print(table(probed, options.unwinder))
        for result in probed:
            for sentence in sentences(result):
                shown.print(sentence, highlight=False, markup=False, soft_wrap=True)
        print(RULE)
    return int(all(result.error for result in probed))


if __name__ == "__main__":
    sys.exit(main())

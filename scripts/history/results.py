"""Files of `results/`: read with a check, and joined so that nothing measured is lost."""

import json
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from asv import util
from asv.console import log
from asv.machine import Machine
from asv.results import Results
from asv.util import UserError

from scripts.history.benchmarks import EXTRA, FUNCTION, REMOVAL

LOAD = Results.load  # asv's own, which `measuring.asv_changes` replaces by `load`
LOCAL = "local-"  # how the folders begin that git ignores
VALUES = ("_results", "_samples", "_stats")  # a list by benchmark, one entry a parameter
FACTS = ("_benchmark_params", "_benchmark_version", "_started_at", "_duration", "_profiles")


def load(path: str, *args: Any, **kwargs: Any) -> Results:
    """Read a result file.

    asv has a traceback for most damage, and no remedy for any.

    Raises:
        UserError: the file is damaged or is none; it names the file and the remedy.
    """
    try:
        results = LOAD(path, *args, **kwargs)
        _check(results)
    except (UserError, AttributeError, LookupError, TypeError, ValueError) as error:
        known_to_git = not Path(path).parent.name.startswith(LOCAL)
        remedy = "Restore it from git, or remove it" if known_to_git else "Remove it"
        raise UserError(
            f"{path} is damaged, or no result of asv: {error}. {remedy} and measure that release "
            "again."
        ) from error
    return results


def _check(results: Results) -> None:
    """Raise TypeError or ValueError for content that no benchmark of this suite can have."""
    if not isinstance(results.commit_hash, str) or not isinstance(results.env_vars, dict):
        raise TypeError("the commit or the environment is not named")
    for name in results.get_all_result_keys():
        # zero is a count, and no time; what unwind info adds may be less than nothing
        zero = 0 if name in (REMOVAL, FUNCTION) else sys.float_info.min
        least = -math.inf if name == EXTRA else zero
        columns = _columns(results, name, results.get_result_params(name))
        for value, samples, stats in zip(*columns, strict=True):
            if util.is_na(value):
                continue
            for number in (value, *(samples or ())):
                if not (least <= number < math.inf and math.isfinite(number)):
                    raise ValueError(f"{name} cannot be {number}")
            if samples and not math.isclose(median(samples), value, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(f"{name} is {value}, which its samples do not give")
            low, high = ((stats or {}).get(f"ci_99_{end}") for end in "ab")
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{name} is {value}, outside its own range")


def _columns(results: Results, name: str, params: list[list[str]]) -> list[list[Any]]:
    """Values, samples and statistics of a benchmark, one entry a parameter."""
    read = (results.get_result_value, results.get_result_samples, results.get_result_stats)
    return [column(name, params) for column in read]


def keep(newer: Results, older: Results) -> None:
    """Add to `newer` what only `older` has.

    A value is never replaced by n/a or by a failure, nor one with samples by one without.
    """
    for name in older.get_all_result_keys():
        if name not in newer.get_all_result_keys():
            for column in (*VALUES, *FACTS):
                getattr(newer, column)[name] = getattr(older, column).get(name)
        elif newer.benchmark_version[name] == older.benchmark_version[name]:
            _keep_values(newer, older, name)


def _keep_values(newer: Results, older: Results, name: str) -> None:
    params = newer.get_result_params(name)
    new, old = (_columns(results, name, params) for results in (newer, older))
    kept = [
        index
        for index, (now, samples, _) in enumerate(zip(*new, strict=True))
        if not util.is_na(old[0][index]) and (util.is_na(now) or (old[1][index] and not samples))
    ]
    for column, entries, before in zip(VALUES, new, old, strict=True):
        for index in kept:
            entries[index] = before[index]
        getattr(newer, column)[name] = entries
    if all(index in kept or util.is_na(value) for index, value in enumerate(new[0])):
        newer.started_at[name] = older.started_at[name]
        newer.duration[name] = older.duration[name]


def started(results: Results) -> int:
    """When the last of its benchmarks was started, in milliseconds since the epoch."""
    return max((time or 0 for time in results.started_at.values()), default=0)


def description(folder: Path) -> dict[str, str]:
    """What asv has recorded of the machine of a folder of results.

    Raises:
        UserError: its machine.json is missing, damaged, or that of another machine.
    """
    path = folder / "machine.json"
    try:
        recorded: dict[str, str] = util.load_json(str(path), Machine.api_version)
        name = recorded["machine"]
        recorded["os"]
    except OSError as error:
        raise UserError(f"{path} is missing") from error
    except (UserError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error})") from error
    if name != folder.name:
        raise UserError(f"{path} describes another machine than {folder.name}")
    return recorded


def descriptions(results: Path) -> dict[str, dict[str, str]]:
    """The description of every machine with results, by its name.

    Raises:
        UserError: as `description`; it says what to do.
    """
    machines = {}
    for folder in sorted({path.parent for path in results.glob("*/*.json")}):
        try:
            machines[folder.name] = description(folder)
        except UserError as error:
            local = folder.name.startswith(LOCAL)
            named = "" if local else f" --machine {folder.name}"
            remedy = f"Run `uv run asv run{named}` on that machine, which writes it anew"
            others = f", or remove {folder}" if local else ", or restore it from git"
            raise UserError(f"{error}. {remedy}{others}.") from error
    return machines


def hosts(folder: Path) -> list[tuple[float, Any]]:
    """Since when, in seconds since the epoch, and which unwinders a machine had from then on.

    Raises:
        UserError: its hosts.jsonl is damaged.
    """
    path = folder / "hosts.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [
            (datetime.fromisoformat(host["since"]).timestamp(), host["facts"].get("unwinders", {}))
            for host in map(json.loads, lines)
        ]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). Restore it from git.") from error


def library(hosts: Sequence[tuple[float, Any]], unwinder: str, started: float) -> str:
    """The unwinder's package and build when a result was started; nothing where it is not known.

    A result belongs to the last line before it.
    """
    name = "libunwind" if unwinder == "libunwind" else "libgcc"
    had = [unwinders for since, unwinders in hosts if since <= started]
    found = had[-1].get(name) if had else None
    return f"{found['package'] or name} ({found['build_id'][:8]})" if found else ""


def is_mac(machine: dict[str, str]) -> bool:
    """Whether a description is that of a Mac, where wasmtime meets Apple's libunwind."""
    return machine["os"].startswith("macOS")

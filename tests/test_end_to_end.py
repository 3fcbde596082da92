"""The first steps of a new user: run two releases, compare, show and publish them."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.measuring import machines

from .conftest import (
    AVAILABLE,
    COMMITS,
    LIBUNWIND,
    MIDDLE,
    NAME,
    SMALLEST,
    SYSTEM,
    Measured,
)

ON, OFF = ((f"'{setting}'", "'1000x8'") for setting in ("on", "off"))
# unwind info cannot be turned off on Windows
MEASURED = (ON,) if sys.platform == "win32" else (ON, OFF)


def measured_releases(output: str) -> list[str]:
    """Return the releases that asv measured, in the order of its output."""
    return re.findall(r"For wasmtime-py commit \w{8} <([\d.]+)>", output)


def test_first_run_measures_two_releases_without_questions(measured: Measured) -> None:
    assert measured.run.returncode == 0, measured.run.stdout + measured.run.stderr
    assert measured_releases(measured.run.stdout) == ["50.0.1", "49.0.0"]
    for version in ("49.0.0", "50.0.1"):
        for environment in AVAILABLE:
            stored = measured.results(machines.local_name(), version, environment)
            assert stored["commit_hash"] == COMMITS[version]
            seconds = measured.result(version, environment)
            assert all(seconds[params] > 0 for params in MEASURED)
            assert math.isnan(seconds["'on'", "'1000x1'"])  # not selected
    assert "To see what unwind info costs" in measured.run.stdout


def test_samples_are_always_recorded(measured: Measured) -> None:
    stored = measured.results(machines.local_name(), "50.0.1")
    samples = stored["results"][NAME][stored["result_columns"].index("samples")]
    assert len(list(filter(None, samples))) == len(MEASURED)


def test_measuring_writes_only_files_that_git_ignores(measured: Measured) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=measured.copy, capture_output=True, text=True
    )
    assert status.stdout == ""  # so results/benchmarks.json is up to date, too
    assert not list(measured.home.glob(".asv*"))
    assert (measured.copy / f"results/{machines.local_name()}/hosts.jsonl").exists()


@pytest.mark.usefixtures("libunwind")
def test_libunwind_shows_the_macos_gap_which_falls_at_50(measured: Measured) -> None:
    before, after = (measured.gap(version, LIBUNWIND) for version in ("49.0.0", "50.0.1"))
    assert before > 3  # the recorded gap is 8
    assert after < before / 2
    assert measured.gap("49.0.0", SYSTEM) < before / 2


@pytest.mark.usefixtures("libunwind")
def test_run_without_libunwind_keeps_values_and_repeats_the_reason_at_the_end(
    measured: Measured,
) -> None:
    before = measured.results(machines.local_name(), "50.0.1", LIBUNWIND)
    process = measured.asv("run", "--quick", "--bench", SMALLEST, "50.0.1", LIBUNWIND="/nowhere.so")
    assert process.returncode == 0, process.stdout + process.stderr
    output = process.stdout + process.stderr
    assert f"{LIBUNWIND} is left out: /nowhere.so is missing" in output
    assert "apt install libunwind-19" in process.stdout.split("Benchmarking")[-1]
    assert measured.results(machines.local_name(), "50.0.1", LIBUNWIND) == before
    strict = measured.asv(
        "run", "--quick", "--bench", SMALLEST, "50.0.1",
        LIBUNWIND="/nowhere.so", BENCHMARKS_STRICT="1",
    )  # fmt: skip
    assert strict.returncode == 1
    assert f"{LIBUNWIND}: /nowhere.so is missing" in strict.stdout + strict.stderr
    assert "Benchmarking" not in strict.stdout


def test_compare_accepts_release_names(measured: Measured) -> None:
    process = measured.asv("compare", "49.0.0", "50.0.1", "--machine", machines.local_name())
    assert process.returncode == 0
    assert "<49.0.0>" in process.stdout
    for params in MEASURED:
        rows = [line for line in process.stdout.splitlines() if f"({', '.join(params)})" in line]
        for name in AVAILABLE:
            (row,) = [row for row in rows if f"/{name}]" in row]
            assert float(row.split("|")[4].strip().lstrip("~")) > 0


def test_show_accepts_a_release_name(measured: Measured) -> None:
    process = measured.asv("show", "50.0.1", "--machine", machines.local_name())
    assert process.returncode == 0
    assert NAME in process.stdout


@pytest.mark.parametrize("arguments", [["compare", "49.0.0", "50.0.99"], ["show", "50.0.99"]])
def test_unknown_release_is_rejected_with_a_suggestion(
    measured: Measured, arguments: list[str]
) -> None:
    process = measured.asv(*arguments, "--machine", machines.local_name())
    assert process.returncode == 1
    assert "Did you mean 50.0.1" in process.stdout + process.stderr


def test_releases_with_stored_results_are_skipped_without_install(measured: Measured) -> None:
    bench = f"{MIDDLE}|track_fde_count"
    process = measured.asv(
        "run", "--skip-existing-successful", "--bench", bench, "49.0.0 50.0.1",
        PIP_INDEX_URL="http://127.0.0.1:9", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    assert measured_releases(process.stdout) == []


def test_rounds_can_be_interleaved(measured: Measured) -> None:
    options = ("--bench", SMALLEST, "-E", SYSTEM, "--attribute", "rounds=2")
    process = measured.asv("run", "--interleave-rounds", *options, "49.0.0 50.0.1")
    assert process.returncode == 0, process.stdout + process.stderr
    # each round begins with the last release of the round before, which is still installed
    assert measured_releases(process.stdout) in (
        ["49.0.0", "50.0.1", "50.0.1", "49.0.0"],
        ["50.0.1", "49.0.0", "49.0.0", "50.0.1"],
    )
    assert measured.result("49.0.0")["'on'", "'100x100'"] > 0


def test_site_has_graphs_with_both_releases(published: Path) -> None:
    index = json.loads((published / "index.json").read_text())
    local = machines.describe_machine(machines.local_name())
    for parameters in index["graph_param_list"]:
        assert {key: parameters[key] for key in local} == local
    assert set(index["revision_to_hash"].values()) == set(COMMITS.values())
    graphs = sorted(published.glob(f"graphs/**/machine-{local['machine']}/**/{NAME}.json"))
    assert len(graphs) == len(index["graph_param_list"]) == len(AVAILABLE)
    revisions = {commit: int(number) for number, commit in index["revision_to_hash"].items()}
    for graph in graphs:
        points = json.loads(graph.read_text())
        plotted = [revision for revision, _ in points]
        assert plotted == [revisions[COMMITS[version]] for version in ("49.0.0", "50.0.1")]


def test_commit_links_point_to_a_row_of_the_releases_page(published: Path) -> None:
    index = json.loads((published / "index.json").read_text())
    page, anchor = (index["show_commit_url"] + COMMITS["50.0.1"]).split("#")
    text = (published / page).read_text()
    row = text[text.index(f'<tr id="{anchor}"') :].split("</tr>")[0]
    assert ">50.0.1<" in row
    assert "2026-10-22" in row
    assert text.count("<tr id=") == len(COMMITS)

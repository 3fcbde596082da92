"""The main job, as a new user does it: run two releases, compare, show, publish."""

import json
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


def ran(output: str) -> list[str]:
    """Return the releases that asv names in its output, in its order."""
    return re.findall(r"For wasmtime-py commit \w{8} <([\d.]+)>", output)


def test_two_releases_are_measured_without_a_question(measured: Measured) -> None:
    assert measured.run.returncode == 0, measured.run.stdout + measured.run.stderr
    assert ran(measured.run.stdout) == ["50.0.1", "49.0.0"]
    for version in ("49.0.0", "50.0.1"):
        for environment in AVAILABLE:
            stored = measured.results(machines.local_name(), version, environment)
            assert stored["commit_hash"] == COMMITS[version]
            seconds = measured.result(version, environment)
            assert all(seconds[params] > 0 for params in MEASURED)
            assert seconds["'on'", "'1000x1'"] != seconds["'on'", "'1000x1'"]  # nan: not selected
    assert "To see what unwind info costs" in measured.run.stdout


def test_samples_are_always_recorded(measured: Measured) -> None:
    stored = measured.results(machines.local_name(), "50.0.1")
    samples = stored["results"][NAME][stored["result_columns"].index("samples")]
    assert len([one for one in samples if one]) == len(MEASURED)


def test_only_files_that_git_ignores_are_made(measured: Measured) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=measured.copy, capture_output=True, text=True
    )
    assert status.stdout == ""  # so results/benchmarks.json is what asv discovers
    assert not list(measured.home.glob(".asv*"))
    assert (measured.copy / f"results/{machines.local_name()}/hosts.jsonl").exists()


@pytest.mark.usefixtures("libunwind")
def test_the_macos_gap_shows_on_linux_and_narrows_at_50(measured: Measured) -> None:
    before, after = (measured.gap(version, LIBUNWIND) for version in ("49.0.0", "50.0.1"))
    assert before > 3  # 8 where it was recorded
    assert after < before / 2
    assert measured.gap("49.0.0", SYSTEM) < before / 2


@pytest.mark.usefixtures("libunwind")
def test_without_libunwind_its_values_survive_and_the_reason_is_repeated_at_the_end(
    measured: Measured,
) -> None:
    before = measured.results(machines.local_name(), "50.0.1", LIBUNWIND)
    answer = measured.asv("run", "--quick", "--bench", SMALLEST, "50.0.1", LIBUNWIND="/nowhere.so")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    output = answer.stdout + answer.stderr
    assert f"{LIBUNWIND} is left out: /nowhere.so is missing" in output
    assert "apt install libunwind-19" in answer.stdout.split("Benchmarking")[-1]
    assert measured.results(machines.local_name(), "50.0.1", LIBUNWIND) == before
    strict = measured.asv(
        "run", "--quick", "--bench", SMALLEST, "50.0.1",
        LIBUNWIND="/nowhere.so", BENCHMARKS_STRICT="1",
    )  # fmt: skip
    assert strict.returncode == 1
    assert f"{LIBUNWIND}: /nowhere.so is missing" in strict.stdout + strict.stderr
    assert "Benchmarking" not in strict.stdout


def test_compare_by_release_names(measured: Measured) -> None:
    answer = measured.asv("compare", "49.0.0", "50.0.1", "--machine", machines.local_name())
    assert answer.returncode == 0
    assert "<49.0.0>" in answer.stdout
    for params in MEASURED:
        rows = [line for line in answer.stdout.splitlines() if f"({', '.join(params)})" in line]
        for name in AVAILABLE:
            (row,) = [row for row in rows if f"/{name}]" in row]
            assert float(row.split("|")[4].strip().lstrip("~")) > 0


def test_show_by_release_name(measured: Measured) -> None:
    answer = measured.asv("show", "50.0.1", "--machine", machines.local_name())
    assert answer.returncode == 0
    assert NAME in answer.stdout


@pytest.mark.parametrize("arguments", [["compare", "49.0.0", "50.0.99"], ["show", "50.0.99"]])
def test_an_unknown_release_gets_near_matches(measured: Measured, arguments: list[str]) -> None:
    answer = measured.asv(*arguments, "--machine", machines.local_name())
    assert answer.returncode == 1
    assert "Did you mean 50.0.1" in answer.stdout + answer.stderr


def test_stored_results_are_skipped_and_not_installed(measured: Measured) -> None:
    bench = f"{MIDDLE}|track_fde_count"
    answer = measured.asv(
        "run", "--skip-existing-successful", "--bench", bench, "49.0.0 50.0.1",
        PIP_INDEX_URL="http://127.0.0.1:9", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert ran(answer.stdout) == []


def test_rounds_can_be_interleaved(measured: Measured) -> None:
    options = ("--bench", SMALLEST, "-E", SYSTEM, "--attribute", "rounds=2")
    answer = measured.asv("run", "--interleave-rounds", *options, "49.0.0 50.0.1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    # the second release of a round begins the next one, so nothing is installed in between
    assert ran(answer.stdout) == ["49.0.0", "50.0.1", "50.0.1", "49.0.0"] or (
        ran(answer.stdout) == ["50.0.1", "49.0.0", "49.0.0", "50.0.1"]
    )
    assert measured.result("49.0.0")["'on'", "'100x100'"] > 0


def test_the_site_has_graphs_of_both_releases(published: Path) -> None:
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
        drawn = [revision for revision, _ in points]
        assert drawn == [revisions[COMMITS[version]] for version in ("49.0.0", "50.0.1")]


def test_commit_links_lead_to_a_row_of_the_site(published: Path) -> None:
    index = json.loads((published / "index.json").read_text())
    page, anchor = (index["show_commit_url"] + COMMITS["50.0.1"]).split("#")
    text = (published / page).read_text()
    row = text[text.index(f'<tr id="{anchor}"') :].split("</tr>")[0]
    assert ">50.0.1<" in row
    assert "2026-10-22" in row
    assert text.count("<tr id=") == len(COMMITS)

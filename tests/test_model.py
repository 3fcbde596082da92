"""The model, compared with every recorded count and with its closed form."""

import pytest
from asv.config import Config
from packaging.version import Version

from benchmarks._axis import LIBGCC
from scripts.base.schema import read_json
from scripts.cost import benefit, model
from scripts.cost.model import SCANS, Drop, find_registration, unload
from scripts.history.benchmarks import DEREGISTER
from scripts.history.read import read_history
from scripts.history.rows import Row
from scripts.releases.pins import Registration
from scripts.report import law
from scripts.report.changes import UPSTREAM, UpstreamFile

from .histories import TREE, make_history, make_predicted_counts


def test_model_predicts_every_recorded_count() -> None:
    """Exactly for the build of the machine's own Debian release, within 0.5 % for others.

    On arm64, 19.0.0 takes 4 instructions per module fewer, and 21.0.0 and 22.0.0 take 2 fewer.
    """
    recorded = read_history(Config.load("asv.conf.json"))
    checked: dict[str, int] = {}
    for row in recorded.rows:
        machine = recorded.machines[row.series.machine]
        if row.benchmark != DEREGISTER or row.series.unwinder.family != "libunwind":
            continue
        if machine.is_local:
            continue
        for name, scan in law.scans_for(machine, row.series.unwinder).items():
            predicted = law.predict_count(row, scan)
            if predicted is None:
                continue
            is_own_build = name.startswith((machine.os.split(",")[0], "libunwind-201"))
            relative = 0 if is_own_build else 0.005
            absolute = 4 if machine.arch == "arm64" else 0
            assert row.value == pytest.approx(predicted, rel=relative, abs=absolute), row
            checked[machine.name] = checked.get(machine.name, 0) + 1
    assert checked["linux-x86_64"] >= 8 * 24
    assert checked["debian-12-arm64-emulated"] == 2 * 8 * 5  # builds, shapes, releases
    assert list(law.broken_laws(recorded)) == []


@pytest.mark.parametrize(
    ("fdes", "modules", "per_function", "per_section"),
    [(17, 1000, 1_156_765, 68_043), (3, 1000, 36_135, 12_029), (2008, 1, 16_218_616, 10_066)],
)
def test_entries_and_instructions_match_the_closed_form(
    fdes: int, modules: int, per_function: int, per_section: int
) -> None:
    scan = SCANS["Debian 12, x86-64"]
    for registration, expected in (
        (Registration.FUNCTIONS, per_function),
        (Registration.SECTIONS, per_section),
    ):
        cost = unload(modules, fdes, registration)
        assert cost.instructions(scan, registration) == expected
    entries = fdes * (modules * fdes + 1) / 2
    assert unload(modules, fdes, Registration.FUNCTIONS).entries == entries
    assert unload(modules, fdes, Registration.SECTIONS).entries == fdes * (modules + 1) / 2


def test_model_predicts_the_counts_of_emulated_arm64() -> None:
    scan = SCANS["Debian 13, arm64"]
    for release, modules, fdes, expected in (
        ("49.0.0", 250, 17, 326_477.5),
        ("50.0.1", 250, 17, 19_191.5),
        ("49.0.0", 1, 2008, 18_303_925),
        ("50.0.1", 1, 2008, 12_089),
    ):
        registration = find_registration(release)
        assert unload(modules, fdes, registration).instructions(scan, registration) == expected


@pytest.mark.parametrize("registration", Registration)
def test_module_costs_twice_the_average_if_the_others_stay(registration: Registration) -> None:
    average = unload(1000, 17, registration).entries
    newest = unload(1000, 17, registration, Drop.NEWEST)
    oldest = unload(1000, 17, registration, Drop.OLDEST)
    assert newest.entries == pytest.approx(2 * average, rel=0.01)
    # an entry behind moves down, which takes 13 instructions instead of 8
    assert oldest.entries == newest.entries
    scan = SCANS["Debian 12, x86-64"]
    ratio = oldest.instructions(scan, registration) / newest.instructions(scan, registration)
    assert ratio == pytest.approx(13 / 8, rel=0.01)


def test_release_registers_by_function_if_libunwind_cannot_register_sections() -> None:
    assert find_registration("49.0.0") is Registration.FUNCTIONS
    assert find_registration("50.0.0") is Registration.SECTIONS
    assert find_registration("50.0.1", sections=False) is Registration.FUNCTIONS


def test_count_that_differs_from_the_model_is_reported_with_both_numbers() -> None:
    rows = make_predicted_counts()
    rows[-1] = rows[-1]._replace(value=rows[-1].value * 1.02)
    (problem,) = law.broken_laws(make_history(rows))
    assert problem == (
        "linux, libunwind, 50.0.1, 100x100: 44,200.68 instructions per module, but the model "
        "predicts 43,336"
    )


def test_libgcc_counts_match_the_constants_of_the_model() -> None:
    recorded = read_history(Config.load("asv.conf.json"))
    shapes = {"1000x1", "1000x8", "100x100", "1x2000"}
    last_first = [
        row for row in recorded.rows if row.benchmark == DEREGISTER and row.shape in shapes
    ]

    def select_rows(machine: str) -> list[Row]:
        return [row for row in last_first if row.series == (machine, LIBGCC)]

    assert {row.value for row in select_rows("linux-x86_64")} == {model.LIBGCC_LIST}
    tree = select_rows("debian-13-x86_64")
    assert tree
    for row in tree:
        functions = int(row.shape.split("x")[1])
        fdes = model.estimate_fixture_fdes(functions, row.release)
        predicted = model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * fdes
        assert row.value == pytest.approx(predicted, rel=0.06)


def test_machine_is_compared_with_the_builds_for_its_processor() -> None:
    assert set(law.scans_for(TREE)) == {"Debian 12, x86-64", "Debian 13, x86-64"}


def test_first_releases_are_those_of_the_upstream_changes() -> None:
    """The model and `fixtures/upstream_changes.json` name the same release for each change."""
    changes = read_json(UPSTREAM, UpstreamFile, "")["changes"]
    first = {change["pull_request"]: Version(change["release"]) for change in changes}
    assert first[8028] == model.DETECTS_SINCE
    assert first[9479] == model.DETECTS_STATIC_SINCE
    assert first[8629] == model.ONE_TRAMPOLINE_SINCE
    assert first[14304] == model.SECTIONS_SINCE
    assert first[14303] == benefit.SIGNED_SINCE

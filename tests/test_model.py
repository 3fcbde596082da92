"""The model against every recorded count, and its general form."""

import pytest
from asv.config import Config

from scripts.gap import advice, law, model
from scripts.gap.model import SCANS, Drop, Registration, find_registration, unload
from scripts.gap.platforms import is_libunwind
from scripts.history.benchmarks import DEREGISTER
from scripts.history.read import read_history
from scripts.history.rows import Row

from .histories import TREE, make_history, make_predicted_counts


def test_every_recorded_count_obeys_the_law() -> None:
    """To the digit on Debian 12 and on emulated arm64, within 0.1 % elsewhere."""
    recorded = read_history(Config.load("asv.conf.json"))
    checked: dict[str, int] = {}
    for row in recorded.rows:
        machine = recorded.machines[row.machine]
        if row.benchmark != DEREGISTER or not is_libunwind(machine, row.unwinder):
            continue
        if machine.is_local:
            continue
        for name, scan in law.scans_for(machine).items():
            predicted = law.predict_count(row, scan)
            if predicted is None:
                continue
            exact = name.startswith(machine.os.split(",")[0])
            assert row.value == pytest.approx(predicted, rel=0 if exact else 0.005), row
            checked[row.machine] = checked.get(row.machine, 0) + 1
    assert checked["linux-x86_64"] >= 8 * 24
    assert list(law.broken_laws(recorded)) == []


@pytest.mark.parametrize(
    ("fdes", "modules", "per_function", "per_section"),
    [(17, 1000, 1_156_765, 68_043), (3, 1000, 36_135, 12_029), (2008, 1, 16_218_616, 10_066)],
)
def test_the_closed_form(fdes: int, modules: int, per_function: int, per_section: int) -> None:
    scan = SCANS["Debian 12, x86-64"]
    for way, expected in (
        (Registration.FUNCTIONS, per_function),
        (Registration.SECTIONS, per_section),
    ):
        cost = unload(modules, fdes, way)
        assert cost.instructions(scan, way) == expected
    entries = fdes * (modules * fdes + 1) / 2
    assert unload(modules, fdes, Registration.FUNCTIONS).entries == entries
    assert unload(modules, fdes, Registration.SECTIONS).entries == fdes * (modules + 1) / 2


def test_arm64_as_counted_in_an_emulated_machine() -> None:
    scan = SCANS["Debian 13, arm64"]
    for release, modules, fdes, expected in (
        ("49.0.0", 250, 17, 326_477.5),
        ("50.0.1", 250, 17, 19_191.5),
        ("49.0.0", 1, 2008, 18_303_925),
        ("50.0.1", 1, 2008, 12_089),
    ):
        way = find_registration(release)
        assert unload(modules, fdes, way).instructions(scan, way) == expected


@pytest.mark.parametrize("way", Registration)
def test_one_module_costs_twice_the_average_if_the_others_stay(way: Registration) -> None:
    average = unload(1000, 17, way).entries
    newest = unload(1000, 17, way, Drop.NEWEST)
    oldest = unload(1000, 17, way, Drop.OLDEST)
    assert newest.entries == pytest.approx(2 * average, rel=0.01)
    assert oldest.entries == newest.entries  # but entries behind move down: 13 instructions for 8
    scan = SCANS["Debian 12, x86-64"]
    ratio = oldest.instructions(scan, way) / newest.instructions(scan, way)
    assert ratio == pytest.approx(13 / 8, rel=0.01)


def test_without_the_calls_for_sections_a_new_release_registers_as_before() -> None:
    assert find_registration("49.0.0") is Registration.FUNCTIONS
    assert find_registration("50.0.0") is Registration.SECTIONS
    assert find_registration("50.0.1", sections=False) is Registration.FUNCTIONS


def test_a_count_that_breaks_the_law_is_named_with_both_numbers() -> None:
    rows = make_predicted_counts()
    rows[-1] = rows[-1]._replace(value=rows[-1].value * 1.02)
    (said,) = law.broken_laws(make_history(rows))
    assert said == (
        "linux, libunwind, 50.0.1, 100x100: 44,200.68 instructions per module, but the model "
        "predicts 43,336"
    )


def test_libgcc_is_simple() -> None:
    recorded = read_history(Config.load("asv.conf.json"))
    shapes = {"1000x1", "1000x8", "100x100", "1x2000"}
    last_first = [
        row for row in recorded.rows if row.benchmark == DEREGISTER and row.shape in shapes
    ]

    def values(machine: str) -> list[Row]:
        return [row for row in last_first if (row.machine, row.unwinder) == (machine, "system")]

    assert {row.value for row in values("linux-x86_64")} == {model.LIBGCC_LIST}
    tree = values("debian-13-x86_64")
    assert tree
    for row in tree:
        functions = int(row.shape.split("x")[1])
        fdes = model.estimate_fdes(functions, row.release, law.EXPORTED[functions])
        predicted = model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * fdes
        assert row.value == pytest.approx(predicted, rel=0.06)


def test_machines_get_the_builds_of_their_processor() -> None:
    assert set(law.scans_for(TREE)) == {"Debian 12, x86-64", "Debian 13, x86-64"}


def test_the_rules_follow_from_the_model() -> None:
    low, middle, high = advice.rule_limits()
    assert (low, middle, high) == (300_000, 400_000, 750_000)
    for way, load in (
        (Registration.FUNCTIONS, lambda limit: (limit / 40**2, 40)),
        (Registration.SECTIONS, lambda limit: (1000, limit / 1000)),
    ):
        for nanoseconds, limit in zip((0.63, 0.5, 0.27), (low, middle, high), strict=True):
            modules, fdes = load(limit)
            cost = unload(modules, fdes, way).entries * nanoseconds / 1e6
            assert cost == pytest.approx(advice.THRESHOLD, rel=0.1)

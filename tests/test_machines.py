"""How machines are described, on this host and on simulated macOS, Windows and Alpine."""

import json
import logging
import platform
import sys
from functools import partial
from pathlib import Path

import pytest
from asv import util
from asv.util import UserError

from scripts import asv_plugin
from scripts.history.machine import describe_contradiction, read_hosts, read_machine
from scripts.measuring import machines, unwinders

from .results import describe_machine


def simulate(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, **results: object) -> None:
    """Simulate a host: `results` are what functions of `platform` return or raise."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)

    def return_or_raise(result: object) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    for name, result in results.items():
        monkeypatch.setattr(platform, name, partial(return_or_raise, result))


@pytest.mark.parametrize(
    ("system", "machine", "results", "name", "operating_system"),
    [
        ("darwin", "arm64", {"mac_ver": ("15.3.1", ("", "", ""), "arm64")},
         "local-macos-arm64", "macOS 15"),
        ("darwin", "x86_64", {"mac_ver": ("26.0", ("", "", ""), "x86_64")},
         "local-macos-x86_64", "macOS 26"),
        ("win32", "AMD64", {"version": "10.0.26100", "win32_edition": "ServerDatacenter"},
         "local-windows-x86_64", "Windows Server 2025"),
        ("linux", "aarch64", {"libc_ver": ("", ""), "freedesktop_os_release":
         {"NAME": "Alpine Linux", "VERSION_ID": "3.22.1"}},
         "local-linux-arm64", "Alpine 3.22, musl"),
        ("linux", "riscv64", {"libc_ver": ("", ""), "freedesktop_os_release": OSError("missing")},
         "local-linux-riscv64", "Linux, musl"),
    ],
)  # fmt: skip
def test_names_on_other_platforms(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    results: dict[str, object],
    name: str,
    operating_system: str,
) -> None:
    simulate(monkeypatch, system, machine, **results)
    assert machines.local_name() == name
    assert machines.name_operating_system() == operating_system


@pytest.mark.parametrize(
    ("version", "edition", "name"),
    [
        ("10.0.20348", "ServerStandard", "Windows Server 2022"),
        ("10.0.29999", "ServerDatacenter", "Windows Server build 29999"),
        ("10.0.19045", "Professional", "Windows 10"),
        ("10.0.26100", "Enterprise", "Windows 11"),
        ("10.0.26100", None, "Windows 11"),
    ],
)
def test_windows_is_named_by_its_build(
    monkeypatch: pytest.MonkeyPatch, version: str, edition: str | None, name: str
) -> None:
    """A new version of Python must not rename a machine: 3.11 calls Server 2025 `10`."""
    for release in ("10", "2025Server"):
        results = {"version": version, "win32_edition": edition, "release": release}
        simulate(monkeypatch, "win32", "AMD64", **results)
        assert machines.name_operating_system() == name
        assert not describe_contradiction("windows-2025-x86_64", name, "x86_64")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux randomizes addresses")
@pytest.mark.parametrize("refused", [True, False])
def test_refused_switch_of_address_randomization_is_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: bool
) -> None:
    values = [0x8]  # the personality of the process, then what it is set to

    class Library:
        def __init__(self, *_: object, **__: object) -> None: ...

        @staticmethod
        def personality(value: int) -> int:
            if value == 0xFFFFFFFF:
                return values[-1]
            if refused and value & 0x40000:
                return -1
            values.append(value)
            return values[-2]

    monkeypatch.setattr("ctypes.CDLL", Library)
    monkeypatch.setattr(unwinders, "collect_facts", dict)
    machines.record_host(tmp_path)
    (line,) = (tmp_path / "hosts.jsonl").read_text().splitlines()
    assert json.loads(line)["facts"].get("randomized") is (True if refused else None)
    assert values[-1] == 0x8  # processes that measure times start as before


@pytest.mark.parametrize(
    ("libgcc", "described"),
    [("14", "Ubuntu 24.04, libgcc 14"), ("", "Ubuntu 24.04, libgcc")],
)
def test_description_of_linux_names_libgcc(
    monkeypatch: pytest.MonkeyPatch, libgcc: str, described: str
) -> None:
    release = {"NAME": "Ubuntu", "VERSION_ID": "24.04"}
    simulate(monkeypatch, "linux", "x86_64", libc_ver=("glibc", "2.39"),
             freedesktop_os_release=release)  # fmt: skip
    monkeypatch.setattr(unwinders, "libgcc_major", lambda: libgcc)
    assert machines.name_operating_system() == described


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("Debian GNU/Linux", "Debian 9, libgcc 12"),
        ("Linux Mint", "Linux Mint 9, libgcc 12"),
        ("Red Hat Enterprise Linux", "Red Hat Enterprise 9, libgcc 12"),
    ],
)
def test_description_of_linux_names_the_distribution(
    monkeypatch: pytest.MonkeyPatch, name: str, described: str
) -> None:
    release = {"NAME": name, "VERSION_ID": "9"}
    simulate(monkeypatch, "linux", "x86_64", libc_ver=("glibc", "2.39"),
             freedesktop_os_release=release)  # fmt: skip
    monkeypatch.setattr(unwinders, "libgcc_major", lambda: "12")
    assert machines.name_operating_system() == described


def test_description_has_the_fields_of_asv_and_no_kernel_version() -> None:
    fields = machines.describe_machine("here")
    assert list(fields) == ["machine", "os", "arch", "cpu", "num_cpu", "ram"]
    assert all(fields.values())
    assert platform.release() not in " ".join(fields.values())


@pytest.mark.parametrize(
    ("size", "described"),
    [
        (7 * 2**30, "7 GB"),
        (int(15.6 * 2**30), "16 GB"),
        (int(23.5 * 2**30), "24 GB"),
        (int(62.7 * 2**30), "64 GB"),
    ],
)
def test_memory_is_rounded_up_to_a_class(size: int, described: str) -> None:
    assert machines.classify_memory(size) == described


ODD_RELEASES: list[dict[str, str] | Exception] = [
    {"NAME": "x" * 500, "VERSION_ID": "1." + "2" * 500},
    {"NAME": "<b>Best|OS`", "VERSION_ID": "1<2"},
    {"NAME": "", "VERSION_ID": ""},
    {"NAME": "\x1b[31mred\n", "VERSION_ID": "\udc80"},
    {"NAME": "Ubuntu on Windows", "VERSION_ID": "24.04"},
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="the name implies Linux")
@pytest.mark.parametrize("release", ODD_RELEASES)
def test_description_of_an_odd_system_can_be_read(
    release: dict[str, str] | Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, "linux", platform.machine(), freedesktop_os_release=release)
    name = machines.local_name()
    machines.check_machine(name, tmp_path)
    asv_plugin.write_json_atomically(
        str(tmp_path / name / "machine.json"), machines.describe_machine(name), 1
    )
    machine, problems = read_machine(tmp_path / name)
    assert machine.system == "Linux"
    assert problems == []


@pytest.mark.parametrize("machine", ["x86 64", "", "a/b", "x" * 10])
def test_local_name_is_valid_for_any_processor(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    machines.check_machine(machines.local_name(), tmp_path)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Write the description of a recorded machine that matches this host; return its path."""
    path = tmp_path / "linux-of-mine/machine.json"
    path.parent.mkdir()
    util.write_json(str(path), machines.describe_machine("linux-of-mine"), 1)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the name implies Linux")
def test_recorded_description_that_contradicts_the_host_is_rejected(recorded: Path) -> None:
    machines.check_machine("linux-of-mine", recorded.parent.parent)
    changed = {**machines.describe_machine("linux-of-mine"), "os": "Plan 9"}
    util.write_json(str(recorded), changed, 1)
    with pytest.raises(
        UserError, match=r"linux-of-mine/machine\.json describes another kind.*--ma"
    ):
        machines.check_machine("linux-of-mine", recorded.parent.parent)


@pytest.mark.skipif(sys.platform != "linux", reason="the name implies Linux")
def test_damaged_description_is_rejected(recorded: Path) -> None:
    recorded.write_bytes(recorded.read_bytes()[:20])
    with pytest.raises(UserError, match=r"machine\.json"):
        machines.check_machine("linux-of-mine", recorded.parent.parent)


def test_description_of_a_local_machine_may_change(tmp_path: Path) -> None:
    name = machines.local_name()
    path = tmp_path / name / "machine.json"
    path.parent.mkdir()
    util.write_json(str(path), {**machines.describe_machine(name), "os": "Plan 9"}, 1)
    machines.check_machine(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "system", "implied"),
    [
        ("macos-15-arm64-tester", "Debian 12, libgcc 12", "macOS, but this host runs Linux"),
        ("my-mac", "Windows 11", "macOS, but this host runs Windows"),
        ("linux-x86_64", "macOS 15", "Linux, but this host runs macOS"),
        ("windows-2025", "Alpine 3.22, musl", "Windows, but this host runs Linux"),
        ("ubuntu", "macOS 26", "Linux, but this host runs macOS"),
    ],
)
def test_machine_name_that_implies_another_system_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, system: str, implied: str
) -> None:
    monkeypatch.setattr(machines, "name_operating_system", lambda: system)
    with pytest.raises(UserError, match=f"--machine {name} implies {implied}"):
        machines.check_machine(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "system", "arch"),
    [
        ("macos-15-arm64", "macOS 15", "arm64"), ("alpine-x", "Alpine 3.22, musl", "x86_64"),
        ("machine-of-mine", "Debian 12", "arm64"), ("windows-2025", "Windows 2025", "x86_64"),
    ],
)  # fmt: skip
def test_machine_name_that_matches_the_host_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, system: str, arch: str
) -> None:
    monkeypatch.setattr(machines, "name_operating_system", lambda: system)
    monkeypatch.setattr(machines, "name_architecture", lambda: arch)
    machines.check_machine(name, tmp_path)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the name implies arm64")
def test_machine_name_that_implies_another_architecture_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--machine here-arm64 implies arm64, but .* is x86_64"):
        machines.check_machine("here-arm64", tmp_path)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "-x", "a b", "$(x)", "x\n", "é"])
def test_machine_name_that_is_not_a_folder_name_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--machine"):
        machines.check_machine(name, tmp_path)


def test_host_is_recorded_again_only_if_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.record_host(tmp_path / "here")
    machines.record_host(tmp_path / "here")
    monkeypatch.setattr(platform, "platform", lambda: "another kernel")
    machines.record_host(tmp_path / "here")
    lines = (tmp_path / "here/hosts.jsonl").read_text().splitlines()
    platforms = [json.loads(line)["facts"]["platform"] for line in lines]
    assert [platform == "another kernel" for platform in platforms] == [False, True]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["hosts.jsonl"]


INTEL = """vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Processor
stepping\t: 8
"""


def test_processors_of_one_name_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(machines, "CPUINFO", cpuinfo)
    cpuinfo.write_text(INTEL)
    assert machines.identify_processor() == "GenuineIntel family 6 model 143 stepping 8"


def test_times_of_another_processor_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "linux-x86_64"
    monkeypatch.setattr(machines, "identify_processor", lambda: "AuthenticAMD family 25 model 17")
    machines.record_host(folder)
    machines.check_machine(folder.name, tmp_path)
    monkeypatch.setattr(machines, "identify_processor", lambda: "GenuineIntel family 6 model 143")
    with pytest.raises(UserError, match="use another machine name"):
        machines.check_machine(folder.name, tmp_path)


def test_caches_are_recorded_as_the_system_states_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(machines, "CACHES", tmp_path)
    assert machines.read_caches() is None
    for index, facts in enumerate((("1", "Data", "32K"), ("2", "Unified", "1024K"))):
        (tmp_path / f"index{index}").mkdir()
        for name, value in zip(("level", "type", "size"), facts, strict=True):
            (tmp_path / f"index{index}" / name).write_text(f"{value}\n")
    assert machines.read_caches() == {"L1 Data": "32K", "L2 Unified": "1024K"}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(
        unwinders,
        "run_program",
        lambda _, arguments: {"hw.l2cachesize": "12582912\n"}.get(arguments[1], ""),
    )
    assert machines.read_caches() == {"hw.l2cachesize": "12582912"}


def test_host_that_returns_is_recorded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernel in ("A", "B", "A"):
        monkeypatch.setattr(platform, "platform", lambda kernel=kernel: kernel)
        machines.record_host(tmp_path)
    lines = (tmp_path / "hosts.jsonl").read_text().splitlines()
    assert [json.loads(line)["facts"]["platform"] for line in lines] == ["A", "B", "A"]


@pytest.mark.parametrize("later", [True, False])
def test_newest_fact_says_how_a_mac_registers(tmp_path: Path, later: bool) -> None:
    folder = tmp_path / "macos-15-arm64"
    describe_machine(tmp_path, folder.name)
    hosts = [
        {"since": f"2026-0{month}-01T00:00:00Z", "facts": {"sections": sections}}
        for month, sections in ((1, not later), (2, later))
    ]
    (folder / "hosts.jsonl").write_text("".join(f"{json.dumps(host)}\n" for host in hosts))
    assert read_machine(folder)[0].sections is later


@pytest.mark.parametrize(
    "facts",
    [
        {"libgcc": {"file": "/lib/<x>", "package": "", "build_id": ""}},
        {"libgcc": {"file": "/lib/x", "package": "x", "build_id": "no digits"}},
        {"apple": ["/usr/lib/" + "x" * 300]},
        {"apple": ["x"] * 5000},
    ],
)
def test_facts_that_readers_refuse_are_left_out(
    facts: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    monkeypatch.setattr(unwinders, "collect_facts", lambda: facts)
    monkeypatch.setattr(platform, "platform", lambda: "x" * 20_000)
    machines.record_host(tmp_path)
    hosts, problems = read_hosts(tmp_path / "hosts.jsonl")
    assert problems == []
    (line,) = hosts
    assert json.loads(line)["facts"]["python"] == platform.python_version()
    assert "unwinders" not in json.loads(line)["facts"]
    assert "Cannot record the fact 'unwinders' of this host" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"\n\n", b'{"since": "20', b"<<<<<<< HEAD\n", b"\xff"])
def test_damaged_list_of_hosts_is_kept_and_appended_to(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "hosts.jsonl"
    path.write_bytes(damage)
    machines.record_host(tmp_path)
    assert path.read_bytes().startswith(damage)
    assert json.loads(path.read_bytes().splitlines()[-1])["facts"]


def test_arm_processor_is_named_by_its_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nBogoMIPS\t: 125.00\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        "CPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
    )
    monkeypatch.setattr(machines, "CPUINFO", cpuinfo)
    monkeypatch.setattr(util, "get_cpu_info", lambda: "")
    assert machines.name_processor() == "0x41 0xd08 0x0 3"
    cpuinfo.unlink()
    assert machines.name_processor() == ""
    monkeypatch.setattr(util, "get_cpu_info", lambda: "AMD EPYC")
    assert machines.name_processor() == "AMD EPYC"

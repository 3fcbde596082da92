"""The pin file: its content, and the errors if it is damaged."""

import json
import subprocess
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.releases import pins
from scripts.releases.pins import Release

NEW = Release(
    "99.0.0", "2030-01-02T03:04:05Z", {"wasmtime-99.0.0-py3-none-win_amd64.whl": "a" * 64}
)


def test_committed_pins_include_all_comparable_releases() -> None:
    releases = pins.load_pins()
    versions = [release.version for release in releases]
    assert versions[0] == "13.0.0"
    assert {"17.0.1", "18.0.2", "27.0.2", "49.0.0", "50.0.1"} <= set(versions)
    assert "27.0.0" not in versions  # yanked
    checked = releases[: versions.index("50.0.1") + 1]
    assert len(checked) == 42
    for release in checked:  # a later release may have other wheels
        platforms = " ".join(release.wheels)
        for platform in ("manylinux1_x86_64", "manylinux2014_aarch64", "macosx", "win_amd64"):
            assert platform in platforms


def test_commit_id_is_what_git_computes(tmp_path: Path) -> None:
    oldest, second = pins.load_pins()[:2]
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "requirements.txt").write_text(oldest.requirements)
    subprocess.run([*git, "add", "."], check=True)
    name, email = pins.COMMITTER.rstrip(">").split(" <")
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", email), ("DATE", f"{oldest.timestamp} +0000"))
    }
    message = f"wasmtime-py {oldest.version}"
    subprocess.run([*git, "commit", "-qm", message], check=True, env=identity)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert head.stdout.strip() == oldest.commit
    assert second.commit != pins.compute_commit_id(second, None)  # the id depends on the parent


def test_saved_pins_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    releases = pins.append_release(pins.load_pins(), NEW)
    pins.save_pins(releases, path)
    assert pins.load_pins(path) == releases
    assert [entry.name for entry in tmp_path.iterdir()] == ["releases.json"]


def test_saving_the_committed_pins_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    pins.save_pins(pins.load_pins(), path)
    assert path.read_bytes() == pins.PINS.read_bytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"version": "13.0.0"', '"version": "13.0.9"'),
        ('"version": "13.0.0"', '"version": "thirteen"'),
        ("2023-09-20T21:22:39Z", "2023-09-20T21:22:40Z"),
        ("2023-09-20T21:22:39Z", "yesterday"),
        ("macosx_11_0_arm64", "any"),
        ('"commit": "', '"commit": "0'),
        ('"wheels"', '"wheel"'),
        ('"releases"', '"pins"'),
        ("}", "", ),
    ],
)  # fmt: skip
def test_edited_pin_file_is_rejected_with_a_remedy(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "releases.json"
    text = pins.PINS.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=r"releases\.json.*git checkout"):
        pins.load_pins(path)


def test_changed_wheel_hash_contradicts_the_commit_id(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    data = json.loads(pins.PINS.read_text())
    wheels = data["releases"][5]["wheels"]
    wheels[next(iter(wheels))] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"16\.0\.0 does not match its commit id.*append-only"):
        pins.load_pins(path)


@pytest.mark.parametrize("size", [0, 1, 1000, -3])
def test_truncated_or_missing_pin_file_is_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "releases.json"
    with pytest.raises(UserError, match="git checkout"):
        pins.load_pins(path)
    path.write_bytes(pins.PINS.read_bytes()[:size])
    with pytest.raises(UserError, match="git checkout"):
        pins.load_pins(path)


def test_empty_list_of_pins_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    path.write_text('{"releases": []}')
    with pytest.raises(UserError, match="it is empty"):
        pins.load_pins(path)


def test_invalid_pins_are_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    with pytest.raises(ValueError, match="commit id"):
        pins.save_pins([*pins.load_pins(), NEW], path)
    with pytest.raises(ValueError, match="comes after"):
        pins.save_pins(pins.append_release(pins.append_release([], NEW), pins.load_pins()[0]), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("platform", "native"),
    [
        ("manylinux1_x86_64", True),
        ("musllinux_1_2_aarch64", True),
        ("macosx_11_0_arm64", True),
        ("win_arm64", True),
        ("any", False),
        ("android_26_x86_64", False),
    ],
)
def test_native_wheels_are_recognized_by_platform(platform: str, native: bool) -> None:
    assert pins.is_native(f"wasmtime-50.0.1-py3-none-{platform}.whl") is native

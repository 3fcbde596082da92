"""asv plugin: the pinned releases as a git history, one commit and one tag a release.

asv measures commits, so a release has to be one. The history is a bare repository in `.asv/`,
made from the pins on first use and again whenever it is damaged; the branch `releases` holds one
commit a release, each tagged with its version, and `asv.conf.json` selects it with `"dvcs"`.
"""

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asv.plugins.git import Git
from asv.repo import NoSuchNameError
from asv.util import ProcessError, UserError
from filelock import FileLock

from scripts import pins
from scripts.pins import Release

HISTORY = Path(".asv/releases.git")
BRANCH = "releases"


class ReleaseHistory(Git):
    """The repository asv works on; its url in `asv.conf.json` is the pin file."""

    dvcs = "releases"

    def __init__(self, url: str, mirror_path: str) -> None:
        self.releases = pins.load(Path(url))
        build(self.releases, HISTORY)
        super().__init__(str(HISTORY), mirror_path)

    @classmethod
    def url_match(cls, url: str) -> bool:
        """Never guessed from a url: `asv.conf.json` names it."""
        return False

    def get_hash_from_name(self, name: str | None) -> str:
        """The commit of a release, a branch or a commit id."""
        try:
            return str(super().get_hash_from_name(name))
        except NoSuchNameError as error:
            raise self._unknown(str(name)) from error
        except ProcessError as error:
            raise UserError(f"git cannot look up '{name}': {error.stderr.strip()}") from error

    def get_hashes_from_range(self, range_spec: str) -> list[str]:
        """The commits of a range; bare releases mean those alone."""
        names = [name for name in re.split(r"\.{2,3}|[\s^!]+", range_spec) if name]
        hashes = [self.get_hash_from_name(name) for name in names if not name.startswith("-")]
        if names == range_spec.split() and len(hashes) == len(names) and BRANCH not in names:
            return hashes
        try:
            return list(super().get_hashes_from_range(range_spec))
        except ProcessError as error:
            raise UserError(f"'{range_spec}' is no range: {error.stderr.strip()}") from error

    def checkout(self, path: str, commit_hash: str) -> None:
        """Write the commit's one file, which is all that installing a release needs."""
        for release in self.releases:
            if release.commit == commit_hash:
                folder = Path(path)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "requirements.txt").write_text(release.requirements, encoding="utf-8")
                return
        raise UserError(f"{commit_hash} is no commit of a release in {pins.PINS}.")

    def _run_git(self, args: list[str], cwd: str | bool | None = True, **kwargs: Any) -> str:
        return str(
            super()._run_git(args, cwd, env={**_environment(), "GIT_DIR": self._path}, **kwargs)
        )

    def _unknown(self, name: str) -> UserError:
        versions = [release.version for release in self.releases]
        near = difflib.get_close_matches(name, versions, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        return UserError(
            f"There is no release '{name}'. {hint}The pinned releases are {versions[0]} to "
            f"{versions[-1]}, listed in {pins.PINS}. A range is written 48.0.0..50.0.1 and "
            "leaves out its first release; all of them are ALL."
        )


def build(releases: Sequence[Release], path: Path) -> None:
    """Make or extend the history so that it holds exactly these releases.

    git applies an import all at once, so a process killed half way leaves an older history or
    none; the lock is for two processes that start at the same time.

    Raises:
        UserError: git is too old or missing, or makes other commits of the pins.
    """
    expected = {f"refs/tags/{release.version}": release.commit for release in releases}
    expected[f"refs/heads/{BRANCH}"] = releases[-1].commit
    if _refs(path) == expected:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise UserError(f"The history of releases is made in {path}, but {error}") from error
    with lock:
        present = _refs(path)
        if present == expected:
            return
        if present is None or not present.keys() <= expected.keys():
            shutil.rmtree(path, ignore_errors=True)
            _git("init", "--quiet", "--bare", "--object-format=sha1", "-b", BRANCH, str(path))
        for stale in path.rglob("*.lock"):  # of a git that was killed: ours is the only one
            stale.unlink()
        stream = _import_stream(releases)
        _git("--git-dir", str(path), "fast-import", "--quiet", "--force", stdin=stream)
        if _refs(path) != expected:
            raise UserError(
                f"git made other commits of {pins.PINS} than it records: {path} cannot be used. "
                "Remove it and try again."
            )


def _refs(path: Path) -> dict[str, str] | None:
    """The commits that a history names, or None where there is no sound history."""
    # %(tree) makes git read every commit, so that a lost object is found
    listing = _git(
        "--git-dir", str(path), "for-each-ref", "--format=%(refname) %(objectname) %(tree)",
        check=False,
    )  # fmt: skip
    if listing.returncode != 0:
        return None
    rows = (line.split() for line in listing.stdout.decode().splitlines())
    return {name: commit for name, commit, *_ in rows}


def _import_stream(releases: Sequence[Release]) -> bytes:
    """The history in the language of `git fast-import`."""
    parts = []
    for mark, release in enumerate(releases, start=1):
        parts.append(
            f"commit refs/heads/{BRANCH}\nmark :{mark}\n"
            f"committer {pins.COMMITTER} {release.timestamp} +0000\n"
            f"{_data(release.message)}"
            + (f"from :{mark - 1}\n" if mark > 1 else "")
            + f"M 100644 inline requirements.txt\n{_data(release.requirements)}\n"
            f"reset refs/tags/{release.version}\nfrom :{mark}\n\n"
        )
    return "".join(parts).encode()


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def _git(
    *arguments: str, stdin: bytes | None = None, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *arguments], input=stdin, capture_output=True, check=check, env=_environment()
        )
    except OSError as error:
        raise UserError(f"git is needed and cannot be started: {error}") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"{' '.join(error.cmd)} failed: {error.stderr.decode().strip()}") from error


def _environment() -> dict[str, str]:
    # GIT_DIR and its kin, set inside a git hook, would name another repository
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

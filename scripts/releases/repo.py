"""asv's view of the pins: a repository in which each release is a commit.

asv measures commits of a repository. `ReleaseRepo` implements asv's repository interface on top of
the list of pins. `"dvcs"` in `asv.conf.json` selects it.
"""

from pathlib import Path

from asv.repo import Repo
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.base.names import did_you_mean
from scripts.releases import pins
from scripts.releases.pins import Release

BRANCH = "releases"
MIN_PREFIX = 7  # digits of a commit id that identify it, as in git
FORMS = (
    'Write a release ("50.0.1"), several ("21.0.0 50.0.1"), a range without its first release '
    '("48.0.0..50.0.1"), or ALL. --steps N selects N releases of a range.'
)


class ReleaseRepo(Repo):
    """The repository that asv works on; `"repo"` in `asv.conf.json` is the path of the pin file."""

    dvcs = "releases"
    _default_branch = BRANCH

    def __init__(self, url: str, mirror_path: str = "") -> None:
        self.releases = pins.load_pins(Path(url))
        self._by_commit = {release.commit: release for release in self.releases}
        self._by_version = {release.version: release for release in self.releases}

    def pull(self) -> None:
        """Do nothing: the pins are a local file."""

    def checkout(self, path: str, commit_hash: str) -> None:
        """Write the commit's only file, `requirements.txt`, from which pip installs the release."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        requirements = self._release(commit_hash).requirements
        (folder / "requirements.txt").write_text(requirements, encoding="utf-8")

    def get_hash_from_name(self, name: str | None) -> str:
        """Return the commit of a release or of an abbreviated commit id.

        Without a name, return that of the newest release with a wheel for this platform.

        Raises:
            UserError: there is no such release; the message suggests similar ones.
        """
        if name is None or name in (BRANCH, "HEAD"):
            return pins.find_newest_with_wheel(self.releases, list(platform_tags())).commit
        if name in self._by_version:
            return self._by_version[name].commit
        commits = [commit for commit in self._by_commit if commit.startswith(name)]
        if len(name) >= MIN_PREFIX and len(commits) == 1:
            return commits[0]
        first, last = self.releases[0].version, self.releases[-1].version
        raise UserError(
            f"'{name}' is not a pinned release.{did_you_mean(name, self._by_version)} The pinned "
            f"releases are {first} to {last}, listed in {pins.PINS}."
        )

    def get_hash_from_parent(self, name: str) -> str:
        """Return the commit of the release before the named one.

        Raises:
            UserError: the named release is the first one.
        """
        position = self._position(name)
        if position == 0:
            raise UserError(
                f"{self.releases[0].version} is the first pinned release: it has none before it."
            )
        return self.releases[position - 1].commit

    def get_hashes_from_range(self, range_spec: str) -> list[str]:
        """Return the commits that a command line selects, such as `21.0.0 48.0.0..50.0.1`.

        The parts stay in the order given; a range is newest first.

        Raises:
            UserError: a release does not exist, or a range is not valid.
        """
        parts = range_spec.split()
        if not parts:
            raise UserError(f"No release was given. {FORMS}")
        commits = [commit for part in parts for commit in self._select_commits(part)]
        return list(dict.fromkeys(commits))

    def _select_commits(self, part: str) -> list[str]:
        if part.startswith(("-", "..")) or set(part) & set("^~:@{") or "..." in part:
            raise UserError(f"'{part}' is git syntax, which is not supported. {FORMS}")
        if part in ("ALL", BRANCH):
            return self.get_branch_commits(BRANCH)
        if ".." not in part:
            return [self.get_hash_from_name(part)]
        newest = self.releases[-1].version
        first, last = (self._position(name or newest) for name in part.split("..", 1))
        if first > last:
            older, newer = self.releases[last].version, self.releases[first].version
            raise UserError(f"'{part}' runs backwards. Write {older}..{newer} instead.")
        return [release.commit for release in self.releases[last:first:-1]]

    def get_branch_commits(self, branch: str | None) -> list[str]:
        """Return all commits, newest first."""
        return [release.commit for release in reversed(self.releases)]

    def get_range_spec(self, commit_a: str, commit_b: str) -> str:
        """Return the range after one commit up to and including another."""
        return f"{commit_a}..{commit_b}"

    def get_new_range_spec(self, latest_result: str, branch: str | None = None) -> str:
        """Return the range after a commit up to the newest release."""
        return self.get_range_spec(latest_result, BRANCH)

    def get_name_from_hash(self, commit: str) -> str | None:
        """Return the release of a commit, or None; `asv show` also passes a release."""
        release = self._by_commit.get(commit) or self._by_version.get(commit)
        return release.version if release else None

    def get_tags(self) -> dict[str, str]:
        """Return the commit of each release."""
        return {version: release.commit for version, release in self._by_version.items()}

    def get_date(self, commit: str) -> int:
        """Return when the release of a commit was uploaded, in milliseconds since the epoch."""
        return self._release(commit).timestamp * 1000

    def get_date_from_name(self, name: str) -> int:
        """Return when a release was uploaded, in milliseconds since the epoch."""
        return self.get_date(self.get_hash_from_name(name))

    def get_revisions(self, commits: set[str]) -> dict[str, int]:
        """Return the position of each commit in the history."""
        return {
            commit: position for position, commit in enumerate(self._by_commit) if commit in commits
        }

    def _position(self, name: str | None) -> int:
        return list(self._by_commit).index(self.get_hash_from_name(name))

    def _release(self, commit: str) -> Release:
        # with TAGS, asv passes a tag instead of a commit id, and would name result files after it
        if commit in self._by_version:
            raise UserError("TAGS is not supported. Write ALL: every release has a tag.")
        if commit not in self._by_commit:
            raise UserError(f"{commit} is not the commit of a release in {pins.PINS}.")
        return self._by_commit[commit]

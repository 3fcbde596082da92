"""asv's view of the pins: a repository in which each release is a commit.

asv measures commits of a repository, and asks it for about a dozen things. Here they are answered
from the list of pins. `"dvcs"` in `asv.conf.json` chooses this class.
"""

from pathlib import Path

from asv.repo import Repo
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.base.names import did_you_mean
from scripts.releases import pins
from scripts.releases.pins import Release

BRANCH = "releases"
ABBREVIATED = 7  # digits of a commit id that are enough to name it, as in git
FORMS = (
    'Write a release ("50.0.1"), several ("21.0.0 50.0.1"), a range that leaves out its first '
    'release ("48.0.0..50.0.1"), or ALL; --steps N picks N of a range.'
)


class ReleaseRepo(Repo):
    """The repository asv works on; its url in `asv.conf.json` is the pin file."""

    dvcs = "releases"
    _default_branch = BRANCH

    def __init__(self, url: str, mirror_path: str = "") -> None:
        self.releases = pins.load_pins(Path(url))
        self._by_commit = {release.commit: release for release in self.releases}
        self._by_version = {release.version: release for release in self.releases}

    def pull(self) -> None:
        """Nothing to do: the pins are here."""

    def checkout(self, path: str, commit_hash: str) -> None:
        """Write the commit's one file, which is all that installing a release needs."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        requirements = self._release(commit_hash).requirements
        (folder / "requirements.txt").write_text(requirements, encoding="utf-8")

    def get_hash_from_name(self, name: str | None) -> str:
        """The commit of a release, or of a commit id; by default of the newest with a wheel here.

        Raises:
            UserError: there is no such release; it names the near ones.
        """
        if name is None or name in (BRANCH, "HEAD"):
            return pins.newest_with_wheel(self.releases, list(platform_tags())).commit
        if name in self._by_version:
            return self._by_version[name].commit
        commits = [commit for commit in self._by_commit if commit.startswith(name)]
        if len(name) >= ABBREVIATED and len(commits) == 1:
            return commits[0]
        raise UserError(
            f"There is no release '{name}'.{did_you_mean(name, self._by_version)} The pinned "
            f"releases are {self.releases[0].version} to {self.releases[-1].version}, listed in "
            f"{pins.PINS}."
        )

    def get_hash_from_parent(self, name: str) -> str:
        """The commit of the release before.

        Raises:
            UserError: it is the first one.
        """
        position = self._position(name)
        if position == 0:
            raise UserError(f"{self.releases[0].version} is the first release that is pinned.")
        return self.releases[position - 1].commit

    def get_hashes_from_range(self, range_spec: str) -> list[str]:
        """The commits of releases as they are listed; those of a range newest first.

        Raises:
            UserError: one of them does not exist, or the range is none.
        """
        parts = range_spec.split()
        if not parts:
            raise UserError(f"No release is named. {FORMS}")
        commits = [commit for part in parts for commit in self._commits(part)]
        return list(dict.fromkeys(commits))

    def _commits(self, part: str) -> list[str]:
        if part.startswith(("-", "..")) or set(part) & set("^~:@{") or "..." in part:
            raise UserError(f"'{part}' is understood by git alone. {FORMS}")
        if part in ("ALL", BRANCH):
            return self.get_branch_commits(BRANCH)
        if ".." not in part:
            return [self.get_hash_from_name(part)]
        first, last = (
            self._position(name or self.releases[-1].version) for name in part.split("..", 1)
        )
        if first > last:
            older, newer = self.releases[last].version, self.releases[first].version
            raise UserError(f"'{part}' runs backwards: write {older}..{newer}.")
        return [release.commit for release in self.releases[last:first:-1]]

    def get_branch_commits(self, branch: str | None) -> list[str]:
        """Every commit, newest first."""
        return [release.commit for release in reversed(self.releases)]

    def get_range_spec(self, commit_a: str, commit_b: str) -> str:
        """The range after one commit, up to another."""
        return f"{commit_a}..{commit_b}"

    def get_new_range_spec(self, latest_result: str, branch: str | None = None) -> str:
        """The range after a commit, up to the newest release."""
        return self.get_range_spec(latest_result, BRANCH)

    def get_name_from_hash(self, commit: str) -> str | None:
        """The release of a commit; `asv show` asks for that of a release's own name too."""
        release = self._by_commit.get(commit) or self._by_version.get(commit)
        return release.version if release else None

    def get_tags(self) -> dict[str, str]:
        """Commits by release."""
        return {version: release.commit for version, release in self._by_version.items()}

    def get_date(self, commit: str) -> int:
        """When the release was uploaded, in milliseconds since the epoch."""
        return self._release(commit).timestamp * 1000

    def get_date_from_name(self, name: str) -> int:
        """The same, by the release's name."""
        return self.get_date(self.get_hash_from_name(name))

    def get_revisions(self, commits: set[str]) -> dict[str, int]:
        """The position of each commit in the history."""
        return {
            commit: position for position, commit in enumerate(self._by_commit) if commit in commits
        }

    def _position(self, name: str | None) -> int:
        return list(self._by_commit).index(self.get_hash_from_name(name))

    def _release(self, commit: str) -> Release:
        if commit in self._by_version:  # asv stores tags as commits, cut to eight characters
            raise UserError("TAGS is not supported. Write ALL: every release has a tag.")
        if commit not in self._by_commit:
            raise UserError(f"{commit} is no commit of a release in {pins.PINS}.")
        return self._by_commit[commit]

"""Addresses for links of the pages: pull requests, issues and releases."""

import re
import subprocess

from markupsafe import Markup

from scripts.report.changes import UpstreamChange

WASMTIME = "https://github.com/bytecodealliance/wasmtime"
WASMTIME_PY = "https://github.com/bytecodealliance/wasmtime-py"
# `#14304` and `wasmtime#14304`, but not `wasmCloud#5555`
ISSUES = {2808, 6541, 8897, 10287, 11344}  # numbers in our sentences that are no pull requests
PULL = re.compile(r"(?<!\w)(?:wasmtime)?#(\d{3,6})\b")


def address_of(cause: UpstreamChange) -> str:
    """Return the address of the pull request of an upstream change."""
    return f"{WASMTIME}/pull/{cause['pull_request']}"


def link_pulls(sentence: str) -> Markup:
    """Return a sentence as HTML, with wasmtime's pull requests and issues as links."""
    parts: list[str] = []
    end = 0
    for match in PULL.finditer(sentence):
        kind = "issues" if int(match[1]) in ISSUES else "pull"
        link = Markup('<a href="{}">{}</a>').format(f"{WASMTIME}/{kind}/{match[1]}", match[0])
        parts += [sentence[end : match.start()], link]
        end = match.end()
    return Markup("").join([*parts, sentence[end:]])


def find_repository() -> str:
    """Return the address of this repository on the web, or nothing if git knows no https one."""
    done = subprocess.run(
        ["git", "config", "--get", "remote.origin.url"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    address = done.stdout.strip().removesuffix(".git")
    address = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", address)
    return address if re.fullmatch(r"https://[\w.-]+(?:/[\w.-]+)+", address) else ""


def release_addresses(version: str) -> dict[str, str]:
    """Return the addresses of a release, by project."""
    major = version.split(".")[0]
    return {
        "wasmtime-py": f"{WASMTIME_PY}/releases/tag/{version}",
        "wasmtime": f"{WASMTIME}/blob/release-{major}.0.0/RELEASES.md",
    }


def require_https(address: str) -> str:
    """Return an address unchanged if it is safe to link.

    Raises:
        ValueError: it does not use https, so it may be a script.
    """
    if not address.startswith("https://"):
        raise ValueError(f"{address!r} is not an https address")
    return address

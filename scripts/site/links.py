"""Addresses that the pages link: pull requests and issues by their number, releases by name."""

import re

from markupsafe import Markup, escape

from scripts.gap.changes import UpstreamChange

WASMTIME = "https://github.com/bytecodealliance/wasmtime"
WASMTIME_PY = "https://github.com/bytecodealliance/wasmtime-py"
# `#14304` and `wasmtime#14304`, but not `wasmCloud#5555`
PULL = re.compile(r"(?<!\w)(?:wasmtime)?#(\d{3,6})\b")


def address_of(cause: UpstreamChange) -> str:
    """Return the address of an upstream change."""
    return f"{WASMTIME}/pull/{cause['pull_request']}"


def link_pulls(said: str) -> Markup:
    """Return a sentence as HTML, with wasmtime's pull requests and issues as links."""
    parts: list[str] = []
    end = 0
    for found in PULL.finditer(said):
        # GitHub sends the address of a pull request on to the issue of that number, if it is one
        link = Markup('<a href="{}">{}</a>').format(f"{WASMTIME}/pull/{found[1]}", found[0])
        parts += [said[end : found.start()], link]
        end = found.end()
    return Markup("").join([*parts, said[end:]])


def link_load(said: str) -> Markup:
    """Return a sentence as HTML, with "it depends on the load" as a link to the calculator."""
    link = Markup('<a href="#own-heading">it depends on the load</a>')
    return link.join(escape(part) for part in said.split("it depends on the load"))


def release_addresses(version: str) -> dict[str, str]:
    """Return the addresses of a release, by name."""
    major = version.split(".")[0]
    return {
        "wasmtime-py": f"{WASMTIME_PY}/releases/tag/{version}",
        "wasmtime": f"{WASMTIME}/blob/release-{major}.0.0/RELEASES.md",
    }


def require_https(address: str) -> str:
    """Return an address for a link.

    Raises:
        ValueError: it is not https, so it may be a script.
    """
    if not address.startswith("https://"):
        raise ValueError(f"{address!r} is no https address")
    return address

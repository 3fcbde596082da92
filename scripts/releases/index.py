"""Read a package index: list a project's files, and open its wheels."""

import argparse
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from asv.util import UserError
from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedRepoVersionError,
)

from scripts.base.schema import printable

MAX_BYTES = 200 << 20  # of a download or of what is read of it; the largest wheel so far has 105 MB
MAX_DURATION = timedelta(minutes=10)  # of a download


class BoundedSession(requests.Session):
    """A session that reads at most MAX_BYTES per response, for at most MAX_DURATION."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and read the response within the bounds.

        Raises:
            RequestException: the response is too large or takes too long.
        """
        deadline = time.monotonic() + MAX_DURATION.total_seconds()
        response = super().send(request, **{**options, "stream": True})
        content = bytearray()
        for chunk in response.iter_content(1 << 16):
            content += chunk
            if len(content) > MAX_BYTES or time.monotonic() > deadline:
                response.close()
                raise requests.RequestException(
                    f"{request.url} has more than {MAX_BYTES:,} bytes, "
                    f"or takes more than {MAX_DURATION}"
                )
        response._content = bytes(content)  # as requests itself does without streaming
        return response


def list_packages(client: PyPISimple, project: str) -> tuple[list[DistributionPackage], list[str]]:
    """Return the files of a project in the order of their names, and a line for each skipped one.

    A file is skipped if its version is malformed.

    Raises:
        UserError: the index cannot be reached, is not a package index, or lists a malformed name.
    """
    packages, skipped = [], []
    try:
        page = client.get_project_page(project, timeout=60)
        for package in sorted(page.packages, key=lambda package: package.filename):
            if package.version is None:
                continue
            try:
                Version(package.version)
            except InvalidVersion:
                skipped.append(f"skipped {package.filename}: {package.version} is not a version")
                continue
            if package.package_type == "wheel":
                parse_wheel_filename(package.filename)
            packages.append(package)
    except (OSError, NoSuchProjectError, UnsupportedRepoVersionError, ValueError) as error:
        reason = printable(" ".join(str(error).split()), 300)
        raise UserError(f"The package index did not list {project}: {reason}") from error
    except RecursionError as error:
        raise UserError(f"The package index did not list {project}: nested too deeply") from error
    return packages, skipped


@contextmanager
def open_wheel(client: PyPISimple, wheel: DistributionPackage) -> Iterator[zipfile.ZipFile]:
    """Download a wheel, and yield its archive.

    Raises:
        UserError: the wheel cannot be downloaded, has another hash than the index gives, or is
            damaged; or the `with` block raised a ValueError about its content.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel.filename)
        try:
            client.download_package(wheel, path, timeout=60)
            with zipfile.ZipFile(path) as archive:
                yield archive
        except (OSError, ValueError) as error:
            raise UserError(f"{wheel.filename} cannot be read: {error}") from error
        except zipfile.BadZipFile as error:
            raise UserError(f"{wheel.filename} is not a wheel: {error}") from error


def read_members(archive: zipfile.ZipFile, names: Iterable[str]) -> list[bytes]:
    """Return the content of files of an archive.

    Raises:
        ValueError: the files are too large together.
    """
    members = [archive.getinfo(name) for name in names]
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ValueError("its files are too large")
    return [archive.read(member) for member in members]


def run_update(
    update: Callable[[PyPISimple], None],
    arguments: Sequence[str] | None,
    prog: str,
    description: str,
) -> int:
    """Run a command that reads a package index; return 0 on success, or 1 on an error.

    Args:
        update: does the work.
        arguments: the command line; that of the process if omitted.
        prog: the command, for its help.
        description: what it does, for its help.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--index",
        default=PYPI_SIMPLE_ENDPOINT,
        help="URL of a package index with the JSON simple API (default: PyPI)",
    )
    try:
        with PyPISimple(parser.parse_args(arguments).index, session=BoundedSession()) as client:
            update(client)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0

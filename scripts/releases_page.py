"""asv plugin: `releases.html`, where the commit links of the published site lead.

The commits exist nowhere but here, so `show_commit_url` is a page of the site itself; asv
appends the 40-digit id, which names the release's row.
"""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from asv.publishing import OutputPublisher
from packaging.version import Version

from scripts.pins import Release
from scripts.release_history import ReleaseHistory

PAGE = Template(
    """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$project: releases</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; }
  tr:target { background: #fc03; }
  code { font-size: .85em; }
</style>
<main>
<h1>Measured releases</h1>
<p>Every commit of this history stands for one release of wasmtime-py.
<a href="index.html">Back to the graphs</a>.</p>
<table>
<thead><tr><th scope="col">Release<th scope="col">Date<th scope="col">Upstream
<th scope="col">Commit here</tr></thead>
<tbody>
$rows
</tbody>
</table>
</main>
</html>
"""
)
ROW = Template(
    '<tr id="$commit"><th scope="row">$version<td>$date'
    '<td><a href="https://github.com/bytecodealliance/wasmtime-py/releases/tag/$version">'
    "wasmtime-py</a>, "
    '<a href="https://github.com/bytecodealliance/wasmtime/blob/release-$major/RELEASES.md">'
    "wasmtime</a>"
    "<td><code>$short</code></tr>"
)


class ReleasesPage(OutputPublisher):
    """Writes the page at every `asv publish`."""

    name = "releases"
    button_label = "Releases"
    description = "The measured releases"

    @classmethod
    def publish(
        cls, conf: Any, repo: ReleaseHistory, benchmarks: Any, graphs: Any, revisions: Any
    ) -> None:
        """Write one row a release, newest first."""
        rows = "\n".join(row(release) for release in reversed(repo.releases))
        page = PAGE.substitute(project=escape(conf.project), rows=rows)
        Path(conf.html_dir, "releases.html").write_text(page, encoding="utf-8", newline="\n")


def row(release: Release) -> str:
    """The table row of a release."""
    return ROW.substitute(
        commit=release.commit,
        short=release.commit[:8],
        version=escape(release.version),
        major=f"{Version(release.version).major}.0.0",
        date=release.time[:10],
    )

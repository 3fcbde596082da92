"""The pages of the site: the answer and the releases.

They load no other files, so they work offline, under any path and without JavaScript.
"""

import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks._shapes import HEADLINE
from scripts.base.files import write_atomically
from scripts.base.numbers import format_milliseconds_range
from scripts.cost import advice
from scripts.cost.advice import Load
from scripts.cost.platforms import Platform
from scripts.cost.wasm import build_rules
from scripts.history.benchmarks import DEREGISTER, GAP, TIME, TRACKED
from scripts.history.read import History
from scripts.report import tables, words
from scripts.report.benefits import choose_backtraces
from scripts.report.build import Report, Series
from scripts.report.matrix import LOADS, MAIN, Cell
from scripts.report.recent import describe_recent
from scripts.site import calculator, change_table, line_chart, links, number_tables, releases
from scripts.site.charts import build_chart, select_drawn_series
from scripts.site.line_chart import LineChart, draw_line_chart
from scripts.site.settings import SETTINGS
from scripts.site.staircase import NARROW, WIDE, draw_staircase

BENCHMARKS = {short: name for name, short in TRACKED.items()}
FRONT, RELEASES, FORMER = "index.html", "releases.html", "gap.html"


def write_answer(
    site: Path,
    project: str,
    report: Report,
    history: History,
    busy: LineChart | None = None,
) -> None:
    """Write the page with the answer.

    `busy` is the chart of the time to unload one module, by the FDEs that stay loaded.
    """
    pinned = report.releases
    charts = {
        "count": build_chart(report, history, DEREGISTER),
        "gap": build_chart(report, history, GAP),
    }
    main_series = next(iter(select_drawn_series(report, DEREGISTER).values()), None)
    write_page(
        site / FRONT,
        project=project,
        report=report,
        history=history,
        charts={
            name: (
                chart,
                draw_staircase(chart, WIDE, "wide"),
                draw_staircase(chart, NARROW, "narrow"),
            )
            for name, chart in charts.items()
            if chart
        },
        basis=(
            words.describe_basis(history, main_series.verdict)
            if main_series
            else report.headline[-1]
        ),
        main_load=MAIN,
        loads={name: text for name, (_, text) in LOADS.items()},
        benefits=collect_benefits(pinned),
        changes=change_table.build_change_rows(report),
        functions=list(change_table.function_lines(report)),
        model=calculator.build_calculator_data(pinned, choose_backtraces(history)),
        verdicts=calculator.build_verdict_table(pinned),
        rules=build_rules(),
        first_of_newest=calculator.first_of_major(pinned),
        machines=[
            history.machines[name]
            for name in dict.fromkeys(series.key.machine for series in report.series)
        ],
        settings=SETTINGS,
        languages={setting.key: setting.language for setting in SETTINGS},
        recent=describe_recent(report),
        busy=busy
        and (
            busy,
            draw_line_chart(busy, line_chart.WIDE, "wide"),
            draw_line_chart(busy, line_chart.NARROW, "narrow"),
        ),
        libgcc_limits=advice.libgcc_limits(),
        effects=number_tables.build_effect_table(main_series) if main_series else None,
        grids=[(series, number_tables.build_grids(report, series)) for series in report.series],
        era_tables=[(series, *build_era_tables(report, series)) for series in report.series],
        graphs={"instructions": BENCHMARKS[DEREGISTER], "time": TIME},
        reported=advice.read_reports(),
        measured=datetime.fromtimestamp(
            max(measured.started for measured in history.measured), UTC
        ).date(),
    )


def write_data(site: Path, report: Report) -> None:
    """Write every number of the report, as JSON and as CSV."""
    write_atomically(site / "gap.json", tables.to_json(report))
    write_atomically(site / "gap.csv", tables.to_csv(report))


def write_empty(site: Path, project: str, history: History) -> None:
    """Write the front page of a site without values, with the reason."""
    write_page(
        site / FRONT, "empty.html.jinja", project=project, reason=words.describe_empty(history)
    )


def write_releases(
    site: Path, project: str, report: Report, history: History, regressions: int = 0
) -> None:
    """Write the page of releases. The id of a row is the commit id, to which asv's pages link.

    `regressions` is how many asv's own step detector found.
    """
    backtraces = choose_backtraces(history)
    write_page(
        site / RELEASES,
        project=project,
        columns=releases.select_columns(report),
        rows=releases.build_rows(report, history.releases, backtraces),
        dev=history.dev,
        dev_address=f"{links.WASMTIME}/commit/{history.dev.commit}" if history.dev else "",
        dev_cells=releases.build_dev_cells(report, history.dev) if history.dev else [],
        values=releases.build_comparison(report, backtraces),
        recent=describe_recent(report),
        regressions=regressions,
    )


def write_redirect(site: Path) -> None:
    """Write a page that redirects from the former address of the answer."""
    write_page(site / FORMER, front=FRONT)


def collect_benefits(releases: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return each benefit of unwind info, with the platforms and releases that have it."""
    benefits: dict[str, list[str]] = {}
    for platform in Platform:
        gives = {
            release: advice.advise(platform, release, Load(1, 1)).gives for release in releases
        }
        for benefit, group in itertools.groupby(releases, gives.__getitem__):
            span = list(group)
            where = platform.value
            if len(span) < len(releases):
                where += f", {words.format_span(span[0], span[-1])}"
            benefits.setdefault(benefit, []).append(where)
    return list(benefits.items())


def build_era_tables(report: Report, series: Series) -> list[tables.TableText]:
    """Return two tables of the eras of a series: for the headline shapes and for the others."""
    return [
        tables.build_era_table(
            series,
            [shape for shape in report.shapes if (shape in HEADLINE) == headline],
            ranges=True,
        )
        for headline in (True, False)
    ]


def measured_on_platform(cell: Cell) -> list[str]:
    """Return the costs measured on the platform of a cell itself, without those of a stand-in."""
    return [words.describe_measured(cost) for cost in cell.measured if not cost.is_stand_in]


def allow_breaks(code: str) -> Markup:
    """Return code that a narrow page breaks after dots and opening parentheses."""
    parts = [part for part in re.split(r"(?<=[.(])", code) if part]
    return Markup("<wbr>").join(parts)  # escapes them


def keep_words(command: str) -> Markup:
    """Return a command that a narrow page breaks at spaces only, and not after hyphens."""
    word = Markup('<span class="word">{}</span>')
    return Markup(" ").join(word.format(part) for part in command.split())


def write_page(path: Path, template: str = "", **values: Any) -> None:
    """Write a page from its template in `templates/`. Values are escaped.

    Raises:
        jinja2.UndefinedError: a value that the template uses is missing.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["command"] = keep_words
    environment.filters["breakable"] = allow_breaks
    environment.filters["pulls"] = links.link_pulls
    environment.filters["https"] = links.require_https
    environment.globals.update(
        words=words,
        measured_on_platform=measured_on_platform,
        kind_of=calculator.kind_of,
        describe_cost=advice.describe_cost,
        format_milliseconds_range=format_milliseconds_range,
        address_of=links.address_of,
        describe_rules=advice.describe_rules,
        legend=tables.LEGEND,
        repository=links.find_repository(),
        published=datetime.now(UTC).date(),
    )
    write_atomically(
        path, environment.get_template(template or f"{path.name}.jinja").render(values)
    )

"""The chart of a cost by release, with a step and a label above the plot for each change.

A band below the plot may show what unwind info gives in the same releases.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from scripts.site.svg import LogScale, element, format_tick, line, path, text

WIDE, NARROW, PICTURE = (1120, 360), (360, 310), (600, 340)
TOP, BOTTOM, LEFT = 58, 26, 44  # margins for the changes, the releases and the scale
LEVEL = 34  # height of the label of a change, if labels that are too close are staggered
HEADER = 28  # height above a picture, for the measure
GAP = 28  # minimum distance of the labels of two changes
SMALLEST = 1e-9  # values below it have no place on a logarithmic scale
LETTER = 7.2  # maximum width of a letter of the labels
BAND = 44  # height that the band adds: its heading, its segments and the space above
SEGMENT = 18  # height of a segment of the band


class Point(NamedTuple):
    """A value, with its range if it is a gap."""

    value: float
    low: float | None = None
    high: float | None = None


class Plateau(NamedTuple):
    """The value of an era, with its label in the chart."""

    first: str
    last: str
    value: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series.

    Attributes:
        name: the display name.
        colour: the number of its colour in chart.css.
        points: by release.
        plateaus: by era, oldest first.
    """

    name: str
    colour: int
    points: dict[str, Point]
    plateaus: list[Plateau]


class Mark(NamedTuple):
    """A change: its release, a label for its effect, and the pull requests behind it."""

    release: str
    label: str
    pulls: dict[str, str]  # addresses by name


class Segment(NamedTuple):
    """A part of the band: releases, and what unwind info gives in them.

    Attributes:
        first, last: its releases.
        labels: the same text from long to short, so that one of them has room.
        kind: its class in chart.css.
    """

    first: str
    last: str
    labels: tuple[str, ...]
    kind: str


class Band(NamedTuple):
    """The band below the plot, with its heading."""

    heading: str
    segments: list[Segment]


@dataclass(frozen=True)
class Staircase:
    """The content of a chart, independent of its size.

    Attributes:
        title: the description for screen readers.
        releases: the releases along the x axis.
        lines, marks: the series and their changes.
        hints: the text to show when a pointer is on a release.
        measure: what the values are, which a picture has above the chart.
        counted: whether values are exact counts, which are drawn as steps; gaps are points.
        band: what unwind info gives, if it is recorded.
        unreleased: the last of `releases` if it is no release, but a build of the main branch.
    """

    title: str
    releases: list[str]
    lines: list[Line]
    marks: list[Mark]
    hints: dict[str, str]
    counted: bool = True
    measure: str = ""
    band: Band | None = None
    unreleased: str = ""

    @property
    def newest(self) -> int:
        """The position of the newest release."""
        return len(self.releases) - (2 if self.unreleased else 1)


def draw_staircase(chart: Staircase, size: tuple[int, int], kind: str) -> Markup:
    """Return the chart as an SVG element with the CSS class `wide`, `narrow` or `picture`.

    Only the wide chart contains the hints, because the script of the page reads them there.
    """
    return _Drawing(chart, *size).draw(kind)


class Box(NamedTuple):
    """A rectangle that a label must not hide, or that a label takes."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


class MarkPlace(NamedTuple):
    """The place of the label of a change: its level, the side of the rule, and its ends."""

    level: int
    anchor: str
    left: float
    right: float


class _Drawing:
    """A chart with the coordinates for a given size."""

    def __init__(self, chart: Staircase, width: int, height: int) -> None:
        self.chart, self.width, self.height = chart, width, height
        self.full_height = height + BAND if chart.band else height
        self.step = (width - LEFT) / len(chart.releases)
        self.at = {release: LEFT + i * self.step for i, release in enumerate(chart.releases)}
        ends = [
            end
            for line in chart.lines
            for point in line.points.values()
            for end in point
            if end is not None and end >= SMALLEST
        ]
        high = max(ends, default=10) * (1.3 if chart.counted else 1.1)
        self.places = self.place_marks()
        levels = max((place.level for place in self.places.values()), default=0)
        self.top = TOP + LEVEL * levels
        self.scale = LogScale(min(ends, default=1) / 2, high, height - BOTTOM, self.top)
        self.taken = [box for line in chart.lines for box in self.find_obstacles(line)]

    def y(self, value: float) -> float:
        """Return the coordinate of a value; a value that is not positive is at the bottom."""
        return self.scale(max(value, self.scale.low))

    def draw(self, kind: str) -> Markup:
        """Return the chart. Parts that only make sense visually are hidden from screen readers."""
        plot = [
            *self.draw_axes(),
            *(part for line in self.chart.lines for part in self.draw_series(line)),
        ]
        names = [part for line in self.chart.lines for part in self.draw_label(line)]
        areas = [] if kind == "picture" else self.draw_hints(with_text=kind == "wide")
        header, above = 0, list[Markup]()
        if kind == "picture":
            header, above = HEADER, [text(0, 14 - HEADER, self.chart.measure, class_="measure")]
        return element(
            "svg",
            *above,
            element("g", *plot, aria_hidden="true"),
            *self.draw_marks(),
            element("g", *names, aria_hidden="true"),
            *self.draw_band(),
            element("g", *areas, class_="hints", aria_hidden="true"),
            class_=f"chart {kind}", viewBox=f"0 {-header} {self.width} {self.full_height + header}",
            width=self.width if header else None,
            xmlns="http://www.w3.org/2000/svg", role="group", aria_label=self.chart.title,
        )  # fmt: skip

    def draw_axes(self) -> list[Markup]:
        """Return both axes, with as many releases as there is room for."""
        drawn = []
        for value in self.scale.ticks():
            y = self.y(value)
            drawn.append(line(LEFT, y, self.width, y, class_="grid"))
            drawn.append(
                text(LEFT - 6, y + 4, format_tick(value), class_="tick", text_anchor="end")
            )
        every = -(-6 * LETTER // self.step)
        last = self.chart.newest
        for i, release in enumerate(self.chart.releases[: last + 1]):
            # the newest release always has a label, so leave out the one that would overlap it
            if i == last or (i % every == 0 and last - i >= every):
                x = min(self.at[release] + self.step / 2, self.width - 3 * LETTER)
                y = self.height - BOTTOM + 18
                drawn.append(text(x, y, release, class_="tick", text_anchor="middle"))
        return drawn

    def draw_series(self, line: Line) -> list[Markup]:
        """Return the steps of a series of counts, or the points and ranges of a series of gaps."""
        drawn, corners = [], list[list[tuple[float, float]]]()
        before = ""
        for release in self.chart.releases[: self.chart.newest + 1]:
            if point := line.points.get(release):
                x, y = self.at[release], self.y(point.value)
                if self.chart.counted:
                    if not before:
                        corners.append([])
                    corners[-1] += [(x, y), (x + self.step, y)]
                else:
                    drawn += self.draw_point(x + self.step / 2, y, point, line.colour)
            before = release if point else ""
        steps = " ".join(map(path, corners))
        if steps:
            drawn.append(element("path", d=steps, class_=f"step s{line.colour}"))
        return drawn + self.draw_unreleased(line)

    def draw_unreleased(self, line: Line) -> list[Markup]:
        """Return the dotted step to the count of a build that is no release, with its name."""
        name = self.chart.unreleased
        point = line.points.get(name) if name else None
        if point is None:
            return []
        x, y = self.at[name], self.y(point.value)
        corners = [(x, y), (x + self.step, y)]
        if before := line.points.get(self.chart.releases[self.chart.newest]):
            corners.insert(0, (x, self.y(before.value)))
        return [
            element("path", d=path(corners), class_=f"step unreleased s{line.colour}"),
            text(self.width, y - 8, name, class_=f"name s{line.colour}", text_anchor="end"),
        ]

    def draw_point(self, x: float, y: float, point: Point, colour: int) -> list[Markup]:
        """Return a gap and its range."""
        drawn = [element("circle", cx=x, cy=y, r=3, class_=f"dot s{colour}")]
        if point.low is not None and point.high is not None:
            ends = self.y(point.low), self.y(point.high)
            drawn.append(line(x, ends[0], x, ends[1], class_=f"range s{colour}"))
        return drawn

    def find_obstacles(self, line: Line) -> Iterator[Box]:
        """Yield the areas of the values of a series, which labels should not hide."""
        for release, point in line.points.items():
            if release in self.at:
                y = self.y(point.value)
                yield Box(self.at[release], y - 4, self.at[release] + self.step, y + 4)
        name = self.chart.unreleased
        if before := line.points.get(self.chart.releases[self.chart.newest]) if name else None:
            ends = sorted(self.y(point.value) for point in (before, line.points.get(name, before)))
            yield Box(self.at[name] - 4, ends[0], self.at[name] + 4, ends[1])

    def draw_label(self, line: Line) -> list[Markup]:
        """Return the value of each era as a label, and the name of the series at its longest era.

        A label stands below its line if the value fell, because the plot is empty there, else above
        it; or else in the nearest place where it hides nothing.
        """
        drawn: list[Markup] = []
        if not line.plateaus:
            return drawn
        ends = [(self.at[era.first], self.at[era.last] + self.step) for era in line.plateaus]
        longest = max(range(len(ends)), key=lambda i: ends[i][1] - ends[i][0])
        for i, era in enumerate(line.plateaus):
            y = self.y(era.value)
            fell = i > 0 and era.value < line.plateaus[i - 1].value
            label, name = era.label, line.name if i == longest else ""
            long = len(name + label) * LETTER
            one_row = ends[i][1] - ends[i][0] > long
            rows = [f"{name}: {label}" if name else label] if one_row else [name, label]
            rows = [row for row in rows if row]
            wide = max(map(len, rows)) * LETTER
            x, anchor, top = ends[i][0] + 4, "start", y + 16 if fell else y + 7 - 14 * len(rows)
            # no room: put it left of the step
            if x + wide > self.width - (self.step if self.chart.unreleased else 0):
                x, anchor, top = ends[i][0] - 6, "end", y + 4
            left = x if anchor == "start" else x - wide
            top = self.find_room(left, left + wide, top, len(rows))
            for number, row in enumerate(rows):
                at = top + 14 * number
                drawn.append(text(x, at, row, class_=f"name s{line.colour}", text_anchor=anchor))
        return drawn

    def find_room(self, left: float, right: float, top: float, rows: int) -> float:
        """Return the baseline of a label nearest to the wanted one where it hides least."""

        def box_at(at: float) -> Box:
            return Box(left, at - 11, right, at + 3 + 14 * (rows - 1))

        def hidden_at(at: float) -> float:
            return sum(box_at(at).overlap(other) for other in self.taken)

        lowest = self.height - BOTTOM - 4 - 14 * (rows - 1)
        nearest = sorted((top + 6 * step for step in range(-12, 13)), key=lambda at: abs(at - top))
        inside = [at for at in nearest if self.top + 10 <= at <= lowest]
        best = min(inside, key=hidden_at, default=min(max(top, 12), lowest))
        self.taken.append(box_at(best))
        return best

    def place_marks(self) -> dict[str, MarkPlace]:
        """Return where the label of each change has room: on the first level, or on a second.

        Labels without room are left out; the table of changes has them.
        """
        places: dict[str, MarkPlace] = {}
        free = [0.0, 0.0]  # where a label can begin, by level
        for mark in self.chart.marks:
            if mark.release not in self.at:
                continue
            x = self.at[mark.release]
            long = max(len(" ".join([mark.release, *mark.pulls])), len(mark.label)) * LETTER
            anchor = "start" if x + long < self.width else "end"
            left = x + 5 if anchor == "start" else x - 5 - long
            for level, begin in enumerate(free):
                if left >= begin:
                    free[level] = left + long + GAP
                    places[mark.release] = MarkPlace(level, anchor, left, left + long)
                    break
        return places

    def draw_marks(self) -> list[Markup]:
        """Return a rule and a label for each change."""
        drawn = []
        for mark in self.chart.marks:
            if mark.release not in self.at:
                continue
            x = self.at[mark.release]
            drawn.append(line(x, 6, x, self.height - BOTTOM, class_="rule", aria_hidden="true"))
            place = self.places.get(mark.release)
            if place is None:
                continue
            at = place.left if place.anchor == "start" else place.right
            y = 16 + LEVEL * place.level
            pulls = [
                part
                for name, address in mark.pulls.items()
                for part in (" ", element("a", name, href=address))
            ]
            first = element("tspan", mark.release, class_="release")
            drawn.append(
                element("text", first, *pulls, x=at, y=y, class_="mark", text_anchor=place.anchor)
            )
            drawn.append(text(at, y + 16, mark.label, class_="mark", text_anchor=place.anchor))
        return drawn

    def draw_band(self) -> list[Markup]:
        """Return the band with its heading, or nothing if the chart has none."""
        if self.chart.band is None:
            return []
        top = self.full_height - SEGMENT
        drawn = [text(LEFT, top - 7, self.chart.band.heading, class_="tick")]
        for segment in self.chart.band.segments:
            left, right = self.at[segment.first], self.at[segment.last] + self.step
            drawn.append(
                element(
                    "rect", x=left + 0.5, y=top + 0.5, width=right - left - 1, height=SEGMENT - 1,
                    class_=f"segment {segment.kind}",
                )
            )  # fmt: skip
            room = right - left - 4
            label = next((each for each in segment.labels if len(each) * LETTER <= room), "")
            middle = (left + right) / 2
            drawn.append(text(middle, top + 13, label, class_=segment.kind, text_anchor="middle"))
        return [element("g", *drawn, class_="band", aria_hidden="true")]

    def draw_hints(self, *, with_text: bool) -> list[Markup]:
        """Return an area for each release, which shows its numbers under a pointer."""
        high = self.height - self.top - BOTTOM
        return [
            element(
                "rect",
                *([element("title", self.chart.hints[release])] if with_text else []),
                x=x, y=self.top, width=self.step, height=high,
            )
            for release, x in self.at.items()
        ]  # fmt: skip

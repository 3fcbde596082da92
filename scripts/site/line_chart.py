"""A chart with both axes logarithmic: a line for each series, and a threshold."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from scripts.site.charts import COLOURS
from scripts.site.svg import LogScale, element, format_tick, line, path, text

WIDE, NARROW = (1120, 380), (360, 330)
TOP, BOTTOM, LEFT = 26, 44, 52  # margins for the title of the y axis, the x axis and the scale
ROW = 15  # minimum distance of two labels
LETTER = 7.2  # maximum width of a letter of the labels


class Curve(NamedTuple):
    """A line of the chart: its name, and points of two positive numbers."""

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class LineChart:
    """The content of a chart, independent of its size.

    Attributes:
        caption: the text below it: what was measured, where and how.
        x_title, y_title: the quantities, with their units.
        curves: one for each line.
        threshold: a value of y with a line of its own, and its label.
    """

    caption: str
    x_title: str
    y_title: str
    curves: list[Curve]
    threshold: tuple[float, str]

    @property
    def title(self) -> str:
        """The description for screen readers, with every value."""
        values = "; ".join(
            f"{curve.name}: " + ", ".join(f"{y:g} at {x:,.0f}" for x, y in curve.points)
            for curve in self.curves
        )
        value, label = self.threshold
        return f"{self.y_title} by {self.x_title}. {label}: {value:g}. {values}."


def draw_line_chart(chart: LineChart, size: tuple[int, int], kind: str) -> Markup:
    """Return the chart as an SVG element with the CSS class `wide` or `narrow`."""
    return _Drawing(chart, *size).draw(kind)


class _Drawing:
    """A chart with the coordinates for a given size."""

    def __init__(self, chart: LineChart, width: int, height: int) -> None:
        self.chart, self.width, self.height = chart, width, height
        longest = max(len(curve.name) for curve in chart.curves) * LETTER
        self.has_legend = longest > width / 3  # names at the ends would hide the lines
        self.top = TOP + ROW * len(chart.curves) * self.has_legend
        all_points = [point for curve in chart.curves for point in curve.points]
        xs = [x for x, _ in all_points]
        ys = [y for _, y in all_points] + [chart.threshold[0]]
        self.x = LogScale(min(xs) / 1.1, max(xs) * 1.1, LEFT, width)
        self.y = LogScale(min(ys) / 1.5, max(ys) * 1.5, height - BOTTOM, self.top)

    def draw(self, kind: str) -> Markup:
        parts = [*self.draw_axes(), *self.draw_threshold()]
        for number, curve in enumerate(self.chart.curves):
            parts += self.draw_curve(curve, number % COLOURS)
        parts += self.draw_legend() if self.has_legend else self.draw_names()
        return element(
            "svg",
            element("g", *parts, aria_hidden="true"),
            class_=f"chart {kind}", viewBox=f"0 0 {self.width} {self.height}",
            xmlns="http://www.w3.org/2000/svg", role="img", aria_label=self.chart.title,
        )  # fmt: skip

    def draw_axes(self) -> list[Markup]:
        drawn = [
            text(0, 14, self.chart.y_title, class_="tick"),
            text(self.width, self.height - 6, self.chart.x_title, class_="tick", text_anchor="end"),
        ]
        for value in powers(self.y):
            y = self.y(value)
            drawn.append(line(LEFT, y, self.width, y, class_="grid"))
            drawn.append(
                text(LEFT - 6, y + 4, format_tick(value), class_="tick", text_anchor="end")
            )
        for value in powers(self.x):
            x = self.x(value)
            drawn.append(line(x, self.top, x, self.height - BOTTOM, class_="grid"))
            label = format_tick(value)
            at = min(x, self.width - len(label) * LETTER / 2)
            y = self.height - BOTTOM + 17
            drawn.append(text(at, y, label, class_="tick", text_anchor="middle"))
        return drawn

    def draw_threshold(self) -> list[Markup]:
        """Return the line of the threshold, with its label at the end where no curve is near."""
        value, label = self.chart.threshold
        y = self.y(value)
        width = len(label) * LETTER
        places = {"start": (LEFT + 4, LEFT + 4 + width), "end": (self.width - width, self.width)}
        anchor = max(places, key=lambda name: self.find_distance(*places[name], y - 9))
        at = places[anchor][0 if anchor == "start" else 1]
        return [
            line(LEFT, y, self.width, y, class_="rule"),
            text(at, y - 5, label, class_="tick halo", text_anchor=anchor),
        ]

    def find_distance(self, left: float, right: float, y: float) -> float:
        """Return the vertical distance of a label from the nearest curve."""
        distances = [float(self.height)]
        for curve in self.chart.curves:
            at = [(self.x(x), self.y(value)) for x, value in curve.points]
            for (x1, y1), (x2, y2) in itertools.pairwise(at):
                for x in (left, (left + right) / 2, right, x1, x2):
                    if x1 <= x <= x2 and left <= x <= right:
                        share = (x - x1) / (x2 - x1)
                        distances.append(abs(y1 + share * (y2 - y1) - y))
        return min(distances)

    def draw_curve(self, curve: Curve, colour: int) -> list[Markup]:
        at = [(self.x(x), self.y(y)) for x, y in curve.points]
        dots = [element("circle", cx=x, cy=y, r=3, class_=f"dot s{colour}") for x, y in at]
        return [element("path", d=path(at), class_=f"step s{colour}"), *dots]

    def draw_legend(self) -> list[Markup]:
        """Return the names above the plot, in the order of the last points."""
        numbered = enumerate(self.chart.curves)
        ordered = sorted(numbered, key=lambda pair: pair[1].points[-1][1], reverse=True)
        return [
            text(0, TOP + ROW * row + 4, curve.name, class_=f"name s{number % COLOURS}")
            for row, (number, curve) in enumerate(ordered)
        ]

    def draw_names(self) -> list[Markup]:
        """Return the name of each curve above its last point, moved up where it would hide one."""
        ends = [
            (self.y(curve.points[-1][1]), self.x(curve.points[-1][0]), number, curve.name)
            for number, curve in enumerate(self.chart.curves)
        ]
        drawn, free = [], float(self.height)
        for y, x, number, name in sorted(ends, reverse=True):
            at = max(min(y - 9, free), self.top + 10)
            free = at - ROW
            right = max(x, LEFT + len(name) * LETTER)
            drawn.append(
                text(right, at, name, class_=f"name s{number % COLOURS}", text_anchor="end")
            )
        return drawn


def powers(scale: LogScale) -> list[float]:
    """Return the powers of ten on a scale, or its usual ticks if there are fewer than two."""
    ticks = list(scale.ticks())
    tens = [value for value in ticks if format_tick(value).lstrip("0.").rstrip("0kMG") == "1"]
    return tens if len(tens) > 1 else ticks

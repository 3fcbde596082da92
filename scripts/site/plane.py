"""The plane of all loads: the advice by modules loaded and FDEs per module."""

from collections.abc import Sequence

from markupsafe import Markup

from scripts.cost import model
from scripts.cost.advice import THRESHOLD, Load
from scripts.cost.model import unload
from scripts.releases.pins import Registration
from scripts.site.svg import LogScale, element, format_tick, line, path, text

WIDTH, HEIGHT = 400, 330
LEFT, TOP, BOTTOM = 46, 12, 46
X = LogScale(1, 100_000, LEFT, WIDTH - 8)
Y = LogScale(1, 100_000, HEIGHT - BOTTOM, TOP)


def draw_plane(registration: Registration, title: str, loads: Sequence[tuple[Load, str]]) -> Markup:
    """Return the plane for one kind of registration, with example loads as labelled points."""
    slow, fast = (contour(registration, nanoseconds) for nanoseconds in model.ENTRY_NS[::-1])
    below = [*slow, (X.start, Y.start), (X.end, Y.start)]
    above = [*fast, (X.start, Y.end), (X.end, Y.end)]
    areas = [
        element("path", d=path(below) + "Z", class_="area keep"),
        element("path", d=path(above) + "Z", class_="area off"),
        element("path", d=path([*slow, *fast[::-1]]) + "Z", class_="area either"),
        *(
            element("path", d=path(drop_edge_points(points)), class_="contour")
            for points in (slow, fast)
        ),
    ]
    grid = []
    for value in X.ticks():
        x = X(value)
        grid.append(line(x, Y.start, x, Y.end, class_="grid"))
        grid.append(text(x, Y.start + 16, format_tick(value), class_="tick", text_anchor="middle"))
    for value in Y.ticks():
        y = Y(value)
        grid.append(line(X.start, y, X.end, y, class_="grid"))
        grid.append(text(X.start - 6, y + 4, format_tick(value), class_="tick", text_anchor="end"))
    axis = text(
        (X.start + X.end) / 2, HEIGHT - 8, "modules loaded", class_="axis", text_anchor="middle"
    )
    fdes = text(
        -(Y.start + Y.end) / 2,
        11,
        "FDEs per module",
        class_="axis",
        text_anchor="middle",
        transform="rotate(-90)",
    )
    names = [
        text(X(1.5), Y(1.6), "keep it", class_="verdict"),
        text(X(70_000), Y(50_000), "turn it off", class_="verdict", text_anchor="end"),
    ]
    dots = []
    for load, name in loads:
        x, y = X(load.modules), Y(load.fdes)
        dots.append(element("circle", cx=x, cy=y, r=3.5, class_="load"))
        dots.append(text(x + 7, y + 4, name, class_="load"))
    return element(
        "svg", *areas, *grid, axis, fdes, *names, *dots,
        element("circle", class_="yours", r=6, cx=0, cy=0, visibility="hidden"),
        class_="plane", viewBox=f"0 0 {WIDTH} {HEIGHT}", xmlns="http://www.w3.org/2000/svg",
        role="img", aria_label=title, data_frame=f"{X.start} {X.end} {Y.start} {Y.end}",
        data_sections=str(registration is Registration.SECTIONS).lower(),
    )  # fmt: skip


def contour(registration: Registration, nanoseconds: float) -> list[tuple[float, float]]:
    """Return the points at which unloading a module costs the threshold, from right to left.

    Points outside the plot are moved to its edge.
    """
    points = []
    for i in range(101):
        modules = X.high ** (1 - i / 100)
        fdes = solve_fdes(registration, modules, THRESHOLD * 1e6 / nanoseconds)
        points.append((X(modules), Y(min(max(fdes, Y.low), Y.high))))
    return points


def drop_edge_points(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of a contour without those on the lower and upper edge of the plot."""
    return [point for point in points if point[1] not in (Y.start, Y.end)]


def solve_fdes(registration: Registration, modules: float, entries: float) -> float:
    """Find the FDEs per module at which unloading a module scans the given number of entries."""
    low, high = 0.0, 1e9
    for _ in range(80):
        middle = (low + high) / 2
        if unload(modules, middle, registration).entries < entries:
            low = middle
        else:
            high = middle
    return high

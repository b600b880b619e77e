#!/usr/bin/env python3
"""Draws what hack/beside.sh recorded: for each file beside-NAME.json a picture beside-NAME.svg, the native HPA on the left
and Homeostat on the right, with the time in which replicas failed.

    hack/curves.py docs/data/beside-l?.json docs/img

Every number in a picture is from its file. The colours follow the reader's light or dark theme.
"""
import html
import json
import math
import pathlib
import sys

SIDES = (("stock", "native HPA and metrics-server"), ("homeostat", "Homeostat"))
WIDTH, HEIGHT = 880, 372
LEFT, GAP, TOP, PANEL_HEIGHT = 44, 40, 92, 196
PANEL_WIDTH = (WIDTH - LEFT - GAP - 20) / 2
BEFORE = 30  # seconds shown before the failure
STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; font-size: 13px; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 } .name { font-weight: 600 } .faint { fill: #59636e; font-size: 12px }
.paper { fill: #ffffff } .axis { stroke: #818b98 } .grid { stroke: #d1d9e0; stroke-width: 1 }
.failing { fill: #cf222e; fill-opacity: .09 } .moment { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 4 3; fill: none }
.ready { fill: #57606a; fill-opacity: .25 }
.asked { fill: none; stroke-width: 3; stroke-linejoin: round } .stock { stroke: #bc4c00 } .homeostat { stroke: #0969da }
.says-stock { fill: #bc4c00; font-weight: 600 } .says-homeostat { fill: #0969da; font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .faint { fill: #9198a1 } .paper { fill: #0d1117 } .axis { stroke: #656c76 } .grid { stroke: #262c36 }
.failing { fill: #f85149; fill-opacity: .14 } .moment { stroke: #f85149 } .ready { fill: #9198a1; fill-opacity: .3 }
.stock { stroke: #f0883e } .homeostat { stroke: #58a6ff } .says-stock { fill: #f0883e } .says-homeostat { fill: #58a6ff }
}"""


def steps(points, key, begin, end):
    """The corners of a step curve within the shown time."""
    value = points[0][key]
    for p in points:
        if p["t"] <= begin:
            value = p[key]
    yield begin, value
    for p in points:
        if begin < p["t"] <= end and p[key] != value:
            yield p["t"], value
            value = p[key]
            yield p["t"], value
    yield end, value


def at(points, t):
    """The number of replicas asked for at a time."""
    value = points[0]["replicas"]
    for p in points:
        if p["t"] <= t:
            value = p["replicas"]
    return value


def text(x, y, words, of="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{of}" text-anchor="{anchor}">{html.escape(words)}</text>'


class Panel:
    """One side of a story."""

    def __init__(self, left, story, by):
        self.left, self.story, self.by = left, story, by
        self.points = story["curves"][by]["points"]
        self.end = max(p["t"] for side in story["curves"].values() for p in side["points"] + side.get("said", []))
        self.top = max(p[k] for side in story["curves"].values() for p in side["points"] for k in ("replicas", "ready"))

    def x(self, t):
        return self.left + (t + BEFORE) / (self.end + BEFORE) * PANEL_WIDTH

    def y(self, n):
        return TOP + PANEL_HEIGHT * (1 - n / (self.top + 0.6))

    def frame(self):
        for n in range(self.top + 1):
            yield f'<line class="{"grid" if n else "axis"}" x1="{self.left}" x2="{self.left + PANEL_WIDTH:.1f}" y1="{self.y(n):.1f}" y2="{self.y(n):.1f}"/>'
            yield text(self.left - 8, self.y(n) + 4, str(n), "faint", "end")
        for t in range(0, math.floor(self.end) + 1, 60):
            yield text(self.x(t), TOP + PANEL_HEIGHT + 18, f"{t} s", "faint", "middle")

    def failure(self):
        broke, mended = (m["t"] for m in self.story["marks"])
        names = [m["text"] for m in self.story["marks"]]
        yield (
            f'<rect class="failing" x="{self.x(broke):.1f}" y="{TOP}" width="{self.x(mended) - self.x(broke):.1f}" height="{PANEL_HEIGHT}"/>'
            f'<path class="moment" d="M{self.x(broke):.1f} {TOP - 6}V{TOP + PANEL_HEIGHT}M{self.x(mended):.1f} {TOP - 6}V{TOP + PANEL_HEIGHT}"/>'
        )
        yield text(self.x(broke), TOP - 11, names[0], "faint", "middle")
        yield text(self.x(mended), TOP - 11, names[1], "faint", "middle")

    def curves(self):
        path = " L".join(f"{self.x(t):.1f} {self.y(n):.1f}" for t, n in steps(self.points, "ready", -BEFORE, self.end))
        yield f'<path class="ready" d="M{self.left} {self.y(0):.1f} L{path} L{self.x(self.end):.1f} {self.y(0):.1f} Z"/>'
        path = " L".join(f"{self.x(t):.1f} {self.y(n):.1f}" for t, n in steps(self.points, "replicas", -BEFORE, self.end))
        yield f'<path class="asked {self.by}" d="M{path}"/>'

    def verdict(self):
        broke, mended = (m["t"] for m in self.story["marks"])
        start = at(self.points, broke)
        times = [broke] + [p["t"] for p in self.points if broke < p["t"] < mended]
        least = min(at(self.points, t) for t in times)
        if least >= start:
            return text(self.x(broke) + 10, self.y(start) + 20, f"stays at {start}", f"says-{self.by}")
        when = next(t for t in times if at(self.points, t) == least)
        return text(self.x(when) + 10, self.y(least) + 20, f"down to {least} after {when - broke:.0f} s", f"says-{self.by}")


def svg(story):
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
    yield f'<title>{html.escape(story["title"])}: replicas asked for by the native HPA and by Homeostat</title><style>{STYLE}</style>'
    yield f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    yield text(20, 30, story["title"], "title")
    for i, (by, name) in enumerate(SIDES):
        panel = Panel(LEFT + i * (PANEL_WIDTH + GAP), story, by)
        yield text(panel.left, 58, name, "name")
        yield from panel.frame()
        yield from panel.failure()
        yield from panel.curves()
        yield panel.verdict()
    y = HEIGHT - 34
    yield f'<path class="asked stock" d="M{LEFT} {y - 4}h20"/><path class="asked homeostat" d="M{LEFT + 24} {y - 4}h20"/>' + text(LEFT + 52, y, "replicas asked for")
    yield f'<rect class="ready" x="{LEFT + 200}" y="{y - 11}" width="20" height="13"/>' + text(LEFT + 228, y, "replicas ready")
    yield text(LEFT, HEIGHT - 12, f'{story["metric"]}, {story["min"]} to {story["max"]} replicas, no stabilization on the way down; Kubernetes {story["kubernetes"]}, {story["recorded"]}', "faint")
    yield "</svg>"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for name in sys.argv[1:-1]:
        source = pathlib.Path(name)
        story = json.loads(source.read_text(encoding="utf-8"))
        target = pathlib.Path(sys.argv[-1]) / (source.stem + ".svg")
        target.write_text("\n".join(svg(story)) + "\n", encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main()

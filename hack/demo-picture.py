#!/usr/bin/env python3
"""Turns the recorded output of a real `homeostat demo` into docs/img/demo-local.txt and docs/img/demo-local.svg.

    script -qec 'go run ./cmd/homeostat demo' /tmp/demo.typescript
    hack/demo-picture.py /tmp/demo.typescript

The colours are those of the terminal codes; nothing is added to the text.
"""
import html
import pathlib
import re
import sys

COLOURS = {"1": "#ffffff", "2": "#8b949e", "31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
PLAIN, BACKGROUND = "#d0d7de", "#0d1117"
CHARACTER, LINE, MARGIN = 7.83, 18, 20  # of a monospace font at 13 px
NO_BREAK = "\u00a0"  # browsers fold ordinary spaces in a picture
CODE = re.compile(r"\x1b\[(\d+)m")


def lines_of(path):
    lines = pathlib.Path(path).read_text(encoding="utf-8").replace("\r", "").split("\n")
    lines = [s for s in lines if not s.startswith(("Script started on", "Script done on"))]
    return "\n".join(lines).strip("\n").split("\n")


def spans(line):
    """The pieces of a line: column, text, colour, whether it is bold."""
    column, code, at = 0, "0", 0
    for m in [*CODE.finditer(line), None]:
        text = line[at : m.start() if m else len(line)]
        # Several blanks in a row are columns, and browsers make one of them: each column is a piece of its own.
        for piece in re.finditer(r"\S+(?: \S+)*", text):
            yield column + piece.start(), piece.group(), COLOURS.get(code, PLAIN), code == "1"
        column += len(text)
        if m:
            code, at = m.group(1), m.end()


def svg(lines):
    columns = max(len(CODE.sub("", s)) for s in lines)
    width, height = round(columns * CHARACTER + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    yield "<title>Output of homeostat demo</title>"
    yield f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>'
    yield '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="13">'
    for row, line in enumerate(lines):
        y = MARGIN + row * LINE + 13
        for column, text, colour, bold in spans(line):
            weight = ' font-weight="bold"' if bold else ""
            yield (
                f'<text x="{MARGIN + column * CHARACTER:.1f}" y="{y}" fill="{colour}"{weight} '
                f'textLength="{len(text) * CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(text).replace(" ", NO_BREAK)}</text>'
            )
    yield "</g></svg>"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lines = lines_of(sys.argv[1])
    folder = pathlib.Path(__file__).resolve().parent.parent / "docs" / "img"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo-local.txt").write_text("\n".join(CODE.sub("", s) for s in lines) + "\n", encoding="utf-8")
    (folder / "demo-local.svg").write_text("\n".join(svg(lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

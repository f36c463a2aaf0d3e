"""The report as one HTML file that needs nothing from anywhere: the page of `page/` and the data in it.

What a page shows, and how, is said in `page/` alone; the live page is the same files, served. Without scripts a
browser shows the report's text.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from triton_users.report.text import printable, render_text, title_of
from triton_users.report.view import whole

PAGE = Path(__file__).parent / "page"
"""The page's files, as they are served to the live page."""

_STYLE = re.compile(r'<link rel="stylesheet" href="(.+?)">')
_SCRIPT = re.compile(r'<script( type="module")? src="(.+?)"></script>')
_IMPORT = re.compile(r'^import .*? from "\./(.+?)";\n', re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_LIVE, _WHOLE = "live.js", "whole.js"
"""What starts the page where it is served, and where everything is in it."""


def render_html(report: dict[str, Any]) -> str:
    """The whole file."""
    headline = title_of(report)
    return inlined(f"{headline} - Triton stress report", {**whole(report), "headline": headline}, render_text(report))


def inlined(title: str, data: dict[str, Any], text: str, name: str = "page.html") -> str:
    """The page of this name with its files and `data` in it; `text` is for a browser without scripts."""
    page = _page(name)
    # In a script element only "<" could end the data early; JSON may write it as an escape anywhere it can stand.
    shown = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"{page.until_title}<title>{escape(printable(title))}</title>{page.until_body}<body>\n"
        f"<noscript><pre>{escape(text)}</pre></noscript>"
        f'{page.body}<script type="application/json" id="data">{shown}</script>\n</body>\n</html>\n'
    )


@dataclass(frozen=True)
class _Page:
    """The page in one piece, but for what differs from run to run."""

    until_title: str
    until_body: str
    body: str


@cache
def _page(name: str) -> _Page:
    hashes: dict[str, list[str]] = {"style": [], "script": []}

    def element(kind: str, attributes: str, content: str) -> str:
        if f"</{kind}" in content:
            raise ValueError(f"a {kind} of the page would end early: it has </{kind} in it")
        hashes[kind].append(f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'")
        return f"<{kind}{attributes}>{content}</{kind}>"

    def style(match: re.Match[str]) -> str:
        return element("style", "", _file(match[1]))

    def script(match: re.Match[str]) -> str:
        if not match[1]:
            return element("script", "", _file(match[2]))
        return element("script", match[1], _bundle(_WHOLE if match[2] == _LIVE else match[2]))

    head, _, body = _file(name).partition("<body>")
    until_title, until_body = re.split("<title>.*</title>", head)
    until_body = _SCRIPT.sub(script, _STYLE.sub(style, until_body))
    policy = f"default-src 'none'; style-src {' '.join(hashes['style'])}; script-src {' '.join(hashes['script'])}; "
    policy += "img-src data:; base-uri 'none'; form-action 'none'"
    licence = (
        f"<!-- The chart library in this file is uPlot:\n{_file('uplot/LICENSE')}\n-->\n" if "uPlot" in head else ""
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    return _Page(until_title + meta, licence + until_body, body.partition("</body>")[0])


def _bundle(name: str) -> str:
    """A module and what it imports as one module: their names are all different, so the imports can go."""
    order: list[str] = []

    def visit(module: str) -> None:
        if module not in order:
            for imported in _IMPORT.findall(_file(module)):
                visit(imported)
            order.append(module)

    visit(name)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _file(module))) for module in order)


def _file(name: str) -> str:
    return (PAGE / name).read_text("utf-8")

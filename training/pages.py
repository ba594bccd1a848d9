"""Self-contained HTML pages of one look: nothing is loaded, light and dark, readable on a phone.

Every text is escaped, unless it is `Html` already:

>>> table(["comment", "score"], [["<b>", score_text(0.5, 0.4, 0.6)]], numbers={1}).count("&lt;b&gt;")
1
"""

import html
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

TONES = ("none", "warn", "alert")
FEW_COLUMNS = 3
"""Columns that fit a phone."""


class Html(str):
    """Text that is HTML already, and is not escaped again."""


def markup(value: object) -> Html:
    """HTML that shows `value`: as it is if it is `Html`, else escaped.

    >>> markup("a < b"), markup(Html("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def page(
    title: str,
    heading: str,
    summary: str,
    sections: Iterable[Html],
    *,
    about: str,
    tone: str = "none",
    footer: str = "",
) -> str:
    """Render a page.

    Parameters
    ----------
    title, heading
        The name of the tab, and the first line that is read.
    summary
        The result in a sentence or two, beneath the heading.
    sections
        Made by `section`.
    about
        A few quiet words above the heading: what the page is about. The time is added.
    tone
        One of `TONES`, the colour beside the heading.
    footer
        The small print.
    """
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{markup(title)}</title><style>{STYLE}</style></head><body>
<header class="{tone}"><p>{markup(about)}, {datetime.now(UTC):%d %B %Y %H:%M} UTC</p>
<h1>{markup(heading)}</h1><p class="summary">{markup(summary)}</p></header>
{body}
{f"<footer>{markup(footer)}</footer>" if footer else ""}
</body></html>
"""


def section(heading: str, *content: object) -> Html:
    """A section with its heading; each piece of content is `Html` or the text of a paragraph."""
    pieces = (piece if isinstance(piece, Html) else f"<p>{markup(piece)}</p>" for piece in content)
    return Html(f"<section><h2>{markup(heading)}</h2>{''.join(pieces)}</section>")


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], numbers: Collection[int] = ()) -> Html:
    """A table that scrolls sideways where it is too wide; the columns at the places in `numbers` never wrap."""
    head = "".join(f"<th{_class(place, numbers)}>{markup(name)}</th>" for place, name in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(f'<td{_class(place, numbers)}>{markup(cell)}</td>' for place, cell in enumerate(row))}</tr>"
        for row in rows
    )
    few = ' class="few"' if len(heads) <= FEW_COLUMNS else ""
    return Html(f'<div class="wide"><table{few}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def marked(text: object, tone: str) -> Html:
    """Bold text in the colour of a tone."""
    return Html(f'<b class="{tone}">{markup(text)}</b>')


def coloured(text: object, tone: str) -> Html:
    """Text in the colour of a tone."""
    return Html(f'<span class="{tone}">{markup(text)}</span>')


def score_text(value: float, low: float, high: float) -> str:
    """A score and its interval.

    >>> score_text(0.75, 0.7, 0.8)
    '0.750 [0.700, 0.800]'
    """
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _class(place: int, numbers: Collection[int]) -> str:
    return ' class="n"' if place in numbers else ""


STYLE = """
:root{color-scheme:light dark;--text:#0f172a;--quiet:#475569;--line:#e2e8f0;--page:#fff;--none:#2563eb;--warn:#b45309;--alert:#b91c1c}
@media(prefers-color-scheme:dark){
:root{--text:#e2e8f0;--quiet:#94a3b8;--line:#334155;--page:#0f172a;--none:#60a5fa;--warn:#fbbf24;--alert:#f87171}
svg{filter:invert(1) hue-rotate(180deg)}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:64rem;margin:0 auto;padding:1.5rem}
header{border-left:6px solid var(--none);padding:.2rem 0 .2rem 1.2rem;margin-bottom:2rem}
header.warn{border-color:var(--warn)}header.alert{border-color:var(--alert)}
header p{margin:.2rem 0;color:var(--quiet)}header .summary{font-size:1.1rem;color:var(--text)}h1{margin:0;font-size:1.8rem}
h2{font-size:1.15rem;margin:2rem 0 .6rem}section>p{color:var(--quiet);font-size:.9rem;max-width:48rem}
.wide{overflow-x:auto}.wide+.wide{margin-top:1.2rem}table{border-collapse:collapse;width:100%;min-width:40rem;font-size:.86rem}table.few{min-width:0}
th{text-align:left;color:var(--quiet);font-weight:600}
td,th{padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums}
b.none{color:var(--none)}.warn:not(header){color:var(--warn)}.alert:not(header){color:var(--alert)}
svg{max-width:100%;height:auto}.plots{display:flex;flex-wrap:wrap;gap:.4rem 1rem}figure{margin:0;max-width:100%}
footer{margin-top:2.5rem;color:var(--quiet);font-size:.82rem;border-top:1px solid var(--line);padding-top:.8rem}
"""

"""How the style of a mail gets to its elements: once for each template, when it is loaded, and not for each mail.

Mail programs drop <style>, so what matters stands at the elements. Which style an element has is decided by the
template alone, never by what a mail says. So the tags of Jinja are set aside, the CSS is moved to the elements of
what is left, and the tags are put back.
"""

import re
from collections.abc import Callable
from typing import Final

import css_inline
from jinja2 import Environment, PackageLoader

FRAME: Final = "frame.html.jinja"
PARTS: Final = "parts.html.jinja"
CSS: Final = "mail.css.jinja"
# Where the frame wants what must stay a style sheet: narrow screens, and the night.
STYLE: Final = "{{ style }}"

_inliner: Final = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_MARK: Final = re.compile(r"<!--jinja(\d+)x-->|jinja(\d+)x")


class StyledTemplates(PackageLoader):
    """The templates of a package; frame and parts of HTML come with their style at the elements."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, path, up_to_date = super().get_source(environment, template)
        if template in (FRAME, PARTS):
            css, *_ = super().get_source(environment, CSS)
            source = style_frame(source, css) if template == FRAME else style_parts(source, css)
        return source, path, up_to_date


def style_frame(source: str, css: str) -> str:
    """The template of a whole page with its style at the elements; at-rules stay in its <style>."""
    return _style(source, css, lambda html, sheet, place: _inliner.inline(html.replace(place, sheet)))


def style_parts(source: str, css: str) -> str:
    """As style_frame, for a template of macros, whose elements stand alone."""
    return _style(source, css, lambda html, sheet, _: _inliner.inline_fragment(html, sheet))


def _style(source: str, css: str, move: Callable[[str, str, str], str]) -> str:
    tags: list[str] = []
    html = _set_aside(source, tags)
    own = len(tags)
    sheet = _set_aside(css, tags)
    place = _word(tags.index(STYLE)) if STYLE in tags else ""
    styled = move(html, sheet, place)
    order = [number for found in _MARK.finditer(styled) if (number := int(found[1] or found[2])) < own]
    if order != [number for number in range(own) if _word(number) != place]:
        # HTML moves what stands in the wrong place of a table, and a tag would then be about something else.
        raise ValueError("a template of mails has a tag where HTML can have none")
    return _MARK.sub(lambda found: tags[int(found[1] or found[2])], styled)


def _set_aside(source: str, tags: list[str]) -> str:
    """What prints becomes a word, what decides a comment: either may stand where the tag stands."""

    def mark(found: re.Match[str]) -> str:
        tags.append(found[0])
        word = _word(len(tags) - 1)
        return word if found[0].startswith("{{") else f"<!--{word}-->"

    return _TAG.sub(mark, source)


def _word(number: int) -> str:
    return f"jinja{number}x"

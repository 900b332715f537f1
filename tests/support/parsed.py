"""A page, taken apart."""

from __future__ import annotations

from html.parser import HTMLParser

EVIL = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}"
"""Text of somebody else that would like to be part of a page."""


class Parsed(HTMLParser):
    """Tags, identifiers, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(told)
        self.ids += [told["id"]] if told.get("id") else []
        self.links += [v for k, v in told.items() if k in ("href", "src") and v]

    def handle_data(self, data: str) -> None:
        self.said += data

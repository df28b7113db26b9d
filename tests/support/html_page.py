# SPDX-License-Identifier: Apache-2.0
"""A page for operators, read as a browser would."""

import re
from collections import Counter
from html.parser import HTMLParser


class Reading(HTMLParser):
    """What a page is made of; complains of tags that do not match and of scripts within."""

    VOID = frozenset({"input", "meta", "link", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.complaints: list[str] = []
        self.identities: list[str] = []
        self.count: Counter[str] = Counter()
        self.text = ""
        self.feed(text)
        self.complaints += [f"{tag} stays open" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] += 1
        given = dict(attrs)
        self.identities += [value for name, value in attrs if name == "id" and value]
        if tag == "script" and set(given) != {"src", "defer"}:
            self.complaints.append("a script within the page")
        self.complaints += [f"{name} on {tag}" for name in given if re.match("on|style", name)]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.complaints.append(f"{tag} ends what it did not begin")

    def handle_data(self, data: str) -> None:
        self.text += data

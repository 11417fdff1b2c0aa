"""Words of texts that no index holds, split as Elasticsearch's standard analyzer splits what history indexes.

Lanes index no payloads, so what live instances hold is looked through here. The splitting follows Unicode's rules for
words as far as payloads go: letters and digits belong together, so do parts of names and numbers with a dot, an
apostrophe or a colon inside. Scripts without spaces are split more finely there than here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_WORD = re.compile(r"\w+(?:(?:(?<=[^\W\d_])['.:’·](?=[^\W\d_])|(?<=\d)[.,;'’](?=\d))\w+)*")
_LINE_BREAKS = ("\\n", "\\t", "\\r")


def words_of(text: str) -> set[str]:
    """The distinct words of a text, in small letters."""
    return {word.lower() for word in _WORD.findall(text)}


def payload_words(value: Any) -> set[str]:
    """The words of a payload as history would index it: its JSON text, keys included, line breaks real."""
    if value is None:
        return set()
    text = msgspec.json.encode(value).decode()
    found = words_of(text)
    if any(one in text for one in _LINE_BREAKS):
        for one in _LINE_BREAKS:
            text = text.replace(one, " ")
        found |= words_of(text)
    return found

"""The methods that templates may call on texts, lists and mappings: Python's own, in so far as they can be bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..words import kind
from .meter import Meter
from .operations import joined, present, ranged, text_of

Function = Callable[..., Any]
_PADDING_MAX = 10_000


class Callee:
    """Something that a template may call: a function of ours with the value it belongs to. Only `call` runs it."""

    __slots__ = ("_function", "_owner", "name")

    def __init__(self, name: str, function: Function, *owner: Any) -> None:
        self.name = name
        self._function = function
        self._owner = owner

    def call(self, meter: Meter, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Raises: TypeError with one sentence when the arguments do not fit."""
        for value in (*args, *kwargs.values()):
            present(value)
        try:
            return self._function(meter, *self._owner, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {_sentence(error)}") from None


def method(value: Any, name: str) -> Callee | None:
    """The method of that name, if values of this kind have it."""
    if isinstance(value, str):
        function = _TEXT.get(name)
    elif isinstance(value, list | tuple):
        function = _LIST.get(name)
    elif isinstance(value, Mapping):
        function = _MAPPING.get(name)
    else:
        function = None
    return None if function is None else Callee(name, function, value)


RANGE = Callee("range", ranged)


def _sentence(error: TypeError) -> str:
    """Python's words about wrong arguments, without the name of our function."""
    text = str(error)
    return text.split("() ", 1)[1] if "() " in text else text


def _text(name: str) -> Function:
    """A method of `str` whose result is not larger than the text and its arguments."""
    function = getattr(str, name)

    def call(meter: Meter, owner: str, *args: Any, **kwargs: Any) -> Any:
        meter.text(len(owner))
        result = function(owner, *args, **kwargs)
        if isinstance(result, list):
            meter.charge(len(result))
        return result

    return call


def _padded(name: str) -> Function:
    function = getattr(str, name)

    def call(meter: Meter, owner: str, width: Any, *fill: Any) -> Any:
        if not isinstance(width, int) or width > _PADDING_MAX:
            found = width if isinstance(width, int) else kind(width)
            raise TypeError(f"a width is an integer up to {_PADDING_MAX}, not {found}")
        meter.text(max(len(owner), width))
        return function(owner, width, *fill)

    return call


def replaced(meter: Meter, owner: str, old: Any, new: Any, count: Any = -1) -> str:
    """`owner` with `old` replaced by `new`; the length of the result is paid for before it is made."""
    if not (isinstance(old, str) and isinstance(new, str) and isinstance(count, int)):
        raise TypeError("it takes two texts, and how often")
    meter.text(len(owner))
    found = owner.count(old) if count < 0 else min(owner.count(old), count)
    meter.text(len(owner) + found * max(0, len(new) - len(old)))
    return owner.replace(old, new, count)


def _join(meter: Meter, owner: str, items: Any) -> str:
    if not isinstance(items, list | tuple):
        raise TypeError(f"it takes a list, not {kind(items)}")
    return joined(meter, owner, [text_of(meter, item) for item in items])


def _get(meter: Meter, owner: Mapping[str, Any], key: Any, default: Any = None) -> Any:
    return owner.get(key, default)


def _keys(meter: Meter, owner: Mapping[str, Any]) -> list[Any]:
    meter.charge(len(owner))
    return list(owner.keys())


def _values(meter: Meter, owner: Mapping[str, Any]) -> list[Any]:
    meter.charge(len(owner))
    return list(owner.values())


def _items(meter: Meter, owner: Mapping[str, Any]) -> list[Any]:
    meter.charge(len(owner))
    return list(owner.items())


def _index(meter: Meter, owner: Any, item: Any) -> int:
    meter.walk(owner)
    return list(owner).index(item)


def _count(meter: Meter, owner: Any, item: Any) -> int:
    meter.walk(owner)
    return list(owner).count(item)


_TEXT: dict[str, Function] = {
    name: _text(name)
    for name in (
        *("capitalize", "casefold", "lower", "swapcase", "title", "upper"),
        *("lstrip", "rstrip", "strip", "removeprefix", "removesuffix"),
        *("split", "rsplit", "splitlines", "partition", "rpartition"),
        *("startswith", "endswith", "find", "rfind", "count"),
        *("isalnum", "isalpha", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "isupper"),
    )
}
_TEXT |= {name: _padded(name) for name in ("center", "ljust", "rjust", "zfill")}
_TEXT |= {"replace": replaced, "join": _join}
_MAPPING: dict[str, Function] = {"get": _get, "keys": _keys, "values": _values, "items": _items}
_LIST: dict[str, Function] = {"index": _index, "count": _count}

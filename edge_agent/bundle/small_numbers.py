"""Bytes that are small numbers around zero, modulo 256, in nearly as few bits as their entropy.

Each number is told by yes-or-no questions: how many bits its size has, which, and its sign. A range coder
packs the answers, each by how often the answer was yes before at the same place; a place of the first
questions is known by how large the last numbers were, too. All is in whole numbers, so that every
processor gives the same, and the state is some three hundred of them however long the stream is.

Source of the coder: G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a digitised
message" (1979), with two symbols.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_NUMBERS = 1 << 18
"""Of a stream: at the worst, of numbers that are noise, some ten microseconds each on a fast processor."""

_ALL, _TOP_BYTE, _MASK = 1 << 16, 0xFF000000, 0xFFFFFFFF
_LEAST = 64  # of 65,536: no answer is taken to be less likely than this
_SLOWEST = 60
_LEVELS, _SIZES, _NODES = 14, 8, 16
_SIGN = _LEVELS * _SIZES
_BITS = _SIGN + 1
_PLACES = _BITS + (_SIZES + 1) * _NODES

Ask = Callable[[int, int], int]


class _Places:
    """What is known: how likely a yes is at each place, and how large the last numbers were."""

    def __init__(self) -> None:
        self._yes = [_ALL // 2] * _PLACES
        self._asked = [0] * _PLACES
        self._activity = 0

    def chance(self, place: int) -> int:
        """Of a yes, in 65,536ths."""
        return self._yes[place]

    def learn(self, place: int, answer: int) -> None:
        """The answer was yes (1) or no (0)."""
        asked, before = self._asked[place], self._yes[place]
        moved = before + ((_ALL if answer else 0) - before) // (asked + 2)
        self._yes[place] = min(max(moved, _LEAST), _ALL - _LEAST)
        if asked < _SLOWEST:
            self._asked[place] = asked + 1

    def tell(self, ask: Ask, number: int) -> int:
        """Asks for a number, and gives it; whoever asks knows `number`, or answers whatever that is."""
        magnitude, row = abs(number), _SIZES * self._activity.bit_length()
        size = 0
        while size < _SIZES and ask(row + size, int(magnitude.bit_length() > size)):
            size += 1
        self._activity += ((min(magnitude_of(size), 15) << 8) - self._activity) >> 4
        if not size:
            return 0
        found = 1
        for shift in range(size - 2, -1, -1):
            place = _BITS + size * _NODES + (found if found < _NODES else 0)
            found = found << 1 | ask(place, magnitude >> shift & 1)
        return -found if ask(_SIGN, int(number < 0)) else found


def magnitude_of(size: int) -> int:
    """The least number of so many bits."""
    return 1 << (size - 1) if size else 0


def pack(data: bytes) -> bytes:
    """`data`, packed."""
    places, packed = _Places(), bytearray()
    low, high = 0, _MASK

    def ask(place: int, answer: int) -> int:
        nonlocal low, high
        middle = low + ((high - low) * places.chance(place) >> 16)
        if answer:
            high = middle
        else:
            low = middle + 1
        while not (low ^ high) & _TOP_BYTE:
            packed.append(high >> 24)
            low, high = low << 8 & _MASK, high << 8 & _MASK | 0xFF
        places.learn(place, answer)
        return answer

    for byte in data:
        places.tell(ask, byte - 256 if byte > 127 else byte)
    return bytes(packed) + high.to_bytes(4, "big")


class Unpacker:
    """Gives what `pack` was given.

    Args:
        next_byte: gives the next packed byte.
    """

    def __init__(self, next_byte: Callable[[], int]) -> None:
        self._places = _Places()
        self._next_byte = next_byte
        self._low, self._high = 0, _MASK
        self._value = int.from_bytes(bytes(next_byte() for _ in range(4)), "big")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        tell, ask = self._places.tell, self._ask
        return bytes(tell(ask, 0) & 0xFF for _ in range(count))

    def _ask(self, place: int, _: int) -> int:
        middle = self._low + ((self._high - self._low) * self._places.chance(place) >> 16)
        answer = int(self._value <= middle)
        if answer:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) & _TOP_BYTE:
            self._low = self._low << 8 & _MASK
            self._high = self._high << 8 & _MASK | 0xFF
            self._value = self._value << 8 & _MASK | self._next_byte()
        self._places.learn(place, answer)
        return answer

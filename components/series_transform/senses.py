"""Which channels make up each sense, as a person names them: vibration, say, and process sensors."""

from __future__ import annotations

from collections.abc import Sequence

from components.base import UserError

_ANY = "*"


def senses_of(
    named: Sequence[Sequence[str]], channels: Sequence[str]
) -> tuple[tuple[int, ...], ...] | None:
    """The places of each sense's channels; None if none is named.

    Args:
        named: of each sense the names of its channels, or their beginnings with a star behind; a star
            alone is what no other sense names.
        channels: all there are.

    Raises:
        UserError: if there is one sense alone, or a name that is no channel's, or one of two senses'.
    """
    if not named:
        return None
    if len(named) < 2:
        raise UserError(
            f"Transform.senses: {_told(named[0])} is one sense alone: name two or more, as in "
            f"{_told(named[0])},{_ANY} for it and all other channels"
        )
    found = {place: [c for c in channels if _names(sense, c)] for place, sense in enumerate(named)}
    taken = {channel for sense in found.values() for channel in sense}
    for place, sense in enumerate(named):
        if list(sense) == [_ANY]:
            found[place] = [channel for channel in channels if channel not in taken]
        for name in sense:
            if not found[place] or (name != _ANY and not any(_names([name], c) for c in channels)):
                raise UserError(
                    f"Transform.senses: {name} is no channel; there are {', '.join(channels)}"
                )
    for channel in channels:
        of = [_told(named[place]) for place, sense in found.items() if channel in sense]
        if len(of) > 1:
            raise UserError(f"Transform.senses: {channel} is in two senses, {' and '.join(of)}")
    return tuple(tuple(map(channels.index, sense)) for sense in found.values())


def _names(sense: Sequence[str], channel: str) -> bool:
    return any(
        name == channel or (len(name) > 1 and name[-1] == _ANY and channel.startswith(name[:-1]))
        for name in sense
    )


def _told(sense: Sequence[str]) -> str:
    return sense[0] if len(sense) == 1 else f"[{', '.join(sense)}]"

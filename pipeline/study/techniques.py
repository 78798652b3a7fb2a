"""What the study tries, read from data: techniques, their knobs, and the candidates that follow."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from components.base import UserError
from edge_agent.decoding import DecodeError, decode

TECHNIQUES = Path(__file__).parent / "techniques.toml"
STEPS = ("Pruner", "Distiller", "Quantizer")
_TRAINED = {"TeacherTrainer", "Trainer", *STEPS}
_AND = " --set "

Saves = Literal["run-time", "download", "accuracy", "training"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knob:
    """One of a technique's main parameters; the first of its values is the default."""

    name: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Technique:
    """One technique.

    Attributes:
        name: what people call it.
        saves: what it is good for.
        settings: what it sets, as ``--set`` takes it.
        steps: those of `STEPS` that it needs, in that order.
        knob: its main parameters.
    """

    name: str
    saves: Saves
    settings: tuple[str, ...]
    steps: tuple[str, ...] = ()
    knob: tuple[Knob, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Techniques:
    """The whole of the file.

    Attributes:
        shares: examples that a training step sees, as a share of the Trainer's, by its id.
        technique: all of them.
    """

    shares: dict[str, float]
    technique: tuple[Technique, ...]

    @property
    def defaults(self) -> dict[tuple[str, str], str]:
        """What each knob is if it is not turned, by technique and knob."""
        return {(t.name, k.name): _shown(k.values[0]) for t in self.technique for k in t.knob}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A technique with a value for each knob.

    Attributes:
        technique: its name.
        saves: what the technique is good for.
        steps: those that it needs.
        settings: all that it sets.
        turned: the knob that is not at its default; empty if none.
        value: that knob's value, or what all of them are.
    """

    technique: str
    saves: Saves
    steps: tuple[str, ...]
    settings: tuple[str, ...]
    turned: str
    value: str

    @property
    def name(self) -> str:
        """What people and files call it."""
        return f"{self.technique}, {self.turned} {self.value}" if self.turned else self.technique

    @property
    def key(self) -> str:
        """Digest of all that decides it, hex; two candidates of the same settings have the same."""
        return hashlib.sha256(json.dumps([self.steps, self.settings]).encode()).hexdigest()[:16]


def read_techniques(path: Path = TECHNIQUES) -> Techniques:
    """Reads the list.

    Raises:
        UserError: naming what is wrong in it.
    """
    try:
        found = decode(Techniques, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, DecodeError) as e:
        raise UserError(f"{path}: {e}: correct it") from e
    if set(found.shares) != _TRAINED or not all(share > 0 for share in found.shares.values()):
        raise UserError(
            f"{path}: [shares]: give {', '.join(sorted(_TRAINED))} a number above 0 each, and nothing else"
        )
    if not found.technique:
        raise UserError(f"{path}: holds no [[technique]]: write one")
    for technique in found.technique:
        unknown = [step for step in technique.steps if step not in STEPS]
        if unknown or list(technique.steps) != [s for s in STEPS if s in technique.steps]:
            raise UserError(f"{path}: {technique.name}: steps must be some of {', '.join(STEPS)}")
        if any(not knob.values for knob in technique.knob):
            raise UserError(f"{path}: {technique.name}: a knob has no value")
    return found


def candidates(techniques: Sequence[Technique]) -> list[Candidate]:
    """Every technique as it stands, then each knob of each at its other values.

    Ordered so that a study that is cut short has tried every technique before any knob, and one value
    of every knob before the second of any. Candidates that come to the same settings are named once.
    """
    rounds: dict[int, list[Candidate]] = {}
    for technique in techniques:
        rounds.setdefault(0, []).append(_candidate(technique, None, ""))
        for knob in technique.knob:
            for place, value in enumerate(knob.values[1:], 1):
                rounds.setdefault(place, []).append(_candidate(technique, knob, value))
    ordered = [candidate for place in sorted(rounds) for candidate in rounds[place]]
    return list({candidate.key: candidate for candidate in reversed(ordered)}.values())[::-1]


def _candidate(technique: Technique, turned: Knob | None, value: str) -> Candidate:
    others = [knob.values[0] for knob in technique.knob if knob is not turned]
    written = [*technique.settings, *others, *([value] if turned else [])]
    settings = [setting for text in written for setting in text.split(_AND)]
    # Of two settings of one parameter the later one holds; only it decides.
    last = {setting.partition("=")[0]: setting for setting in settings}
    return Candidate(
        technique=technique.name,
        saves=technique.saves,
        steps=technique.steps,
        settings=tuple(last.values()),
        turned=turned.name if turned else "",
        value=_shown(value),
    )


def _shown(value: str) -> str:
    return " ".join(text.partition("=")[2] for text in value.split(_AND))


def fidelity_settings(shares: Mapping[str, float], ids: Sequence[str], examples: int) -> list[str]:
    """Settings that let each of the training steps `ids` see its share of `examples`.

    In no more epochs than the Trainer's patience outlasts: a long training is not to be stopped early.
    """
    settings = []
    for id_ in ids:
        seen = max(_LEAST, round(examples * shares[id_]))
        epochs = min(_MOST_EPOCHS, max(1, round(seen / _EPOCH)))
        settings += [f"{id_}.epochs={epochs}", f"{id_}.examples_per_epoch={seen // epochs}"]
    return settings


_LEAST, _EPOCH, _MOST_EPOCHS = 1_024, 8_192, 14

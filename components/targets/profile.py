"""Target profiles: what a runtime or an accelerator takes, as data in a TOML file.

Those that come with this package stand beside this file; a user adds hers by giving the path of a
``.toml`` instead of a name. A profile says where its facts come from. With ``extends = "NAME"`` it
takes from a profile of this package whatever it does not say itself, key by key; not its name, title
and source.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from components.base import UserError
from components.targets.schema import dtype_names, operator_names
from edge_agent.decoding import DecodeError, decode

_FOLDER = Path(__file__).parent
_EXTENDS = "extends"
# What a profile must say of itself, whatever it extends.
_OWN = ("name", "title", "source")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What tensors may be.

    Attributes:
        dtypes: types that the operators' tensors may have.
        max_rank: most dimensions of a tensor.
        wide_dimensions: how many of the innermost dimensions may be greater than 1; 0: any.
        float_tensors: what a floating-point tensor is: an error, a warning, or all right.
        dynamic_shapes: what a dimension that is unknown until run time is.
        float_only: operators whose kernels take floating point alone, although they are registered.
        one_partition: after the first operator that is refused, none is taken.
    """

    dtypes: tuple[str, ...]
    max_rank: int
    wide_dimensions: int = 0
    float_tensors: Literal["error", "warning", "allowed"]
    dynamic_shapes: Literal["error", "warning"]
    float_only: tuple[str, ...] = ()
    one_partition: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statuses:
    """What a verdict calls each outcome, in the target's own words where it has some."""

    supported: str = "supported"
    fallback: str = "supported by the fallback"
    operator: str = "operator not supported"
    version: str = "operator version not supported"
    dtype: str = "data type not supported"
    rank: str = "tensor rank not supported"
    after_refusal: str = "comes after an operator that is not supported"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """What a model may cost on the target; None: no limit.

    Attributes:
        arena_bytes: RAM for tensors, bytes.
        flash_bytes: the .tflite file, bytes.
        macs: multiply-accumulates of one inference.
        macs_per_second: multiply-accumulates that the processor has time for in a second.
        inferences_per_second: how often a second the model is to run.
    """

    arena_bytes: int | None = None
    flash_bytes: int | None = None
    macs: int | None = None
    macs_per_second: int | None = None
    inferences_per_second: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            limit = getattr(self, field.name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{field.name} must be above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """One target.

    Attributes:
        name: what ``--target`` takes; the file's name.
        title: for people.
        source: where the facts come from.
        caveat: what the verdict cannot promise; shown as a warning with each. May be empty.
        operators: operator to its lowest and highest version.
        rules: what tensors may be.
        statuses: the words of the verdict.
        advice: operator to what to use in its place.
        budget: what a model may cost.
        fallback: what runs the operators that this target leaves, if anything; a name in the file.
        interpreter: the runtime that loads models on the target and is installed here too, if any.
        vela: the accelerator configuration that Vela compiles for, if any.
    """

    name: str
    title: str
    source: str
    caveat: str = ""
    operators: dict[str, tuple[int, ...]]
    rules: Rules
    statuses: Statuses = Statuses()
    advice: dict[str, str] = dataclasses.field(default_factory=dict)
    budget: Budget = Budget()
    fallback: Profile | None = None
    interpreter: Literal["tflm", "litert", "tflite_runtime"] | None = None
    vela: str | None = None

    def __post_init__(self) -> None:
        known = set(operator_names().values())
        for operator in (*self.operators, *self.advice, *self.rules.float_only):
            if operator not in known:
                raise ValueError(f"there is no operator {operator}{_nearest(operator, known)}")
        for operator, versions in self.operators.items():
            if len(versions) != 2 or not 1 <= versions[0] <= versions[1]:
                raise ValueError(f"operators.{operator} must be [lowest version, highest version]")
        types = set(dtype_names().values())
        for dtype in self.rules.dtypes:
            if dtype not in types:
                raise ValueError(f"there is no data type {dtype}{_nearest(dtype, types)}")


def profile_names() -> tuple[str, ...]:
    """The profiles that come with this package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def demand_profiles(names: Iterable[str], where: str) -> None:
    """Reads the profiles `names` that do not come with this package.

    Raises:
        UserError: if one cannot be read; names the parameter `where` that it stands in.
    """
    known = profile_names()
    for name in names:
        if name not in known:
            try:
                load_profile(name)
            except UserError as e:
                raise UserError(f"{where}: {e}") from e


def profile_digests(names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each profile among `names` that does not come with this package, by name.

    Raises:
        OSError: if one cannot be read.
    """
    own = [name for name in names if name not in profile_names()]
    return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in own}


@functools.lru_cache(maxsize=64)
def load_profile(name: str) -> Profile:
    """The profile called `name`, or in the file `name` if that ends in ``.toml``.

    Raises:
        UserError: if there is none, or it is not a profile; names the file and the key.
    """
    if not name.endswith(".toml") and name not in profile_names():
        raise UserError(
            f"there is no target {name!r}{_nearest(name, set(profile_names()))}: "
            f"take one of {', '.join(profile_names())}, or give the path of a .toml profile"
        )
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    try:
        return decode(Profile, _content(path))
    except OSError as e:
        raise UserError(f"{path}: cannot be read: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise UserError(f"{path}: is not TOML: {e}") from e
    except DecodeError as e:
        # What is wrong with all of it stands at no place.
        said = str(e).removeprefix(": ")
        raise UserError(f"{path}: {said}; components/targets/tflm.toml shows the form") from e


def _content(path: Path) -> dict[str, Any]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    _refuse_unknown_keys(content)
    if _EXTENDS in content:
        content = _extended(content)
    processor = content.get("fallback")
    if processor is not None:
        if processor not in profile_names():
            raise DecodeError(f"fallback: there is no target {processor!r}")
        content["fallback"] = tomllib.loads((_FOLDER / f"{processor}.toml").read_text("utf-8"))
    return content


def _extended(content: dict[str, Any]) -> dict[str, Any]:
    name = content.pop(_EXTENDS)
    if name not in profile_names():
        raise DecodeError(
            f"{_EXTENDS}: there is no target {name!r}{_nearest(str(name), set(profile_names()))}"
        )
    base = tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))
    if _EXTENDS in base:
        base = _extended(base)
    for key in _OWN:
        base.pop(key, None)
    for key, value in content.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = base[key] | value if both else value
    return base


def _refuse_unknown_keys(content: dict[str, Any]) -> None:
    tables: dict[str, type[Any]] = {
        "": Profile,
        "rules": Rules,
        "statuses": Statuses,
        "budget": Budget,
    }
    for where, type_ in tables.items():
        table = content.get(where, {}) if where else content
        known = {field.name for field in dataclasses.fields(type_)}
        known |= set() if where else {_EXTENDS}
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                place = f"{where}.{key}" if where else key
                raise DecodeError(f"{place} is not a key{_nearest(key, known)}")


def _nearest(word: str, known: set[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""

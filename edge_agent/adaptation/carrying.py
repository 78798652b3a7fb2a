"""Which head a bundle runs with: what was learned on it, or what is learned anew where the bundle is new."""

from __future__ import annotations

import contextlib
import dataclasses

from edge_agent.adaptation.adapting import Learner
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.versions import Version, Versions
from edge_agent.bundle.archive import Bundle
from edge_agent.classification import ClassifierError
from edge_agent.runtime import Runtime, RuntimeModelError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Carried:
    """What a bundle runs with.

    Attributes:
        version: None for the head as shipped.
        event: ``adapted`` if a version was learned anew for this bundle, ``adaptation_dropped`` if what
            was learned does not go with it, else None.
        text: why it was dropped.
    """

    version: Version | None = None
    event: str | None = None
    text: str = ""


def carried(versions: Versions, bundle: Bundle, *, runtime: Runtime = "auto") -> Carried:
    """What `bundle` runs with; what is decided for a new bundle is kept, and said once.

    What does not go with one bundle stays for another: one that is rolled back to has it again.

    Raises:
        AdaptationError: if the disk refuses; the shipped head is there all the same.
    """
    number = versions.current()
    if number == 0:
        return Carried()
    with contextlib.suppress(AdaptationError):  # what is damaged is dropped below
        version = versions.read(number)
        if version.bundle == bundle.digest:
            return Carried(version=version)
    if versions.dropped_for(number) == bundle.digest:
        return Carried()
    with versions.locked():
        number = versions.current()
        if number == 0:
            return Carried()
        try:
            version = versions.read(number)
            learned = Learner(bundle, runtime=runtime).learn(version.lessons)
        except (AdaptationError, ClassifierError, RuntimeModelError) as e:
            versions.drop(number, bundle.digest)
            return Carried(event="adaptation_dropped", text=f"version {number}: {e}")
        return Carried(
            version=versions.add(bundle.digest, version.lessons, learned), event="adapted"
        )

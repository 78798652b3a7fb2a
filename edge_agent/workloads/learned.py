"""The head that the keyword workload runs with: the bundle's, or what was learned on this device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.adaptation.current import current_version
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.bundle.archive import Bundle
from edge_agent.keyword.head import Head
from edge_agent.workloads.job import Job
from edge_agent.workloads.speaking import Speaker

_SHIPPED = {"version": 0, "distance": 0.0}


def learned_head(job: Job, bundle: Bundle, speaker: Speaker) -> tuple[Head | None, dict[str, Any]]:
    """The head that was learned, None for the bundle's own; and what the status says of it.

    Tells `speaker` if it was learned anew for `bundle`, or does not go with it.
    """
    root = Path(job.root)
    if not job.root or current_version(root) == 0:
        return None, _SHIPPED | {"current": 0}
    # Most devices learn nothing, and are spared the memory.
    from edge_agent.adaptation.carrying import Carried, carried
    from edge_agent.adaptation.versions import Versions

    runtime: Any = job.runtime
    try:
        found = carried(Versions(root), bundle, runtime=runtime)
    except AdaptationError as e:
        found = Carried(event="adaptation_dropped", text=str(e))
    version = found.version
    about = _SHIPPED if version is None else version.as_json()
    if found.event is not None:
        speaker.event(found.event, about | ({"text": found.text} if found.text else {}))
    head = version.learned.head if version is not None else None
    return head, about | {"current": current_version(root)}

"""Whether an earlier release is still there, without reading what is signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.artifacts import read_json

# The timestamp is signed for 14 days: a nightly run that releases nothing new renews it in time.
_RENEW_BEFORE = timedelta(days=7)


def stands(release_json: Path, repository: Path, root_json: Path) -> bool:
    """Whether the repository holds the release, fresh enough that devices go on trusting it.

    Args:
        release_json: what the Pusher wrote of the release.
        repository: the folder that it was published to.
        root_json: the trust root that was left for devices.
    """
    try:
        release = read_json(release_json)
        folder, _, file = release["target"].rpartition("/")
        bundle = repository / "targets" / folder / f"{release['digest']}.{file}"
        timestamp = read_json(repository / "metadata" / "timestamp.json")["signed"]
        expires = datetime.fromisoformat(timestamp["expires"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    fresh = expires - datetime.now(UTC) > _RENEW_BEFORE
    return fresh and bundle.is_file() and root_json.is_file()

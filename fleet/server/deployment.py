"""A deployment as the DDI describes it: one chunk with one artifact, which is all that some clients take."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fleet.store.schema import Action, Device, Release, Report, Rollout


def find_action(connection: sa.Connection, device: int, action: int) -> Any:
    """The row of an action of this device, with its release and rollout; None if it has no such one."""
    if not 0 < action < 2**31:
        return None
    query = (
        sa.select(
            *Action.__table__.columns,
            Release.name, Release.version, Release.filename, Release.size, Release.sha1,
            Release.md5, Release.sha256, Release.target, Release.workload, Rollout.rolls_back,
        )
        .join(Release, Release.id == Action.release_id)
        .join(Rollout, Rollout.id == Action.rollout_id)
        .where(Action.id == action, Action.device_id == device)
    )  # fmt: skip
    return connection.execute(query).first()


def describe(row: Any, address: str) -> dict[str, Any]:
    """The deployment of an action.

    Args:
        row: from `find_action`.
        address: of the device's resources.
    """
    metadata = {"sha256": row.sha256}
    if row.target:
        metadata |= {"target": row.target, "workload": row.workload}
    if row.rolls_back is not None:
        metadata["rollback"] = "true"
    return {
        "download": "forced",
        "update": "forced",
        "chunks": [
            {
                "part": "bApp",
                "version": row.version,
                "name": row.name,
                "artifacts": [artifact(row, row.release_id, address)],
                "metadata": [{"key": key, "value": value} for key, value in metadata.items()],
            }
        ],
    }


def artifact(row: Any, module: int, address: str) -> dict[str, Any]:
    """The artifact of a release.

    Args:
        row: with the release's columns.
        module: the release's id, which the DDI knows as that of a software module.
        address: of the device's resources.
    """
    href = f"{address}/softwaremodules/{module}/artifacts/{row.filename}"
    links = {"download": {"href": href}, "md5sum": {"href": f"{href}.MD5SUM"}}
    if not href.startswith("https:"):
        links = {f"{name}-http": link for name, link in links.items()} | links
    return {
        "filename": row.filename,
        "hashes": {"sha1": row.sha1, "md5": row.md5, "sha256": row.sha256},
        "size": row.size,
        "_links": links,
    }


def action_history(connection: sa.Connection, row: Any, most: int) -> dict[str, Any]:
    """What the device said of an action, the latest first; at most so many messages, all if negative."""
    query = sa.select(Report.details).where(Report.action_id == row.id).order_by(Report.id.desc())
    messages = [text for details in connection.scalars(query) for text in details]
    status = {"success": "FINISHED", "offered": "RETRIEVED"}.get(row.state, row.state.upper())
    return {"status": status, "messages": messages if most < 0 else messages[:most]}


def find_release(connection: sa.Connection, device: int, release: int) -> Any:
    """The row of a release that the device was assigned; None if it was not."""
    if not 0 < release < 2**31:
        return None
    assigned = sa.exists().where(
        Action.device_id == device, Action.release_id == release, Action.offered.is_not(None)
    )
    installed = sa.exists().where(Device.id == device, Device.installed_id == release)
    query = sa.select(*Release.__table__.columns)
    return connection.execute(
        query.where(Release.id == release, sa.or_(assigned, installed))
    ).first()

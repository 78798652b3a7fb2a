"""Releases: bundles that go into the TUF repository, and plain files for clients that are not ours."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from edge_agent.bundle import archive
from fleet.control import audit
from fleet.control.names import check_file
from fleet.repository import Release as Published
from fleet.repository import Repository
from fleet.repository.releases import check_name, highest
from fleet.repository.versions import parse
from fleet.store.errors import ConflictError, NotFoundError
from fleet.store.objects import MARK, Objects, object_name
from fleet.store.schema import Release

MAX_FILE_BYTES = 4 * 1024**3
_BLOCK = 1 << 20


def repository_folder(root: Path, tenant: str) -> Path:
    """Where the TUF repository of a tenant lies; that of the tenant ``default`` is the pipeline's."""
    return root / "repository" if tenant == "default" else root / "tenants" / tenant / "repository"


def upload(objects: Objects | None, file: Path) -> None:
    """Puts a file into the store, if there is one, before its release is registered.

    That takes minutes for a large file: no transaction may be held meanwhile, for nobody else could write.
    """
    if objects is not None:
        objects.put(object_name(_digests(file)["sha256"]), file)


def publish_bundle(root: Path, tenant: str, bundle: Path, version: str | None) -> Published:
    """Releases a bundle in the tenant's TUF repository, unless its digest is there already.

    Raises:
        BundleError: if it is none.
        RepositoryError: if it cannot be released.
    """
    manifest = archive.read(bundle).manifest
    repository = Repository(repository_folder(root, tenant))
    return repository.publish(manifest.name, bundle, version, manifest.workload)


def register_bundle(
    connection: sa.Connection,
    now: float,
    tenant: Any,
    who: str,
    root: Path,
    published: Published,
    objects: Objects | None = None,
) -> Any:
    """The row of a release that stands in the tenant's TUF repository; made if it is not there yet.

    With `objects` its file is put there too, unless `upload` did; the repository keeps it for deltas.
    """
    found = _find(connection, tenant.id, published.name, published.version)
    if found is not None:
        return found
    folder = repository_folder(root, tenant.name)
    path = Repository(folder).bundle_path(published)
    manifest = archive.read(path).manifest
    return _insert(
        connection, now, tenant, who, root, path, objects,
        name=published.name,
        version=published.version,
        workload=manifest.workload,
        target=published.target,
        filename=published.target.rpartition("/")[2],
        minimum=dict(manifest.minimum),
    )  # fmt: skip


def find_published(root: Path, tenant: str, name: str, version: str) -> Published:
    """The release of this version that stands in the tenant's TUF repository.

    Raises:
        NotFoundError: if the repository has none such.
    """
    repository = Repository(repository_folder(root, tenant))
    released = repository.releases(name)
    for each in released:
        if each.version == version:
            return each
    raise NotFoundError(
        f"release {_asked(name, version)}: the tenant's repository has none such: "
        f"it has {', '.join(each.version for each in released) or 'none of that name'}"
    )


def newest(root: Path, tenant: str, name: str) -> Published:
    """The release with the highest version that stands in the tenant's TUF repository.

    Raises:
        NotFoundError: if the repository has no release of that name.
    """
    repository = Repository(repository_folder(root, tenant))
    released = repository.releases(name)
    if not released:
        raise NotFoundError(f"{name[:80]}: no such release in {repository.folder}")
    return highest(released)


def bundle_file(root: Path, tenant: str, row: Any) -> Path:
    """Where the bundle of a release is in the fleet's folder, be it in a store too; it may have gone."""
    folder, _, name = row.target.rpartition("/")
    return repository_folder(root, tenant) / "targets" / folder / f"{row.sha256}.{name}"


def add_file(
    connection: sa.Connection,
    now: float,
    tenant: Any,
    who: str,
    root: Path,
    source: Path,
    name: str,
    version: str,
    objects: Objects | None = None,
) -> Any:
    """Takes in a file that is no bundle: an image for SWUpdate or RAUC, say. TUF knows nothing of it.

    Raises:
        ConflictError: if the version is taken by other content, or the file's name cannot stay.
        ReleaseError: if name or version are malformed.
    """
    check_name(name)
    version = str(parse(version))
    check_file(source.name)
    digest = _digests(source)["sha256"]
    found = _find(connection, tenant.id, name, version)
    if found is not None:
        if found.sha256 == digest:
            return found
        raise ConflictError(f"{name} {version}: already released with other content")
    place = source if objects else root / "artifacts" / digest[:2] / digest
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{digest}.part")
        shutil.copyfile(source, aside)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, place)
    return _insert(
        connection, now, tenant, who, root, place, objects,
        name=name, version=version, workload="", target="", filename=source.name, minimum={},
    )  # fmt: skip


def find(connection: sa.Connection, tenant: int, name: str, version: str) -> Any:
    """The row of a release.

    Raises:
        NotFoundError: if there is none.
    """
    row = _find(connection, tenant, name, version)
    if row is None:
        versions = [each.version for each in listing(connection, tenant) if each.name == name]
        known = f"its versions are {', '.join(versions[:5])}" if versions else "add it first"
        raise NotFoundError(f"release {_asked(name, version)}: there is none; {known}")
    return row


def _asked(name: str, version: str) -> str:
    return f"{name[:80]}=={version[:80]}" if version else f"{name[:80]}, without a version"


def by_id(connection: sa.Connection, id_: int) -> Any:
    """The row of the release with this id, which must be there."""
    query = sa.select(*Release.__table__.columns).where(Release.id == id_)
    return connection.execute(query).one()


def listing(connection: sa.Connection, tenant: int) -> list[Any]:
    """The rows of a tenant's releases, newest first."""
    query = sa.select(*Release.__table__.columns).where(Release.tenant_id == tenant)
    return list(connection.execute(query.order_by(Release.id.desc())))


def stored(connection: sa.Connection, tenant: int, digest: str) -> Any:
    """The row of the bundle with this SHA-256 whose file is in the object store; None if there is none."""
    query = sa.select(*Release.__table__.columns).where(
        Release.tenant_id == tenant,
        Release.target != "",
        Release.file == MARK + object_name(digest),
    )
    return connection.execute(query).first()


def described(row: Any) -> dict[str, Any]:
    """A release as JSON."""
    names = (
        "id",
        "name",
        "version",
        "workload",
        "target",
        "filename",
        "size",
        "sha256",
        "minimum",
        "created",
    )
    return {name: getattr(row, name) for name in names}


def _find(connection: sa.Connection, tenant: int, name: str, version: str) -> Any:
    query = sa.select(*Release.__table__.columns).where(
        Release.tenant_id == tenant, Release.name == name, Release.version == version
    )
    return connection.execute(query).first()


def _insert(
    connection: sa.Connection,
    now: float,
    tenant: Any,
    who: str,
    root: Path,
    path: Path,
    objects: Objects | None,
    **values: Any,
) -> Any:
    digests = _digests(path)
    if objects is None:
        file = path.absolute().relative_to(root.absolute()).as_posix()
    else:
        name = object_name(digests["sha256"])
        objects.put(name, path)
        file = f"{MARK}{name}"
    made = connection.execute(
        sa.insert(Release)
        .values(
            tenant_id=tenant.id,
            file=file,
            size=path.stat().st_size,
            created=now,
            **digests,
            **values,
        )
        .returning(Release.id)
    ).scalar_one()
    subject = f"{values['name']} {values['version']}"
    audit.note(
        connection, now, tenant.id, who, "release add", subject, {"sha256": digests["sha256"]}
    )
    return by_id(connection, made)


def _digests(path: Path) -> dict[str, str]:
    """SHA-256, SHA-1 and MD5 of a file, hex: clients of the DDI check the latter two against accidents."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConflictError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    found = {
        "sha256": hashlib.sha256(),
        "sha1": hashlib.sha1(usedforsecurity=False),
        "md5": hashlib.md5(usedforsecurity=False),
    }
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            for digest in found.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in found.items()}

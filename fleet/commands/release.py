"""``python -m fleet release``: what devices may be given."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fleet.commands.fleet_arguments import (
    FORM,
    add_root,
    add_store,
    add_tenant,
    open_objects,
    read,
    tell,
    who,
    writing,
)

NAME = "release"
SUMMARY = "what devices may be given: add, register, list"
DESCRIPTION = """\
add puts a bundle into the tenant's TUF repository, unless its digest is released there already, and makes it
known to the server. register makes a release known that a pipeline's Pusher put there. A file that is no
bundle (an image for SWUpdate or RAUC) is added with --name and --version; TUF then knows nothing of it."""
EXAMPLES = """\
  python -m fleet release add --root var var/latest.bundle
  python -m fleet release register --root var keyword_spotting==1.0.3
  python -m fleet release add --root var image.swu --name gateway-os --version 2.1.0
  python -m fleet release add --root var --store s3://bucket/fleet var/latest.bundle
      the file goes into an object store, from which `serve --store` sends it
  python -m fleet release list --root var --json"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="a bundle or another file", **FORM)
    add.add_argument("file", type=Path, metavar="FILE")
    add.add_argument("--name", metavar="NAME", help="of a file that is no bundle")
    add.add_argument("--version", metavar="V", help="default for bundles: the next patch version")
    register = actions.add_parser("register", help="a release of the Pusher", **FORM)
    register.add_argument("release", metavar="NAME==VERSION")
    for each in (add, register, actions.add_parser("list", help="all releases", **FORM)):
        add_root(each)
        add_tenant(each)
    add_store(add)
    add_store(register)


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked; prints the release, or all."""
    from fleet.control import releases, tenants

    if arguments.action == "list":
        rows = read(
            arguments,
            lambda c: releases.listing(c, tenants.find(c, arguments.tenant).id),
        )
        text = "\n".join(
            f"{row.name} {row.version}  {row.size} bytes  {row.sha256}" for row in rows
        )
        tell(arguments, {"releases": [releases.described(row) for row in rows]}, text)
        return 0
    row = _add(arguments) if arguments.action == "add" else _register(arguments)
    release = f"{row.name}=={row.version}"
    text = (
        f"{row.name} {row.version}: {row.size} bytes\nnext: python -m fleet rollout create --root "
    )
    tell(arguments, releases.described(row), f"{text}{arguments.root} {release}")
    return 0


def _add(arguments: argparse.Namespace) -> Any:
    from edge_agent.bundle.archive import BundleError
    from fleet.control import releases, tenants
    from fleet.store.errors import StoreError

    root, file = arguments.root.absolute(), arguments.file
    objects = open_objects(arguments)
    if arguments.name is not None:
        if arguments.version is None:
            raise StoreError("--version: a file that is no bundle needs one")
        releases.upload(objects, file)
        with writing(arguments) as standings:
            tenant = tenants.find(standings.connection, arguments.tenant)
            return releases.add_file(
                standings.connection, standings.now, tenant, who(), root, file,
                arguments.name, arguments.version, objects,
            )  # fmt: skip
    tenant = read(arguments, lambda c: tenants.find(c, arguments.tenant))
    try:
        published = releases.publish_bundle(root, tenant.name, file, arguments.version)
    except BundleError as e:
        raise BundleError(f"{e}; a file of another kind takes --name and --version") from e
    releases.upload(objects, file)
    with writing(arguments) as standings:
        given = (standings.connection, standings.now, tenant, who(), root)
        return releases.register_bundle(*given, published, objects)


def _register(arguments: argparse.Namespace) -> Any:
    from fleet.control import releases, tenants
    from fleet.repository import Repository

    root = arguments.root.absolute()
    name, _, version = arguments.release.partition("==")
    repository = Repository(releases.repository_folder(root, arguments.tenant))
    objects = open_objects(arguments)
    published = releases.find_published(root, arguments.tenant, name, version)
    releases.upload(objects, repository.bundle_path(published))
    with writing(arguments) as standings:
        tenant = tenants.find(standings.connection, arguments.tenant)
        given = (standings.connection, standings.now, tenant, who(), root)
        return releases.register_bundle(*given, published, objects)

"""``python -m edge_agent tuf``: the metadata client alone, as the framework's conformance suite calls it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.update.tuf_client import TufClient

NAME = "tuf"
SUMMARY = "fetch from any TUF repository: init, refresh, download"
DESCRIPTION = """\
The agent's metadata client by itself, for any repository of The Update Framework: to look into one, or
to test this client. What it trusts lies in --metadata-dir, under names without versions (root.json,
timestamp.json, ...). Exit code 0 if all was done, 1 if any part was not."""
EXAMPLES = """\
  python -m edge_agent tuf --metadata-dir trust init root.json
  python -m edge_agent tuf --metadata-dir trust --metadata-url https://example.org/metadata refresh
  python -m edge_agent tuf --metadata-dir trust --metadata-url https://example.org/metadata \\
      --target-base-url https://example.org/targets --target-dir files \\
      --target-name keyword_spotting/keyword_spotting-1.0.0.bundle download"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "--metadata-dir", required=True, type=Path, metavar="D", help="folder of what is trusted"
    )
    parser.add_argument("--metadata-url", metavar="U", help="where the repository's metadata is")
    parser.add_argument(
        "--target-name", action="append", metavar="N", help="target to download; may be repeated"
    )
    parser.add_argument("--target-base-url", metavar="U", help="where the repository's targets are")
    parser.add_argument("--target-dir", type=Path, metavar="D", help="folder to download to")
    form = {"allow_abbrev": False, "inherited_absl_flags": None}
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="trust a root.json", **form)
    init.add_argument("trusted_root", type=Path, metavar="ROOT", help="the root.json to trust")
    actions.add_parser("refresh", help="bring the metadata up to date", **form)
    actions.add_parser("download", help="bring it up to date and fetch the targets", **form)


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked of the metadata client."""
    from edge_agent.update.errors import UpdateError

    try:
        _ACTIONS[arguments.action](arguments)
    except UpdateError as e:
        raise CommandError(str(e)) from e
    return 0


def _init(arguments: argparse.Namespace) -> None:
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    from edge_agent.update import durable
    from edge_agent.update.install import read_trusted_root

    trusted_root = read_trusted_root(arguments.trusted_root)
    try:
        kind = Metadata.from_bytes(trusted_root).signed.type
    except RepositoryError as e:
        raise CommandError(
            f"{arguments.trusted_root}: is no metadata ({e}): give a root.json"
        ) from e
    if kind != Root.type:
        raise CommandError(f"{arguments.trusted_root}: is {kind} metadata: give a root.json")
    with durable.storage_errors(arguments.metadata_dir):
        durable.make_folder(arguments.metadata_dir)
        durable.write_whole(arguments.metadata_dir / "root.json", trusted_root)


def _refresh(arguments: argparse.Namespace) -> None:
    from edge_agent.update import durable
    from edge_agent.update.plain_words import plain_words

    _demand(arguments, "metadata_url")
    with plain_words(arguments.metadata_url), durable.storage_errors(arguments.metadata_dir):
        _client(arguments).refresh()


def _download(arguments: argparse.Namespace) -> None:
    from edge_agent.update import durable
    from edge_agent.update.plain_words import plain_words

    _demand(arguments, "metadata_url", "target_name", "target_base_url", "target_dir")
    with plain_words(arguments.metadata_url), durable.storage_errors(arguments.target_dir):
        client = _client(arguments)
        client.refresh()
        durable.make_folder(arguments.target_dir)
        for name in arguments.target_name:
            target = client.get_targetinfo(name)
            if target is None:
                raise CommandError(f"{arguments.metadata_url}: holds no target {name}")
            client.fetch(target, arguments.target_dir / quote(name, ""))


def _client(arguments: argparse.Namespace) -> TufClient:
    from edge_agent.update.tuf_client import TufClient
    from edge_agent.update.waiting import Limits

    if not (arguments.metadata_dir / "root.json").is_file():
        raise CommandError(
            f"{arguments.metadata_dir}: nothing is trusted here yet: run "
            f"`python -m edge_agent tuf --metadata-dir {arguments.metadata_dir} init ROOT` first"
        )
    return TufClient(
        arguments.metadata_dir,
        arguments.metadata_url,
        arguments.target_base_url or "",
        None,
        Limits(),
    )


def _demand(arguments: argparse.Namespace, *names: str) -> None:
    missing = [f"--{name.replace('_', '-')}" for name in names if not getattr(arguments, name)]
    if missing:
        raise CommandError(f"{arguments.action}: give {', '.join(missing)}")


_ACTIONS = {"init": _init, "refresh": _refresh, "download": _download}

"""Telling others how a run ended: a command line, or a webhook.

A hook has a bounded time, in a process of its own. One that fails stops nothing. What may be secret
stays out of every message: the arguments of a command, and of a URL all but scheme and host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from components.base import UserError

SECONDS = 30.0
"""How long a hook may take."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, as hooks are told.

    Attributes:
        recipe: the recipe's name.
        root: the root's path.
        state: complete, refused (by a gate), failed or interrupted.
        exit_code: of the run; negative if a signal ended it.
        run: its number in the lineage; None if it did not come so far.
        report: path of its report.json, if it left one.
        version: of the release, if it made one.
    """

    recipe: str
    root: str
    state: str
    exit_code: int
    run: int | None
    report: str | None
    version: str | None


@dataclasses.dataclass(frozen=True)
class Hook:
    """Whom to tell.

    Attributes:
        words: the command.
        url: where to post, if it is a webhook; else empty.
        name: what messages call it.
    """

    words: tuple[str, ...]
    url: str
    name: str


def hook(option: str, text: str) -> Hook:
    """The hook that `text` means: an ``http://`` or ``https://`` URL, or a command line.

    Args:
        option: the option that it was given to, for the message.
        text: what was given.

    Raises:
        UserError: if it is neither, without repeating what may be secret.
    """
    scheme, is_url, _ = text.partition("://")
    if is_url and scheme.isalpha():
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if scheme.lower() not in ("http", "https") or not host:
            raise UserError(f"{option} {scheme}://...: give an http:// or https:// URL with a host")
        where = f"{scheme.lower()}://{host}" + (f":{port}" if port else "")
        return Hook((sys.executable, "-m", "pipeline.schedule.webhook"), text, where)
    try:
        words = tuple(shlex.split(text))
    except ValueError as e:
        raise UserError(f"{option}: the command line cannot be read: {e}") from e
    if not words:
        raise UserError(f"{option}: is empty: give a command line or a URL")
    if shutil.which(words[0]) is None:
        raise UserError(f"{option}: {words[0]}: there is no such program: give its path")
    return Hook(words, "", Path(words[0]).name)


def tell(hook: Hook, outcome: Outcome, seconds: float = SECONDS) -> str | None:
    """Runs the hook; gives what went wrong, None if nothing did.

    A command finds the outcome in its environment (``PIPELINE_STATE`` and so on), a webhook gets it
    as a JSON document. What a hook prints goes where this process prints.
    """
    document = dataclasses.asdict(outcome)
    message = json.dumps({"url": hook.url, "document": document}) if hook.url else ""
    try:
        child = subprocess.Popen(
            hook.words,
            stdin=subprocess.PIPE,
            env={**os.environ, **_variables(document)},
            start_new_session=True,
            text=True,
        )
    except OSError as e:
        return e.strerror or str(e)
    try:
        child.communicate(message, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"ended, as it took more than {seconds:g} s"
    finally:
        _end(child)
    return None if child.returncode == 0 else f"ended with exit code {child.returncode}"


def _variables(document: Mapping[str, object]) -> dict[str, str]:
    return {
        f"PIPELINE_{name.upper()}": "" if value is None else str(value)
        for name, value in document.items()
    }


def _end(child: subprocess.Popen[str]) -> None:
    """Ends what is left of the hook's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()

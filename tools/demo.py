"""``make demo``: a model, a small fleet, a good release, a bad one that halts by itself, and its page.

Everything is real but most of the devices: the pipeline trains the model (or takes it from its cache), the
fleet server is a process of its own, three agents are daemons that listen to audio and install what they are
shown, and the rest of the fleet are the simulator's devices, over HTTP. The bad release passes every test of
its own and takes silence for a word: the agents, in rooms where people talk now and then, find out at work,
roll back, and report why. The simulated devices install what comes, and notice nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import http.cookiejar
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from edge_agent.bundle import archive
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, KeywordManifest, encode_manifest
from edge_agent.compatibility import present
from fleet.simulator.device import Behaviour, Device
from fleet.simulator.http_client import HttpConnection

TOP = Path(__file__).resolve().parents[1]
AGENTS = ("kitchen", "workshop", "hall")
SIMULATED = 57
CANARY_SIMULATED = 9
POLL_S = 5
PROBATION_S = 60
PATIENCE_S = 300.0
RATE = 16_000
_PIECE_S = 0.25


def main(arguments: argparse.Namespace) -> int:
    """Shows it all; the last line on stdout is JSON."""
    root: Path = arguments.root.absolute()
    began = time.monotonic()
    say("1. A model: the pipeline trains one, or takes it from its cache")
    bundle = make_model(root)
    place = root / "demo"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(Fleet.serving(place / "fleet"))
        say(f"2. A fleet server at {fleet.url}, three agents and {SIMULATED} simulated devices")
        talk = sorted(
            root.glob("keyword_spotting/runs/*/SpeechSynthesizer/recordings/_unknown_/*.wav")
        )
        agents = [stack.enter_context(agent(fleet, place, name, talk)) for name in AGENTS]
        stack.enter_context(crowd(fleet))
        fleet.until_known(len(agents) + SIMULATED)
        say("3. The model goes to the canary, which has the three agents in it, then to all")
        good = fleet.roll_out(bundle)
        fleet.follow(good, "finished")
        say("4. A release that passes its own tests and takes silence for a word")
        bad = fleet.roll_out(deaf_to_silence(bundle, place / "bad.bundle"))
        fleet.follow(bad, "halted")
        fleet.settle(bad)
        say("5. What the fleet's page says of it")
        page = fleet.page(bad)
        (place / "rollout.html").write_text(page)
        screenshot(place / "rollout.html", place / "rollout.png")
        told = [fleet.summary(rollout) for rollout in (good, bad)]
        say(
            f"   saved at {place / 'rollout.html'}; all of it took {time.monotonic() - began:.0f} s"
        )
        if arguments.keep:
            say(f"   look at {fleet.url} and log in with {fleet.admin_token}; Ctrl-C ends it")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    print(json.dumps({"rollouts": told}))
    return 0


def make_model(root: Path) -> Path:
    """The bundle of the words that `make run` learns without data."""
    keywords = os.environ.get("KEYWORDS") or "yes no stop go"
    words = ["pipeline", "run", "keyword_spotting", "--keywords", keywords, "--root", str(root)]
    subprocess.run([sys.executable, "-m", *words], cwd=TOP, check=True)
    return root / "keyword_spotting" / "latest.bundle"


def deaf_to_silence(bundle: Path, path: Path) -> Path:
    """`bundle` with silence and its first word exchanged by name, which no test of its own can see.

    The word's threshold is one that quiet reaches, however sure of silence this model is.
    """
    opened = archive.read(bundle)
    manifest = opened.manifest
    assert isinstance(manifest, KeywordManifest)
    word = next(label for label in manifest.labels if label not in (SILENCE, UNKNOWN))
    exchanged = {SILENCE: word, word: SILENCE}
    labels = tuple(exchanged.get(label, label) for label in manifest.labels)
    policy = dataclasses.replace(
        manifest.policy, thresholds=manifest.policy.thresholds | {word: 0.3}, room=None
    )
    changed = dataclasses.replace(
        manifest, labels=labels, policy=policy, lineage=secrets.token_hex(32)
    )
    path.write_bytes(archive.pack(encode_manifest(changed), opened.files))
    return path


class Fleet:
    """A fleet server in a process of its own, and its operator.

    Attributes:
        root: its folder.
        url: its address.
        admin_token: of one who may do everything.
        gateway_token: with which simulated devices come.
    """

    def __init__(self, root: Path, url: str, tokens: dict[str, Any]) -> None:
        self.root = root
        self.url = url
        self.admin_token: str = tokens["admin_token"]
        self.gateway_token: str = tokens["gateway_token"]

    @classmethod
    @contextlib.contextmanager
    def serving(cls, root: Path) -> Iterator[Fleet]:
        """A new fleet, served meanwhile."""
        tokens = _fleet(root, "init")
        _fleet(root, "tenant", "change", "default", "--poll", str(POLL_S))
        with _process("fleet", "serve", "--root", str(root), "--port", "0") as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield cls(root, line.split()[-1].rstrip("/"), tokens)

    def until_known(self, devices: int) -> None:
        """Waits until so many devices said what they are."""

        def known() -> bool:
            found = _fleet(self.root, "device", "list", "--limit", "1000")["devices"]
            return sum(bool(device["attributes"]) for device in found) >= devices

        _wait(known, f"{devices} devices did not come")

    def roll_out(self, bundle: Path) -> int:
        """Releases a bundle and starts its rollout: a canary with the agents in it, then all."""
        release = _fleet(self.root, "release", "add", str(bundle))
        canary = [*AGENTS, *(_name(number) for number in range(CANARY_SIMULATED))]
        made = _fleet(
            self.root, "rollout", "create", f"{release['name']}=={release['version']}",
            "--canary-devices", *canary, "--waves", "100", "--error", "0.1", "--sample", "12",
            "--exposure", "40",
        )  # fmt: skip
        _fleet(self.root, "rollout", "start", str(made["id"]))
        return int(made["id"])

    def status(self, rollout: int) -> dict[str, Any]:
        """How a rollout stands."""
        return _fleet(self.root, "rollout", "status", str(rollout), codes=(0, 3))

    def follow(self, rollout: int, state: str) -> None:
        """Tells how a rollout goes until it is in `state`."""
        shown = ""

        def arrived() -> bool:
            nonlocal shown
            status = self.status(rollout)
            line = ", ".join(
                f"{g['name']} {g['success']} of {g['devices']} succeeded, {g['error']} failed"
                for g in status["groups"]
            )
            if line != shown:
                say(f"   {status['release']['version']}: {line}")
                shown = line
            if status["state"] not in (state, "running"):
                raise SystemExit(f"the rollout is {status['state']}: {status['reason']}")
            if status["state"] == state and status["reason"]:
                say(f"   {state}: {status['reason']}")
            return bool(status["state"] == state)

        _wait(arrived, f"the rollout did not become {state}")

    def settle(self, rollout: int) -> None:
        """Waits until every agent that has the rollout's release reported; tells why each rolled back."""

        def reports() -> list[tuple[str, dict[str, Any]]]:
            shown = {name: _fleet(self.root, "device", "show", name) for name in AGENTS}
            newest = {name: device["actions"][0] for name, device in shown.items()}
            return [(n, a) for n, a in newest.items() if a["rollout"] == rollout and a["reports"]]

        def ended() -> bool:
            return all(action["state"] in ("error", "success") for _, action in reports())

        _wait(ended, "the agents did not report")
        for name, action in reports():
            details = action["reports"][-1]["details"] or ["it noticed nothing"]
            say(f"   {name}: {action['state']}: {details[-1]}")

    def summary(self, rollout: int) -> dict[str, Any]:
        """What the last line says of a rollout."""
        status = self.status(rollout)
        return {
            "id": rollout,
            "release": f"{status['release']['name']} {status['release']['version']}",
            "state": status["state"],
            "reason": status["reason"],
            "devices": sum(group["devices"] for group in status["groups"]),
            "canary": status["groups"][0]["devices"],
            "touched": sum(group["touched"] for group in status["groups"]),
        }

    def page(self, rollout: int) -> str:
        """The page of a rollout, as a browser that logged in gets it, with its style in it."""
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        browser = urllib.request.build_opener(cookies)
        form = urllib.parse.urlencode({"token": self.admin_token}).encode()
        login = urllib.request.Request(f"{self.url}/login", form, {"Origin": self.url})
        with browser.open(login):
            pass
        with browser.open(f"{self.url}/rollouts/{rollout}?tenant=default") as answer:
            text: str = answer.read().decode()
        with browser.open(f"{self.url}/page.css") as answer:
            style = answer.read().decode()
        status = self.status(rollout)
        if status["reason"] not in text.replace("&#39;", "'").replace("&gt;", ">"):
            raise SystemExit("the page does not say why the rollout was halted")
        return text.replace("</head>", f"<style>{style}</style></head>")


@contextlib.contextmanager
def crowd(fleet: Fleet) -> Iterator[None]:
    """The simulated devices, which poll meanwhile, in a thread of their own."""
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_poll(fleet, over)))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _poll(fleet: Fleet, over: threading.Event) -> None:
    connection = HttpConnection(fleet.url)
    token, base = f"GatewayToken {fleet.gateway_token}", "/default/controller/v1"
    behaviour, draw = Behaviour(failure_rate=0.0, silent_rate=0.0), random.Random(1)
    versions = present("auto")

    def device(number: int) -> Device:
        return Device(_name(number), "field", behaviour, draw, versions)

    devices = [device(number) for number in range(SIMULATED)]
    while not over.is_set():
        for number, each in enumerate(devices):
            if each.outcome:
                devices[number] = device(number)  # the simulator's go through one release only
            await devices[number].live(connection, base, token, time.monotonic())
        await asyncio.to_thread(over.wait, POLL_S)
    connection.close()


@contextlib.contextmanager
def agent(fleet: Fleet, place: Path, name: str, talk: Sequence[Path]) -> Iterator[None]:
    """An agent that does what the fleet says meanwhile, in a room where somebody says a word now and then."""
    folder = place / name
    folder.mkdir()
    token = _fleet(fleet.root, "device", "add", name)["token"]
    (folder / "fleet.token").write_text(token + "\n")
    shutil.copyfile(fleet.root / "repository" / "metadata" / "1.root.json", folder / "root.json")
    os.mkfifo(folder / "microphone")
    (folder / "agent.toml").write_text(
        f"""\
[device]
id = "{name}"
root = "device"
[repository]
url = ""
trusted_root = "root.json"
[fleet]
url = "{fleet.url}"
token_file = "fleet.token"
attributes = {{hardware = "demo"}}
[update]
poll = {POLL_S}
probation = {PROBATION_S}
[keyword]
source = "microphone"
"""
    )
    room = os.open(folder / "microphone", os.O_RDWR | os.O_NONBLOCK)
    over = threading.Event()
    listens = threading.Thread(target=_sound, args=(room, over, talk))
    words = ("edge_agent", "run", "--config", str(folder / "agent.toml"))
    try:
        with _process(*words, log=folder / "events.jsonl"):
            listens.start()
            yield
    finally:
        over.set()
        if listens.ident is not None:
            listens.join()
        os.close(room)


def _sound(room: int, over: threading.Event, talk: Sequence[Path]) -> None:
    """A word that is none of the model's and a second of quiet, in turns, at the pace of a clock."""
    draw = np.random.default_rng(room)
    piece = int(RATE * _PIECE_S)
    while not over.is_set():
        word = read_wav(talk[draw.integers(len(talk))]) if talk else np.zeros(0, np.int16)
        quiet = draw.normal(0, 8, RATE).astype(np.int16)
        sound = np.concatenate([word, quiet])
        for start in range(0, len(sound), piece):
            with contextlib.suppress(BlockingIOError):
                os.write(room, sound[start : start + piece].tobytes())
            if over.wait(_PIECE_S):
                return


def read_wav(path: Path) -> npt.NDArray[np.int16]:
    """The samples of one of the pipeline's own recordings."""
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples, np.int16)


def screenshot(page: Path, picture: Path) -> None:
    """A picture of the page, where there is a Chromium to make it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        return
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        contextlib.suppress(subprocess.TimeoutExpired),
    ):
        subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1400",
                f"--user-data-dir={profile}", f"--screenshot={picture}", page.as_uri(),
            ],
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    if picture.is_file():
        say(f"   its picture: {picture}")


def say(line: str) -> None:
    """Tells the person who watches."""
    print(line, file=sys.stderr, flush=True)


def _name(number: int) -> str:
    return f"sim-{number:03d}"


def _fleet(root: Path, *words: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
    """What a command of the fleet says."""
    command = [sys.executable, "-m", "fleet", *words, "--root", str(root), "--json"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"fleet {' '.join(words)}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@contextlib.contextmanager
def _process(*words: str, log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A module of ours in a process of its own, ended in order afterwards."""
    with contextlib.ExitStack() as stack:
        out = subprocess.PIPE if log is None else stack.enter_context(log.open("w"))
        environment = {**os.environ, "PYTHONPATH": str(TOP)}
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=out, text=True, env=environment,
            cwd=TOP if log is None else log.parent, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(otherwise)
        time.sleep(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--root", type=Path, default=Path("var"), help="as of `make run`")
    parser.add_argument("--keep", action="store_true", help="serve on until Ctrl-C")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(_parser().parse_args()))
    except KeyboardInterrupt:
        sys.exit(130)

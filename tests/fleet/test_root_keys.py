"""Who may sign: rotation, revocation, thresholds, ceremonies over several machines, and kills between."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from edge_agent.update import errors
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.waiting import Limits
from fleet.__main__ import main
from fleet.command_line import parse
from fleet.repository import KeysError, Repository
from fleet.repository.keys import read_key
from fleet.repository.root_keys import RootKeys, initialise
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"
ROLES = ("root", "targets", "snapshot", "timestamp")


class Site:
    """A repository with a release, its keys, and a device that has seen it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "repository"
        self.repository = initialise(self.path)
        self.first_root = self.repository.trust_roots()[0]
        self.publish(0)
        self.memory = folder / "memory"
        self.memory.mkdir()
        assert self.seen() == {"1.0.0"}

    def publish(self, number: int) -> None:
        bundle = make_bundle(self.folder / f"{number}.bundle", lineage=f"{number:064x}")
        self.repository.publish(NAME, bundle, None, NAME)

    def seen(self, memory: Path | None = None) -> set[str]:
        """The versions that a device sees, with the root it was made with and its memory."""
        client = RepositoryClient(
            self.path.as_uri(), self.first_root, memory or self.memory, Limits()
        )
        return {offer.version for offer in client.releases(NAME).values()}

    def seen_by_a_new_device(self) -> set[str]:
        memory = self.folder / "new device"
        shutil.rmtree(memory, ignore_errors=True)
        memory.mkdir()
        return self.seen(memory)

    def keys(self, **options) -> RootKeys:
        return RootKeys(self.path, clock=lambda: datetime.now(UTC), **options)

    def fleet(self, *words: str | Path) -> int:
        return main(parse(["fleet", *map(str, words)]))

    def status(self, capsys) -> dict:
        capsys.readouterr()
        self.fleet("repository", "status", "--repository", self.path, "--json")
        return json.loads(capsys.readouterr().out)


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("role", ROLES)
def test_a_rotated_key_is_taken_over_by_old_and_new_devices(site, role):
    stolen = site.folder / "stolen"
    shutil.copytree(site.folder / "keys", stolen)
    assert site.fleet("keys", "rotate", role, "--repository", site.path) == 0
    assert site.seen() == site.seen_by_a_new_device() == {"1.0.0"}
    site.publish(1)
    assert site.seen() == site.seen_by_a_new_device() == {"1.0.0", "1.0.1"}
    forge(site, role, stolen / f"{role}.pem")
    with pytest.raises(errors.UntrustedError):
        site.seen_by_a_new_device()
    if role in ("targets", "snapshot"):
        assert site.seen() == {"1.0.0", "1.0.1"}, "it has the true one, and asks for no other"
    else:
        with pytest.raises(errors.UntrustedError):
            site.seen()


def forge(site: Site, role: str, key: Path) -> None:
    """What a thief of `key` can put on the server: the next version of the role, signed by it."""
    metadata = site.path / "metadata"
    if role == "root":
        newest = max(metadata.glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
    elif role == "timestamp":
        newest = metadata / "timestamp.json"
    else:
        files = metadata.glob(f"*.{role}.json")
        newest = max(files, key=lambda path: int(path.name.split(".")[0]))
    forged = Metadata.from_file(str(newest))
    forged.signed.version += role in ("root", "timestamp")
    forged.sign(read_key(key))
    path = newest.with_name(f"{forged.signed.version}.root.json") if role == "root" else newest
    path.write_bytes(forged.to_bytes())


def test_a_ceremony_over_two_machines(site, capsys):
    anna = site.folder / "annas machine"
    anna.mkdir()
    assert site.fleet("keys", "new", anna / "anna.pem") == 0
    added = ("keys", "add", "root", "--public", anna / "anna.pem.pub", "--threshold", "2")
    assert site.fleet(*added, "--repository", site.path) == 3
    draft = site.folder / "draft/2.root.json"
    assert "0 more signatures of the former root's keys and 1 of its own" in capsys.readouterr().out
    assert site.status(capsys)["waiting"]["missing"] == [0, 1]
    assert site.fleet("keys", "sign", "--repository", site.path) == 3
    assert len(site.repository.trust_roots()) == 1
    with pytest.raises(KeysError, match="another change waits"):
        site.keys().rotate("timestamp")
    carried = shutil.copy(draft, anna / "2.root.json")
    assert site.fleet("keys", "sign", carried, "--key", anna / "anna.pem") == 0
    shutil.copy(carried, draft)
    assert site.fleet("keys", "sign", "--repository", site.path) == 0
    assert not draft.exists()
    assert site.seen() == site.seen_by_a_new_device() == {"1.0.0"}
    assert site.fleet("keys", "rotate", "timestamp", "--repository", site.path) == 3
    assert (
        site.fleet("keys", "sign", site.folder / "draft/3.root.json", "--key", anna / "anna.pem")
        == 0
    )
    assert site.fleet("keys", "sign", "--repository", site.path) == 0
    site.publish(1)
    assert site.seen() == {"1.0.0", "1.0.1"}


def test_a_signature_of_a_stranger_does_not_count(site):
    site.fleet("keys", "new", site.folder / "anna.pem")
    site.fleet("keys", "new", site.folder / "eve.pem")
    site.fleet(
        *("keys", "add", "root", "--public", site.folder / "anna.pem.pub", "--threshold", "2"),
        *("--repository", site.path),
    )
    site.fleet("keys", "sign", site.folder / "draft/2.root.json", "--key", site.folder / "eve.pem")
    assert site.fleet("keys", "sign", "--repository", site.path) == 3


def test_targets_may_need_two_signatures(site):
    assert site.keys().add("targets", None, 2).draft is None
    site.publish(1)
    targets = json.loads((site.path / "metadata/4.targets.json").read_text())
    assert len(targets["signatures"]) == 2
    assert site.seen() == {"1.0.0", "1.0.1"}
    second = next((site.folder / "keys").glob("targets-*.pem"))
    second.unlink()
    with pytest.raises(KeysError, match="not enough"):
        site.publish(2)
    assert site.seen() == {"1.0.0", "1.0.1"}


def test_a_key_that_is_not_here_is_revoked_by_its_id(site, capsys):
    site.fleet("keys", "new", site.folder / "anna.pem")
    site.fleet(
        *("keys", "add", "targets", "--public", site.folder / "anna.pem.pub"),
        *("--repository", site.path),
    )
    keys = {role["role"]: role for role in site.status(capsys)["roles"]}["targets"]
    (lost,) = set(keys["keys"]) - set(keys["at_hand"])
    assert site.fleet("keys", "revoke", "targets", lost[:8], "--repository", site.path) == 0
    assert site.seen() == {"1.0.0"}
    for keyid, words in (("ffff", "no single key"), ("", "no single key")):
        with pytest.raises(KeysError, match=words):
            site.keys().revoke("targets", keyid)
    with pytest.raises(KeysError, match="would have 0 keys and need 1"):
        site.keys().revoke("targets", keys["at_hand"][0])
    with pytest.raises(KeysError, match="would have 2 keys and need 3"):
        site.keys().add("targets", None, 3)


def test_an_expired_root_is_renewed(tmp_path):
    long_ago = datetime.now(UTC) - timedelta(days=400)
    repository = Repository(tmp_path / "repository", clock=lambda: long_ago)
    repository.publish(NAME, make_bundle(tmp_path / "0.bundle"), None, NAME)
    now = Repository(tmp_path / "repository")
    with pytest.raises(KeysError, match="keys renew"):
        now.refresh()
    assert (
        main(parse(["fleet", "keys", "renew", "--repository", str(tmp_path / "repository")])) == 0
    )
    now.refresh()
    client = RepositoryClient(
        (tmp_path / "repository").as_uri(), repository.trust_roots()[0], tmp_path / "m", Limits()
    )
    assert len(client.releases(NAME)) == 1


def test_killed_at_any_step_of_a_rotation_every_device_is_served(site, monkeypatch):
    """What is written last is the root; until then nothing has changed for anyone."""

    class Killed(BaseException):
        pass

    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for die_at in range(1, 30):
        left = die_at

        def counted(source, target):
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted)
            try:
                site.keys().rotate("timestamp")
                break
            except Killed:
                pass
        assert site.seen() == site.seen_by_a_new_device() == {"1.0.0"}
    assert die_at == 6, "the key, targets, snapshot, timestamp and root are written"
    site.publish(1)
    assert site.seen() == {"1.0.0", "1.0.1"}


def test_encrypted_keys_open_with_the_passphrase_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_KEY_PASSPHRASE", "open sesame")
    site = Site(tmp_path)
    assert b"ENCRYPTED" in (site.folder / "keys/root.pem").read_bytes()
    site.publish(1)
    for wrong in ("other", ""):
        monkeypatch.setenv("EDGE_KEY_PASSPHRASE", wrong)
        with pytest.raises(KeysError, match=r"EDGE_KEY_PASSPHRASE") as caught:
            site.publish(2)
        assert "sesame" not in str(caught.value)


def test_status_says_what_is_due(site, capsys):
    status = site.status(capsys)
    assert [role["role"] for role in status["roles"]] == [*ROLES]
    assert (status["waiting"], status["due"]) == (None, [])
    assert all(
        role["threshold"] == 1 and role["at_hand"] == role["keys"] for role in status["roles"]
    )
    words = ("repository", "status", "--repository", site.path)
    assert site.fleet(*words) == 0
    assert site.fleet(*words, "--within", "20") == 3
    assert (
        "due: timestamp expires: run `python -m fleet repository refresh" in capsys.readouterr().out
    )
    assert site.fleet("repository", "refresh", "--repository", site.path) == 0


def test_what_cannot_be_done_is_said_plainly(site, capsys):
    assert site.fleet("keys", "init", "--repository", site.path) == 1
    assert "is a repository already" in capsys.readouterr().err
    assert site.fleet("keys", "sign") == 1
    assert "give DRAFT and --key" in capsys.readouterr().err
    assert site.fleet("keys", "sign", "--repository", site.path) == 1
    assert "no root waits here" in capsys.readouterr().err
    published = site.path / "metadata" / "timestamp.json"
    before = published.read_bytes()
    key = site.folder / "anna.pem"
    site.fleet("keys", "new", key)
    assert site.fleet("keys", "sign", published, "--key", key) == 1
    assert "it is timestamp metadata" in capsys.readouterr().err
    assert published.read_bytes() == before
    for words in (("add", "root", "--public", site.folder / "0.bundle"), ("rotate", "targets")):
        shutil.rmtree(site.folder / "keys", ignore_errors=True)
        assert site.fleet("keys", *words, "--repository", site.path) == 1
        assert "Traceback" not in capsys.readouterr().err
    assert site.fleet("repository", "status", "--repository", site.folder / "none") == 1
    assert "no repository here" in capsys.readouterr().err

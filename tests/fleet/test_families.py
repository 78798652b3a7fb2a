"""Model families with keys of their own: who releases one can release no other, and a theft is put right."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from edge_agent.update import errors, install
from edge_agent.update.examination import examine
from fleet.__main__ import main
from fleet.command_line import parse
from fleet.repository import Repository
from fleet.repository.errors import KeysError, RepositoryError
from fleet.repository.families import Families
from fleet.repository.root_keys import RootKeys
from tests.fixtures.bundles import make_bundle

WORDS, PUMPS = "words", "pumps"


class Site:
    """A repository with two families, one of which has a key of its own, and devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.keys = folder / "keys"
        self.trust = folder / "root.json"
        self._made = 0
        self.release(WORDS)
        self.release(PUMPS)
        self.trust.write_bytes(Repository(self.repository).trust_roots()[0])
        self.families = Families(self.repository, clock=lambda: datetime.now(UTC))
        self.families.delegate(WORDS)

    def release(self, name: str) -> str:
        """One more release of `name`; gives its version."""
        self._made += 1
        path = make_bundle(self.folder / "next.bundle", lineage=f"{self._made:064x}")
        return Repository(self.repository).publish(name, path, None, "keyword_spotting").version

    def installed(self, name: str, device: str = "device") -> str:
        """The version of `name` that a device gets, which trusts the first root alone."""
        where = self.folder / f"{device}-{name}"
        told = install.run(str(self.repository), self.trust, where, name, prove_bundle=examine)
        version: str = told["version"]
        return version


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_family_is_released_without_the_targets_keys(site):
    assert site.installed(WORDS) == "1.0.0", "what was released before moved along"
    shutil.move(site.keys / "targets.pem", site.folder / "safe.pem")
    assert site.release(WORDS) == "1.0.1"
    with pytest.raises(KeysError, match="targets key cannot be read"):
        site.release(PUMPS)
    assert site.installed(WORDS) == "1.0.1"
    assert site.installed(PUMPS) == "1.0.0"
    assert [r.version for r in Repository(site.repository).releases(WORDS)] == ["1.0.0", "1.0.1"]


def test_the_key_of_one_family_releases_no_other(site):
    """Its thief lists a bundle of another family, under that one's name."""
    listed = Metadata[Targets].from_file(str(site.repository / "metadata/2.words.json"))
    forged = listed.signed.targets[f"{WORDS}/{WORDS}-1.0.0.bundle"]
    forged.path = f"{PUMPS}/{PUMPS}-9.0.0.bundle"
    forged.unrecognized_fields["custom"] |= {"name": PUMPS, "version": "9.0.0"}
    families = site.families
    with families._loaded() as state:
        state.families[WORDS].targets[forged.path] = forged
        families._publish(state, WORDS)
    assert site.installed(PUMPS) == "1.0.0"
    assert site.installed(WORDS) == "1.0.0"
    with pytest.raises(errors.UnknownReleaseError, match=r"no pumps 9\.0\.0"):
        site.installed(f"{PUMPS}==9.0.0")


@pytest.mark.parametrize("way", ["rotate", "revoke"])
def test_a_stolen_key_of_a_family_counts_no_more(site, way):
    assert site.installed(WORDS, "old") == "1.0.0"
    stolen = next(site.keys.glob(f"{WORDS}-*.pem"))
    thief = site.folder / "thief"
    shutil.copytree(site.repository, thief / "repository")
    shutil.copytree(site.keys, thief / "keys")
    if way == "rotate":
        site.families.rotate(WORDS)
    else:
        keyid = json.loads((site.repository / "metadata/2.words.json").read_text())["signatures"]
        site.families.add(WORDS)
        site.families.revoke(WORDS, keyid[0]["keyid"][:8])
    for path in site.keys.glob(f"{WORDS}-*.pem"):
        path.unlink()
    shutil.copy(thief / "keys" / stolen.name, stolen)  # the thief's is all that is left
    with pytest.raises(RepositoryError, match="not that of words"):
        site.release(WORDS)
    assert site.installed(WORDS, "old") == "1.0.0"
    assert site.installed(WORDS, "new") == "1.0.0"


def test_a_family_outlives_a_rotation_of_the_root_and_of_targets(site):
    keys = RootKeys(site.repository, clock=lambda: datetime.now(UTC))
    for role in ("root", "targets", "snapshot"):
        keys.rotate(role)
    assert site.release(WORDS) == "1.0.1"
    assert site.installed(WORDS) == "1.0.1"


def test_an_expired_family_is_refused_and_the_others_go_on(site):
    with site.families._loaded() as state:
        site.families.lifetimes = type(site.families.lifetimes)(targets=timedelta(seconds=-1))
        state.targets.expires = datetime.now(UTC)
        site.families._publish(state, WORDS)
    with pytest.raises(errors.ExpiredError, match="check this device's clock"):
        site.installed(WORDS)


def keys(*words: object, code: int = 0) -> None:
    assert main(parse(["fleet", "keys", *map(str, words)])) == code


def test_the_commands(site, capsys):
    where = ("--repository", site.repository)
    keys("delegate", PUMPS, *where)
    keys("add", PUMPS, *where)
    keys("rotate", PUMPS, *where)
    assert "pumps is signed by" in capsys.readouterr().out
    assert main(parse(["fleet", "repository", "status", *map(str, where), "--json"])) == 0
    told = {role["role"]: role for role in json.loads(capsys.readouterr().out)["roles"]}
    assert len(told[PUMPS]["keys"]) == 1
    assert told[PUMPS]["at_hand"] == told[PUMPS]["keys"]
    assert site.installed(PUMPS) == "1.0.0"
    for words, said in {
        ("delegate", PUMPS): "has keys of its own",
        ("delegate", "root"): "is a role of its own",
        ("rotate", "pomps"): "choose from root, targets, snapshot, timestamp, words, pumps",
        ("revoke", PUMPS, ""): "means no single key",
        ("revoke", PUMPS, told[PUMPS]["keys"][0]): "would have no key left",
        ("add", PUMPS, "--threshold", "2"): "by any one of its keys",
    }.items():
        keys(*words, *where, code=1)
        assert said in capsys.readouterr().err

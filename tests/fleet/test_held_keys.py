"""Keys that never leave where they are: a PKCS#11 token (softhsm2), AWS (moto); and encrypted files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from edge_agent.update import install
from edge_agent.update.examination import examine
from fleet.__main__ import main
from fleet.command_line import parse
from fleet.repository import Repository
from fleet.repository.keys import read_key
from tests.fixtures.bundles import make_bundle

PIN = "648219"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)


def keys(*words: object, code: int = 0) -> None:
    assert main(parse(["fleet", "keys", *map(str, words)])) == code


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a key on a token of its own."""
    pkcs11: Any = pytest.importorskip("pkcs11", reason="pip install 'securesystemslib[hsm]'")
    module = next((path for path in _MODULES if Path(path).exists()), None)
    program = shutil.which("softhsm2-util")
    if module is None or program is None:
        pytest.skip("no softhsm2: on Debian, apt-get install softhsm2")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", module)
    monkeypatch.setenv("EDGE_KEY_PIN", PIN)
    label = f"anna-{os.getpid()}"
    command = [program, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    library = pkcs11.lib(module)
    library.reinitialize()  # it reads its settings once, and each test has its own
    with library.get_token(token_label=label).open(rw=True, user_pin=PIN) as session:
        curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        parameters.generate_keypair(id=bytes([2]), store=True)
    return f"hsm:2?label={label}"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a key in AWS's key service, as moto plays it."""
    moto: Any = pytest.importorskip(
        "moto", reason="pip install 'securesystemslib[awskms]' 'moto[kms]'"
    )
    import boto3

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    from moto.kms import utils

    def sign_digest(key: Any, digest: bytes, _: str) -> bytes:
        """moto takes a digest for a message, as it says itself; AWS does not."""
        signature: bytes = key.private_key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return signature

    monkeypatch.setattr(utils.ECDSAPrivateKey, "sign", sign_digest)
    with moto.mock_aws():
        made = boto3.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
        yield f"awskms:{made['KeyMetadata']['KeyId']}"


class Site:
    """A repository with one release, and a device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        keys("init", "--repository", self.repository)
        self.trust = folder / "root.json"
        self.trust.write_bytes(Repository(self.repository).trust_roots()[0])
        self._releases = 0

    def release(self) -> None:
        """One more release, signed by the keys at hand."""
        self._releases += 1
        name = f"{self._releases}.bundle"
        path = make_bundle(self.folder / name, lineage=f"{self._releases:064x}")
        Repository(self.repository).publish("words", path, None, "keyword_spotting")

    def installed(self) -> str:
        """The version that a device gets, which trusts the first root alone."""
        device = self.folder / "device"
        told = install.run(str(self.repository), self.trust, device, "words", prove_bundle=examine)
        version: str = told["version"]
        return version


def goes_through_a_ceremony(folder: Path, address: str) -> None:
    """The key at `address` signs roots on another machine, and releases where it is at hand."""
    site = Site(folder)
    site.release()
    keys("hold", address, folder / "anna.json")
    assert "PRIVATE" not in (folder / "anna.json").read_text()
    public = ("--public", folder / "anna.json.pub")
    keys("add", "root", *public, "--threshold", "2", "--repository", site.repository, code=3)
    keys("sign", folder / "draft/2.root.json", "--key", folder / "anna.json")
    keys("sign", "--repository", site.repository)
    keys("add", "targets", "--held", folder / "anna.json", "--threshold", "2",
         "--repository", site.repository, code=3)  # fmt: skip
    keys("sign", folder / "draft/3.root.json", "--key", folder / "anna.json")
    keys("sign", "--repository", site.repository)
    site.release()
    assert site.installed() == "1.0.1"
    newest = json.loads((site.repository / "metadata/4.targets.json").read_text())
    assert len(newest["signatures"]) == 2


def test_a_key_on_a_token_signs_roots_and_releases(tmp_path, token, monkeypatch, capsys):
    goes_through_a_ceremony(tmp_path, token)
    monkeypatch.setenv("EDGE_KEY_PIN", "000000")
    draft = next(tmp_path.glob("repository/metadata/3.root.json"))
    (tmp_path / "draft.json").write_bytes(draft.read_bytes())
    keys("sign", tmp_path / "draft.json", "--key", tmp_path / "anna.json", code=1)
    assert "check $PYKCS11LIB and $EDGE_KEY_PIN" in capsys.readouterr().err


def test_a_key_in_a_cloud_signs_roots_and_releases(tmp_path, cloud):
    goes_through_a_ceremony(tmp_path, cloud)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:/etc/passwd", "give hsm:ID?label=TOKEN or awskms:KEY"),
        ("anna", "give hsm:ID?label=TOKEN or awskms:KEY"),
        ("hsm:x", "hsm:x: "),
    ],
)
def test_what_is_no_key_is_said(tmp_path, capsys, uri, words):
    keys("hold", uri, tmp_path / "x.json", code=1)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"uri": "file2:/x", "public": {}}', '{"uri": "hsm:2", "public": 7}']
)
def test_a_file_that_leads_to_no_key_is_refused(tmp_path, capsys, content):
    site = Site(tmp_path)
    (tmp_path / "x.json").write_text(content)
    keys("add", "root", "--held", tmp_path / "x.json", "--repository", site.repository, code=1)
    assert "x.json: " in capsys.readouterr().err


def test_keys_in_files_are_encrypted_under_a_passphrase(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EDGE_KEY_PASSPHRASE", "correct horse")
    site = Site(tmp_path)
    for path in (tmp_path / "keys").glob("*.pem"):
        assert b"ENCRYPTED" in path.read_bytes()
        read_key(path)
    site.release()
    assert site.installed() == "1.0.0"
    for passphrase in ("", "wrong"):
        monkeypatch.setenv("EDGE_KEY_PASSPHRASE", passphrase)
        keys("rotate", "targets", "--repository", site.repository, code=1)
        assert "not one that $EDGE_KEY_PASSPHRASE opens" in capsys.readouterr().err

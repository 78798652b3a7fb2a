"""Client certificates over real TLS, and what is believed of a proxy, against server processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import shutil
import signal
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.server.certificates import CERTIFIED, Authorities, Certified
from fleet.server.proxies import Proxies, behind
from fleet.server.revocations import Revocations
from fleet.store.errors import StoreError
from tests.fixtures.authorities import Authority
from tests.fixtures.fleet_process import server_process, serving

HASH = "5E72A0"


@pytest.fixture
def root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fleet with the tenants ``default`` and ``pumps``."""
    root = tmp_path / "fleet"
    _run(capsys, "init", "--root", str(root))
    _run(capsys, "tenant", "add", "pumps", "--root", str(root))
    return root


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(parse(["fleet", *arguments, "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def _client(server: Authority, shown: tuple[str, str] | None = None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(server.file))
    if shown is not None:
        context.load_cert_chain(*shown)
    return httpx.Client(verify=context, timeout=60)


def test_a_certificate_lets_in_the_device_that_it_names_where_its_authority_counts(root, tmp_path):
    web, ours, theirs = (Authority(tmp_path / name, name) for name in ("web", "ours", "theirs"))
    # One that calls itself as `ours` does, and is believed for another tenant.
    double = Authority(tmp_path / "double", "ours")
    certificate, key = web.issue("server")
    options = [
        "--certificate", certificate, "--key", key, "--client-ca", f"default={ours.file}",
        "--client-ca", f"pumps={double.file}",
    ]  # fmt: skip
    with serving(root, *options) as address:
        assert address.startswith("https:")
        poll = f"{address}/default/controller/v1"
        with _client(web, ours.issue("cam")) as cam:
            found = cam.get(f"{poll}/cam").json()["_links"]["configData"]["href"]
            assert found == f"{poll}/cam/configData"
            assert cam.put(found, json={"data": {"hardware": "pi-4"}}).status_code == 200
            assert cam.get(f"{poll}/other").status_code == 401
            assert cam.get(f"{address}/pumps/controller/v1/cam").status_code == 401
        with _client(web, double.issue("cam")) as cam:
            assert cam.get(f"{address}/pumps/controller/v1/cam").status_code == 200
            assert cam.get(f"{poll}/cam").status_code == 401
        with _client(web) as nobody:
            assert nobody.get(f"{poll}/cam").status_code == 401
            assert nobody.get(f"{poll}/cam", headers=_told("cam")).status_code == 401
            assert nobody.get(f"{address}/login").status_code == 200
        for shown in (theirs.issue("cam"), ours.issue("cam", expired=True)):
            with _client(web, shown) as stranger, pytest.raises(httpx.TransportError):
                stranger.get(f"{poll}/cam")


def test_a_new_certificate_is_taken_without_a_restart(root, tmp_path):
    former, later = Authority(tmp_path / "former"), Authority(tmp_path / "later")
    pair = [tmp_path / "server.pem", tmp_path / "server.key"]

    def put(issued: tuple[str, str]) -> None:
        for source, target in zip(issued, pair, strict=True):
            shutil.copy(source, target)

    put(former.issue("server"))
    options = ["--certificate", str(pair[0]), "--key", str(pair[1])]
    options += ["--client-ca", f"default={former.file}"]
    with server_process(root, *options) as running:
        with _client(former) as client:
            assert client.get(f"{running.address}/health/live").status_code == 200
        pair[1].write_text("half")
        running.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        with _client(former) as client:
            assert client.get(f"{running.address}/health/live").status_code == 200
        # A key of another kind, beside which the former certificate could be kept.
        put(later.issue("server", key=rsa.generate_private_key(65537, 2048)))
        running.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with (
                _client(later, former.issue("cam")) as client,
                contextlib.suppress(httpx.ConnectError),
            ):
                poll = f"{running.address}/default/controller/v1/cam"
                assert client.get(poll).status_code == 200
                return
            time.sleep(0.1)
    pytest.fail("the former certificate is still shown")


def test_a_certificate_that_was_taken_back_lets_nobody_in(root, tmp_path):
    web, ours, theirs = (Authority(tmp_path / name, name) for name in ("web", "ours", "theirs"))
    certificate, key = web.issue("server")
    options = [
        "--certificate", certificate, "--key", key, "--client-crl", str(ours.take_back()),
        "--client-ca", f"default={ours.file}", "--client-ca", f"default={theirs.file}",
    ]  # fmt: skip
    lost, kept = ours.issue("lost"), ours.issue("kept")
    with server_process(root, *options) as running:
        poll = f"{running.address}/default/controller/v1"

        def answers(client: httpx.Client, name: str, status: int) -> bool:
            end = time.monotonic() + 60
            while client.get(f"{poll}/{name}").status_code != status:
                if time.monotonic() > end:
                    return False
                time.sleep(0.1)
            return True

        with _client(web, lost) as at_once, _client(web, kept) as other:
            assert answers(at_once, "lost", 200)
            ours.take_back(lost[0])
            running.process.send_signal(signal.SIGHUP)
            assert answers(at_once, "lost", 401), "over the connection that is there"
            assert answers(other, "kept", 200)
            with _client(web, theirs.issue("third")) as third:
                assert answers(third, "third", 200), "whose authority has no list"


def let_in(authorities: Authorities, folder: Path, *names: str) -> list[str]:
    """Those of the names whose certificate lets them in."""
    shown = {n: ssl.PEM_cert_to_DER_cert((folder / f"{n}.pem").read_text()) for n in names}
    return [name for name, certificate in shown.items() if authorities.certify(certificate)]


def test_an_overdue_list_lets_nobody_in_and_a_damaged_one_changes_nothing(
    tmp_path, monkeypatch, caplog
):
    ours = Authority(tmp_path / "ours")
    names = ("lost", "kept")
    files = [ours.issue(name)[0] for name in names]
    file = ours.take_back(files[0])
    authorities = Authorities({"default": [ours.file]}, [file])
    assert let_in(authorities, ours.folder, *names) == ["kept"]
    file.write_text("half")
    with pytest.raises(StoreError, match="no revocation list"):
        authorities.read()
    whole = ours.take_back().read_bytes()
    file.write_bytes(whole + whole[:100])
    with pytest.raises(StoreError, match="is cut off"):
        authorities.read()
    der = x509.load_pem_x509_crl(whole).public_bytes(serialization.Encoding.DER)
    body = base64.encodebytes(der.replace(b"authority", b"\xff" * 9)).decode()
    file.write_text(f"-----BEGIN X509 CRL-----\n{body}-----END X509 CRL-----\n")
    with pytest.raises(StoreError, match="give a PEM file with revocation lists"):
        authorities.read()
    assert let_in(authorities, ours.folder, *names) == ["kept"]
    ours.take_back(lasts=datetime.timedelta(days=-1))
    authorities.read()
    assert let_in(authorities, ours.folder, *names) == []
    ours.take_back()
    authorities.read()
    assert let_in(authorities, ours.folder, *names) == ["lost", "kept"]
    before = authorities.reading()
    caplog.clear()
    monkeypatch.setattr(Revocations, "overdue", lambda _: True)
    assert authorities.reading() != before, "so connections that are there are looked at again"
    assert "overdue since" in caplog.text
    assert let_in(authorities, ours.folder, *names) == []


def point(**says: Any) -> x509.IssuingDistributionPoint:
    names = [x509.UniformResourceIdentifier(says.pop("url", "http://ca/1.crl"))]
    nothing = dict.fromkeys(
        ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl",
         "only_contains_attribute_certs"), False,
    )  # fmt: skip
    return x509.IssuingDistributionPoint(
        full_name=names, relative_name=None, only_some_reasons=None, **(nothing | says)
    )


def test_all_parts_of_a_list_count_and_what_is_no_list_by_itself_is_refused(tmp_path):
    ours = Authority(tmp_path / "ours")
    lost, _ = ours.issue("lost")
    ours.issue("kept")
    file = ours.take_back(lost, parts=[point(), point(url="http://ca/2.crl")])
    authorities = Authorities({"default": [ours.file]}, [file])
    assert let_in(authorities, ours.folder, "lost", "kept") == ["kept"]
    for part in (
        x509.DeltaCRLIndicator(7),
        point(indirect_crl=True),
        point(only_contains_ca_certs=True),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
    ):
        ours.take_back(parts=[part])
        with pytest.raises(StoreError, match="give the complete list"):
            authorities.read()
    assert let_in(authorities, ours.folder, "lost", "kept") == ["kept"]


def test_options_that_cannot_go_together_are_refused(root, tmp_path, capsys):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    nothing = tmp_path / "nothing.pem"
    other = Authority(tmp_path / "other", "other")
    tls, ca = (
        ["--certificate", certificate, "--key", key],
        ["--client-ca", f"default={authority.file}"],
    )
    for options, said in (
        (["--client-ca", f"default={authority.file}"], "without TLS"),
        (["--certificate", certificate], "give both"),
        (["--issuer", "default=1"], "give the --proxy"),
        (["--proxy", "nowhere"], "give an address"),
        (["--port", "99999"], "give 0 (any) to 65535"),
        (["--certificate", certificate, "--key", key, "--client-ca", f"default={nothing}"], "PEM"),
        ([*tls, "--client-crl", str(nothing)], "give the --client-ca"),
        ([*tls, *ca, "--client-crl", str(nothing)], "nothing.pem"),
        ([*tls, *ca, "--client-crl", certificate], "no revocation list"),
        ([*tls, *ca, "--client-crl", str(other.take_back())], "signed the list of CN=other"),
    ):
        given = parse(["fleet", "serve", "--root", str(root), "--port", "0", *options])
        assert main(given) == 1
        assert said in capsys.readouterr().err


def _told(name: str, hash_: str = HASH) -> dict[str, str]:
    return {
        "X-Ssl-Client-Cn": name,
        "X-Ssl-Issuer-Hash-1": hash_,
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "fleet.example.com",
    }


def test_a_trusted_proxy_tells_who_the_client_is(root):
    with serving(root, "--proxy", "127.0.0.1", "--issuer", f"default={HASH}") as address:
        poll = f"{address}/default/controller/v1"
        answer = httpx.get(f"{poll}/cam", headers=_told("cam", HASH.lower()), timeout=60)
        place = "https://fleet.example.com/default/controller/v1/cam/configData"
        assert answer.json()["_links"]["configData"]["href"] == place
        for tenant, name, headers in (
            ("default", "cam", _told("cam", "another")),
            ("default", "cam", _told("dog")),
            ("pumps", "cam", _told("cam")),
            ("default", "cam", {"X-Ssl-Client-Cn": "cam"}),
        ):
            answer = httpx.get(
                f"{address}/{tenant}/controller/v1/{name}", headers=headers, timeout=60
            )
            assert answer.status_code == 401, (tenant, name, headers)


def test_others_are_not_believed(root, capsys):
    token = _run(capsys, "device", "add", "cam", "--root", str(root))["token"]
    with serving(root, "--proxy", "192.0.2.0/24", "--issuer", f"default={HASH}") as address:
        poll = f"{address}/default/controller/v1/cam"
        assert httpx.get(poll, headers=_told("cam"), timeout=60).status_code == 401
        headers = {**_told("cam"), "Authorization": f"TargetToken {token}"}
        answer = httpx.get(poll, headers=headers, timeout=60)
        assert answer.json()["_links"]["configData"]["href"] == f"{poll}/configData"


@pytest.mark.parametrize(("told", "name"), [({}, ""), (_told("cam"), "cam")])
def test_the_certificate_of_a_proxy_itself_lets_no_client_in(told, name):
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope.get(CERTIFIED))

    headers = [(key.lower().encode(), value.encode()) for key, value in told.items()]
    shown = Certified("proxy", frozenset({"default"}))
    scope = {"type": "http", "client": ("192.0.2.1", 1), "headers": headers, CERTIFIED: shown}
    proxies = Proxies(addresses=("192.0.2.1",), issuers=(("default", HASH),))
    asyncio.run(behind(proxies, app)(scope, None, None))  # type: ignore[arg-type]
    assert found == [Certified(name, frozenset({"default"})) if name else None]


def test_networks_are_checked():
    with pytest.raises(StoreError, match=r"--proxy 10\.0\.0\.1/8"):
        Proxies(addresses=("10.0.0.1/8",))

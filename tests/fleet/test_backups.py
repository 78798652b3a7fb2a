"""A fleet goes into a file and comes out whole, in either kind of database."""

import dataclasses
import io
import json
import shutil
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.control.backups import all_parts, back_up, public_parts, restore
from fleet.repository import Repository
from fleet.repository.errors import RepositoryBusyError
from fleet.repository.files import locked
from fleet.store.database import Database, default_url
from fleet.store.dump import dump
from fleet.store.errors import StoreError
from tests.fixtures.fleet_process import serving
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY, SmallFleet


@pytest.fixture
def lived(any_fleet) -> SmallFleet:
    """A fleet that went through something, with a repository."""
    Repository(any_fleet.root / "repository").start()
    ids = any_fleet.add_devices(8, place="Süd")
    rollout = any_fleet.start(any_fleet.release("1.0.0"), dataclasses.replace(CANARY, percent=100))
    any_fleet.go_round(ids)
    any_fleet.tell(ids[0], "1.0.0", 1, triggers=3)
    assert any_fleet.status(rollout)["groups"][0]["touched"]
    return any_fleet


@pytest.fixture
def backup(lived, tmp_path):
    file = tmp_path / "fleet.tar.gz"
    assert back_up(lived.root, lived.database, file, public_parts()) == file.stat().st_size
    return file


def empty(folder) -> Database:
    folder.mkdir()
    return Database(default_url(folder))


def test_it_comes_back_whole_and_goes_on(lived, backup, tmp_path):
    place = tmp_path / "elsewhere"
    database = empty(place)
    assert restore(place, database, backup) > 10
    assert list(dump(database)) == list(dump(lived.database))
    assert (place / "repository/metadata/1.root.json").is_file()
    assert {path.name for path in (place / "artifacts").rglob("*") if path.is_file()}
    assert backup.stat().st_mode & 0o077 == 0
    database.close()

    again = SmallFleet.__new__(SmallFleet)  # the same fleet in its new place
    again.__dict__ |= lived.__dict__ | {"database": Database(default_url(place)), "root": place}
    more = again.add_devices(1, "late")
    assert again.poll(more[0]) is not None, "a new device gets the release"
    again.database.close()


def test_sqlite_moves_to_postgresql(small_fleet, postgresql, tmp_path):
    from tests.fixtures.postgresql import new_schema

    ids = small_fleet.add_devices(3)
    small_fleet.start(small_fleet.release("1.0.0"))
    file = tmp_path / "fleet.tar.gz"
    back_up(small_fleet.root, small_fleet.database, file, public_parts())
    with new_schema(postgresql) as url:
        database = Database(url)
        place = tmp_path / "new"
        restore(place, database, file)
        again = SmallFleet.__new__(SmallFleet)
        again.__dict__ |= small_fleet.__dict__ | {"database": database, "root": place}
        assert again.add_devices(1, "late")[0] == max(ids) + 1, "ids go on where they were"
        database.close()


def test_keys_are_in_it_only_if_that_was_asked_for(lived, backup, tmp_path):
    with tarfile.open(backup) as archive:
        assert not [name for name in archive.getnames() if name.startswith("keys")]
    (lived.root / "keys").mkdir(exist_ok=True)
    (lived.root / "keys" / "timestamp").write_text("secret")
    whole = tmp_path / "whole.tar.gz"
    back_up(lived.root, lived.database, whole, all_parts())
    with tarfile.open(whole) as archive:
        assert "keys/timestamp" in archive.getnames()
    place = tmp_path / "elsewhere"
    database = empty(place)
    restore(place, database, whole)
    database.close()
    assert (place / "keys").stat().st_mode & 0o077 == 0, "nobody else may look in"


def test_a_fleet_is_never_written_over(lived, backup, tmp_path):
    with pytest.raises(StoreError, match="is there already"):
        restore(lived.root, lived.database, backup)
    place = tmp_path / "other"
    database = empty(place)
    restore(place, database, backup)
    shutil.rmtree(place / "repository")
    shutil.rmtree(place / "artifacts")
    with pytest.raises(StoreError, match="holds a fleet already"):
        restore(place, database, backup)
    database.close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_told(small_fleet, tmp_path, share):
    small_fleet.add_devices(200)
    file = tmp_path / "fleet.tar.gz"
    back_up(small_fleet.root, small_fleet.database, file, public_parts())
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    place = tmp_path / "new"
    database = empty(place)
    with pytest.raises(StoreError, match=r"damaged|no backup"):
        restore(place, database, file)
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM device")) == 0
    database.close()


def test_a_file_with_a_damaged_byte_is_told(small_fleet, tmp_path):
    small_fleet.add_devices(200)
    file = tmp_path / "fleet.tar.gz"
    back_up(small_fleet.root, small_fleet.database, file, public_parts())
    data = file.read_bytes()
    for number, share in enumerate([0.1, 0.3, 0.5, 0.7, 0.9]):
        middle = int(share * len(data))
        file.write_bytes(data[:middle] + b"\xff" * 40 + data[middle + 40 :])
        place = tmp_path / f"new-{number}"
        database = empty(place)
        with pytest.raises(StoreError, match=r"damaged|no backup"):
            restore(place, database, file)
        database.close()


def archive(path, *lines: str, name: str = "fleet.jsonl"):
    with tarfile.open(path, "w:gz") as out:
        data = "".join(line + "\n" for line in lines).encode()
        header = tarfile.TarInfo(name)
        header.size = len(data)
        out.addfile(header, io.BytesIO(data))
        evil = tarfile.TarInfo("artifacts/../../evil")
        out.addfile(evil, io.BytesIO())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "is of schema|not JSON"),
        (('{"schema": "99"}',), "is of schema 99"),
        (('{"schema": "3"}', "nonsense"), "not JSON"),
        (('{"schema": "3"}', '["secrets", {}]'), "no known table"),
        (('{"schema": "3"}', '["tenant", {"id": "x"}]'), "a row of tenant"),
        (('{"schema": "3"}', '["tenant", 3]'), "a row of tenant"),
        (('{"schema": "3"}', '[["tenant"], {}]'), "no known table"),
        (('{"schema": "3"}', "[" * 100_000), "not JSON"),
    ],
)
def test_what_is_no_backup_is_refused(tmp_path, lines, said):
    archive(tmp_path / "odd.tar.gz", *lines)
    place = tmp_path / "new"
    database = empty(place)
    with pytest.raises(StoreError, match=said):
        restore(place, database, tmp_path / "odd.tar.gz")
    database.close()


def test_nothing_is_written_outside(tmp_path):
    archive(tmp_path / "odd.tar.gz", '{"schema": "3"}')
    place = tmp_path / "new"
    database = empty(place)
    with pytest.raises(StoreError, match="damaged"):
        restore(place, database, tmp_path / "odd.tar.gz")
    database.close()
    assert not (tmp_path / "evil").exists()


def test_the_commands(tmp_path, capsys):
    root, file = tmp_path / "fleet", tmp_path / "fleet.tar.gz"
    assert main(parse(["fleet", "init", "--root", str(root)])) == 0
    assert main(parse(["fleet", "backup", "--root", str(root), str(file)])) == 0
    assert "without keys" in capsys.readouterr().out
    new = tmp_path / "new"
    assert main(parse(["fleet", "restore", "--root", str(new), str(file)])) == 0
    assert main(parse(["fleet", "device", "list", "--root", str(new)])) == 0
    assert main(parse(["fleet", "restore", "--root", str(new), str(file)])) == 1
    assert "is there already" in capsys.readouterr().err


def test_nobody_publishes_while_metadata_is_read(lived, tmp_path, monkeypatch):
    """A publisher that is at work is waited for; the backup's metadata is of one moment, and there once."""
    folder = lived.root / "repository"
    monkeypatch.setattr("fleet.control.backups._LOCK_SECONDS", 0.2)
    with locked(folder / ".lock", 1.0), pytest.raises(RepositoryBusyError):
        back_up(lived.root, lived.database, tmp_path / "busy.tar.gz", public_parts())
    assert not list(tmp_path.glob("*busy*"))
    file = tmp_path / "fleet.tar.gz"
    back_up(lived.root, lived.database, file, public_parts())
    with tarfile.open(file) as opened:
        names = opened.getnames()
    assert names.count("repository/metadata/timestamp.json") == 1


def test_a_fleet_that_serves_is_moved_with_two_commands(tmp_path, capsys):
    """What was done until the backup goes on elsewhere, with the tokens that everybody has."""
    old, new, file = tmp_path / "old", tmp_path / "new", str(tmp_path / "fleet.tar.gz")

    def fleet(root: Path, *arguments: str):
        assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == 0
        return json.loads(capsys.readouterr().out)

    tokens = fleet(old, "init")
    image = tmp_path / "image.swu"
    image.write_bytes(b"image")
    fleet(old, "release", "add", str(image), "--name", "os", "--version", "1.0.0")
    token = fleet(old, "device", "add", "cam")["token"]
    fleet(old, "rollout", "create", "os==1.0.0", "--canary", "100")
    fleet(old, "rollout", "start", "1")
    device = {"Authorization": f"TargetToken {token}"}
    admin = {"Authorization": f"Bearer {tokens['admin_token']}"}
    poll = "default/controller/v1/cam"
    with serving(old) as address:
        while "deploymentBase" not in (
            shown := links(httpx.get(f"{address}/{poll}", headers=device, timeout=60))
        ):
            pass
        fleet(old, "backup", file)
    fleet(new, "restore", file)
    with serving(new) as address:
        found = links(httpx.get(f"{address}/{poll}", headers=device, timeout=60))
        assert urlsplit(found["deploymentBase"])[2:] == urlsplit(shown["deploymentBase"])[2:]
        (chunk,) = httpx.get(found["deploymentBase"], headers=device, timeout=60).json()[
            "deployment"
        ]["chunks"]
        href = chunk["artifacts"][0]["_links"]["download"]["href"]
        assert httpx.get(href, headers=device, timeout=60).content == b"image"
        base = found["deploymentBase"].partition("?")[0]
        said = {"status": {"execution": "closed", "result": {"finished": "success"}}}
        assert (
            httpx.post(f"{base}/feedback", json=said, headers=device, timeout=60).status_code == 200
        )
        status = httpx.get(f"{address}/api/v1/default/rollouts/1", headers=admin, timeout=60).json()
        assert status["groups"][0]["success"] == 1

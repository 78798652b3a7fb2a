"""A device that changes hands: it trusts others, or forgets all that it was."""

import contextlib
import json

import pytest

from edge_agent.__main__ import main
from edge_agent.command_line import parse
from edge_agent.update import durable
from edge_agent.update.slots import DeviceFolder
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.field import Field


@pytest.fixture
def field(tmp_path):
    made = Field(tmp_path)
    made.publish(1)
    made.update()
    return made


def reset(*words, code: int = 0) -> None:
    assert main(parse(["edge_agent", "reset", *map(str, words)])) == code


def left(field) -> set[str]:
    return {path.name for path in field.device.iterdir()}


def test_of_what_was_there_nothing_is_left(field, capsys):
    for name in ("telemetry.json", "told.json", "adaptations/1/head.npy", "queue/7"):
        path = field.device / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something")
    reset("--root", field.device, "--json")
    assert json.loads(capsys.readouterr().out) == {"root": str(field.device)}
    assert left(field) == {".lock"}
    assert field.update()["to"] == "1.0.0", "and it is as good as new"


def test_a_folder_that_is_a_disk_of_its_own_keeps_what_is_the_disk_s(field):
    (field.device / "lost+found").mkdir()
    reset("--root", field.device)
    assert left(field) == {".lock", "lost+found"}


def test_another_root_given_from_outside_counts_at_once_and_what_runs_runs_on(tmp_path, field):
    (tmp_path / "other").mkdir()
    other = Field(tmp_path / "other")
    other.device = field.device
    for number in (1, 2):
        other.publish(number)
    (other.folder / "root.json").write_bytes((field.folder / "root.json").read_bytes())
    assert other.update(code=1)["to"] == "1.0.0", "it trusts the former owner alone"
    (other.folder / "root.json").write_bytes(other.repository.trust_roots()[0])
    assert other.update()["to"] == "1.0.1"


def test_a_daemon_that_runs_is_not_robbed_of_its_folder(field, capsys):
    settings = '[keyword]\nsource = "microphone"\n'
    with daemon(write_config(field.folder, settings)) as running:
        running.until(lambda told: True)
        reset("--root", field.device, code=1)
    assert "the daemon runs: stop it" in capsys.readouterr().err
    assert DeviceFolder(field.device).current() is not None
    reset("--root", field.device)
    assert left(field) == {".lock"}, "and of what it made there nothing is in the way"


def test_another_folder_is_not_emptied(tmp_path, capsys):
    (tmp_path / "precious").write_text("x")
    assert (
        main(parse(["edge_agent", "status", "--root", str(tmp_path)])) == 0
    )  # looks, and makes nothing
    reset("--root", tmp_path, code=1)
    assert "is no device folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_device_is_named_and_not_guessed(field, monkeypatch, capsys):
    monkeypatch.setenv("STATE_DIRECTORY", str(field.device))
    with pytest.raises(SystemExit, match="2"):
        reset()
    assert "one of the arguments --config --root is required" in capsys.readouterr().err
    assert DeviceFolder(field.device).current() is not None


def test_what_is_not_the_agents_does_not_go_with_it(field, capsys):
    for name in ("agent.toml", "photos"):
        (field.device / name).write_text("[device]\n")
        reset("--root", field.device, code=1)
        assert f"{name}: no agent made it, and it would go" in capsys.readouterr().err
        (field.device / name).unlink()
    assert DeviceFolder(field.device).current() is not None


def test_a_death_at_any_step_leaves_a_folder_that_can_be_reset(field, monkeypatch):
    """Each removal is followed by a sync: the process dies there, once at each of them."""

    class Death(BaseException):
        pass

    real, deaths = durable.sync_folder, 0
    while (field.device / "slots").is_dir():
        left_to_do = iter(range(deaths))

        def sync(folder, left_to_do=left_to_do):
            real(folder)
            if next(left_to_do, None) is None:
                raise Death

        with monkeypatch.context() as patched, contextlib.suppress(Death):
            patched.setattr(durable, "sync_folder", sync)
            reset("--root", field.device)
        assert not (field.device / "current").exists()
        deaths += 1
    assert left(field) == {".lock"}
    assert deaths > 2
    assert field.update()["to"] == "1.0.0"

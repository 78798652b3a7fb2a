"""The command `ui` as people use it: its address, its errors, its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from components.base import UserError
from pipeline.command_line import parse
from pipeline.lineage.store import LineageStore
from tests.fixtures.web_server import address_of, start

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    store = LineageStore.at(root)
    store.begin_run("try", {})
    store.close()
    return root


@pytest.mark.parametrize(
    ("number", "options", "said"),
    [(signal.SIGINT, (), ""), (signal.SIGTERM, ("--host", "0.0.0.0"), "no authentication")],
)
def test_it_says_where_it_is_and_ends_quietly(root, number, options, said):
    server = start(root, *options)
    address = address_of(server)
    with httpx.Client(timeout=60) as client:  # its connection stays open while the server ends
        assert "Run 1" in client.get(f"{address}/").text
        assert client.get(f"{address}/", headers={"Host": "elsewhere.example"}).status_code == 421
        server.send_signal(number)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, out) == (0, "")
    assert said in err
    assert err.count("\n") == (1 if said else 0)


def test_a_signal_that_comes_at_once_ends_it(root):
    server = start(root)
    address_of(server)
    server.send_signal(signal.SIGTERM)
    assert server.communicate(timeout=60) == ("", "")
    assert server.returncode == 0


def test_a_port_that_is_taken_is_an_error_that_names_the_option(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = parse(["pipeline", "ui", "--root", str(root), "--port", port])
        with pytest.raises(UserError, match=f"port {port} is taken.*--port"):
            arguments.run(arguments)


def test_an_address_of_another_machine_is_an_error_that_names_the_option(root):
    for host in ("nowhere.invalid", "192.0.2.1"):
        arguments = parse(["pipeline", "ui", "--root", str(root), "--host", host, "--port", "0"])
        with pytest.raises(UserError, match=host):
            arguments.run(arguments)


@pytest.mark.parametrize("port", ["-1", "65536", "x", "9" * 5000, "٣"])
def test_a_port_that_is_none_is_wrong_usage(root, port, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(["pipeline", "ui", "--root", str(root), f"--port={port}"])
    assert "0 to 65535" in capsys.readouterr().err


def test_a_root_without_a_run_is_an_error_with_the_next_step(tmp_path):
    arguments = parse(["pipeline", "ui", "--root", str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="python -m pipeline run"):
        arguments.run(arguments)
    assert not (tmp_path / "nowhere").exists()


def test_a_url_of_no_database_is_an_error_that_does_not_repeat_it(tmp_path):
    arguments = parse(
        ["pipeline", "ui", "--root", str(tmp_path), "--lineage", "mysql://me:secret@host/x"]
    )
    with pytest.raises(UserError, match="not supported") as caught:
        arguments.run(arguments)
    assert "secret" not in str(caught.value)


def test_it_starts_without_the_heavy_packages():
    program = (
        "import sys; from pipeline import command_line; from pipeline.web import server; "
        "print([m for m in ('tensorflow', 'numpy', 'matplotlib', 'apache_beam', 'rich', 'alembic') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

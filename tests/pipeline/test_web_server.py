"""The command `ui` as people use it: its address, its errors, its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.lineage.store import LineageStore
from tests.fixtures.web_server import address_of, start

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    store = LineageStore.at(root)
    store.begin_run("try", {})
    store.close()
    return root


def ended(server: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = server.communicate(timeout=60)
    return server.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_quietly(root, number):
    server = start(root)
    address = address_of(server)
    assert address.startswith("http://127.0.0.1:")
    with httpx.Client() as client:  # its connection stays open while the server ends
        assert "Run 1" in client.get(f"{address}/").text
        assert client.get(f"{address}/", headers={"Host": "elsewhere.example"}).status_code == 421
        server.send_signal(number)
        assert ended(server) == (0, "", "")


def test_a_port_that_is_taken_is_an_error_that_names_the_option(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = ended(start(root, "--port", str(port)))
    assert (code, out) == (1, "")
    assert f"error: port {port} is taken" in err
    assert "--port" in err


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_is_none_is_an_error(root, port):
    code, out, err = ended(start(root, "--port", port))
    assert code in (1, 2)
    assert out == ""
    assert "Traceback" not in err
    assert "port" in err


def test_a_root_without_a_run_is_an_error_with_the_next_step(tmp_path):
    code, _, err = ended(start(tmp_path / "nowhere"))
    assert code == 1
    assert "python -m pipeline run" in err
    assert not (tmp_path / "nowhere").exists()


def test_serving_others_has_to_be_asked_for_and_warns(root):
    server = start(root, "--host", "0.0.0.0")
    address_of(server)
    server.send_signal(signal.SIGTERM)
    code, _, err = ended(server)
    assert code == 0
    assert "no authentication" in err


def test_it_starts_without_the_heavy_packages(root):
    program = (
        "import sys, argparse; from pipeline.web.reading import ReadOnlyStore; "
        "from pipeline.web.app import make_app; from pipeline.web import server; "
        "print([m for m in ('tensorflow', 'numpy', 'matplotlib', 'apache_beam', 'rich') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

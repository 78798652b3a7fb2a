"""The example of agent.toml: it holds every setting, with its default, and can be used as it is."""

import dataclasses
import re
import tomllib
import typing

import pytest

from edge_agent.__main__ import main
from edge_agent.command_line import parse
from edge_agent.commands.config import EXAMPLE
from edge_agent.config import read_config
from edge_agent.tables import Config


def config(*words: object) -> int:
    return main(parse(["edge_agent", "config", *map(str, words)]))


def test_the_example_can_be_used_as_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert config("--example") == 0
    path = tmp_path / "agent.toml"
    path.write_text(capsys.readouterr().out)
    assert config("--check", path) == 0
    assert capsys.readouterr().out == f"{path}: can be used\n"
    assert read_config(path).limits == Config().limits
    monkeypatch.delenv("STATE_DIRECTORY")
    assert config("--check", path) == 0
    assert "set device.root in agent.toml, or $STATE_DIRECTORY" in capsys.readouterr().out


def test_the_example_holds_every_setting_with_its_default(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(re.sub(r"^#(?=\S)", "", EXAMPLE, flags=re.MULTILINE))
    read_config(path)  # all of it at once is read as well
    written = tomllib.loads(path.read_text())
    tables = typing.get_type_hints(Config)
    assert written.keys() == tables.keys()
    for name, hint in tables.items():
        (table,) = [t for t in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(t)]
        fields = {field.name: field for field in dataclasses.fields(table)}
        assert written[name].keys() == fields.keys(), name
        for key, value in written[name].items():
            default = fields[key].default
            plain = list(default) if isinstance(default, tuple) else default
            if plain not in ("", None, dataclasses.MISSING):
                assert value == plain, f"{name}.{key}"


@pytest.mark.parametrize(
    ("text", "words"),
    {
        '[keyword]\nsource = "-"\nsinks = ["mqt"]': "sinks[0]: 'mqt' is not one of",
        '[mqtt]\nhost = ""\n[keyword]\nsource = "-"': "host must be a name",
        '[mqtt]\nhost = "x"\ntopic = "a/#"\n[keyword]\nsource = "-"': "levels without + and #",
        '[webhook]\nurl = "ftp://x"\n[keyword]\nsource = "-"': "must begin with http",
        '[metrics]\nport = -1\n[keyword]\nsource = "-"': "port must be 0 to 65535",
        '[anomaly]\nsource = "mqtt:rows"': "anomaly.source is a topic: give [mqtt]",
    }.items(),
)
def test_what_cannot_be_used_is_said(tmp_path, capsys, text, words):
    path = tmp_path / "agent.toml"
    path.write_text(text + "\n")
    assert config("--check", path) == 1
    assert words in capsys.readouterr().err

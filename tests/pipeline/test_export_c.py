"""``export BUNDLE --to c DIR``: what it writes compiles, and holds what the bundle holds."""

import ast
import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.base import UserError
from components.targets.profile import load_profile
from components.targets.schema import operator_names, schema
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import encode_manifest
from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.export import c_text, folder
from pipeline.export.c_sources import c_sources
from pipeline.export.tflm_resolver import add_call
from tests.fixtures import bundles
from tests.fixtures.streaming_bundles import streaming_parts

STAND_IN = Path(bundles.__file__).parent / "tflm_stand_in"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
ARM = ("-mcpu=cortex-m4", "-mthumb", "-Os")
PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "keyword_spotting_golden.h"
#include "keyword_spotting_keyword_model.h"
#include "keyword_spotting_parameters.h"
int main(void) {
  if ((uintptr_t)keyword_spotting_keyword_model % 16) return 1;
  fwrite(keyword_spotting_keyword_model, 1, sizeof keyword_spotting_keyword_model, stdout);
  fwrite(keyword_spotting_golden_inputs, 1, sizeof keyword_spotting_golden_inputs, stdout);
  fwrite(keyword_spotting_golden_outputs, 1, sizeof keyword_spotting_golden_outputs, stdout);
  for (int i = 0; i < KEYWORD_SPOTTING_LABEL_COUNT; ++i)
    printf("%s %g;", keyword_spotting_labels[i], (double)keyword_spotting_thresholds[i]);
  return 0;
}
"""


def export(*words: object) -> int:
    return main(parse(["pipeline", "export", *map(str, words)]))


def build(compiler: str, *words: object) -> None:
    done = subprocess.run(
        [compiler, *map(str, words)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("bundle") / "t.bundle")


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("export") / "firmware" / "keywords"
    assert export(bundle, "--to", "c", where) == 0
    return where


def test_equal_bundles_give_equal_files(bundle, exported):
    files = c_sources(archive.read(bundle))
    assert {name: (exported / name).read_bytes() for name in files} == dict(files)
    assert {path.name for path in exported.iterdir()} == {*files, folder.RECORD}


def test_the_sources_compile_for_a_cortex_m(exported, tmp_path):
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip(
            "no arm-none-eabi-gcc: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
        )
    for source in exported.glob("*.c"):
        object_file = tmp_path / f"{source.stem}.o"
        build("arm-none-eabi-gcc", "-std=c11", *ARM, *WARNINGS, "-c", source, "-o", object_file)
    for header in exported.glob("*.h"):
        if "resolver" not in header.name:
            build("arm-none-eabi-gcc", "-std=c99", *ARM, "-fsyntax-only", "-x", "c", header)
    size = ["arm-none-eabi-size", tmp_path / "keyword_spotting_keyword_model.o"]
    said = subprocess.run(size, capture_output=True, text=True, check=True).stdout
    # All of it is constant: flash, no RAM.
    assert re.split(r"\s+", said.splitlines()[1].strip())[1:3] == ["0", "0"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_a_gate_is_a_model_of_its_own_and_the_header_says_when_it_opens(tmp_path):
    manifest, files = bundles.gated_parts(opens_at=0.25)
    path, where = tmp_path / "gated.bundle", tmp_path / "firmware"
    path.write_bytes(archive.pack(encode_manifest(manifest), files))
    assert export(path, "--to", "c", where) == 0
    header = (where / "keyword_spotting_parameters.h").read_text()
    assert "#define KEYWORD_SPOTTING_GATE_OPENS_AT 0.25f" in header
    assert {"keyword_spotting_gate_model.c", "keyword_spotting_keyword_model.c"} <= {
        path.name for path in where.iterdir()
    }
    for source in where.glob("*.c"):
        build("gcc", *WARNINGS, "-std=c99", "-c", source, "-o", tmp_path / f"{source.stem}.o")
    assert not (where / "main.cc").exists()
    assert "OPENS_AT" in (where / "README.md").read_text()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_the_compiled_arrays_are_the_bundles_bytes(bundle, exported, tmp_path):
    program = tmp_path / "program.c"
    program.write_text(PROGRAM)
    sources = [program, *exported.glob("*.c")]
    build("gcc", "-std=c11", *WARNINGS, "-I", exported, *sources, "-o", tmp_path / "program")
    said = subprocess.run([tmp_path / "program"], capture_output=True, check=True).stdout
    held = archive.read(bundle)
    parts = [held.files[bundles.MODEL]]
    parts += [held.array(f"golden_{end}.npy").tobytes() for end in ("inputs", "outputs")]
    arrays = b"".join(parts)
    assert said[: len(arrays)] == arrays
    assert said[len(arrays) :] == b"_silence_ 2;_unknown_ 2;yes 0.6;no 0.6;stop 0.6;"


@pytest.fixture(scope="module")
def streaming(tmp_path_factory) -> Path:
    """The export of a bundle whose model streams."""
    folder = tmp_path_factory.mktemp("streaming")
    manifest, files = streaming_parts()
    (folder / "t.bundle").write_bytes(archive.pack(encode_manifest(manifest), files))
    assert export(folder / "t.bundle", "--to", "c", folder / "firmware") == 0
    return folder / "firmware"


def test_what_a_streaming_model_remembers_is_told(streaming):
    frames, channels = 46, 40  # of 49, 3 are new
    state = (streaming / "keyword_spotting_keyword_state.h").read_text()
    assert f"std::memset(held_ + 0, 0, {frames * channels});" in state
    header = (streaming / "keyword_spotting_keyword_model.h").read_text()
    assert "KEYWORD_FRAMES 3\n" in header
    assert "KEYWORD_WINDOW 49\n" in header
    assert "`State::Reset`" in (streaming / "README.md").read_text()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize(
    ("form", "layout"),
    [("exported", []), ("exported", ["-DIN_MICRO"]), ("streaming", ["-DSTREAMING"])],
)
def test_the_example_compiles_in_both_of_tflms_layouts_and_judges_the_golden_vectors(
    request, tmp_path, form, layout
):
    exported, objects = request.getfixturevalue(form), []
    for source in exported.glob("*.c"):
        objects.append(tmp_path / f"{source.stem}.o")
        build("gcc", "-std=c11", "-c", source, "-o", objects[-1])
    for off, code in ((0, 0), (1, 0), (2, 1)):
        program = tmp_path / f"main{off}"
        flags = ["-std=c++11", *WARNINGS, *layout, f"-DOFF={off}", "-I", STAND_IN, "-I", exported]
        build("g++", *flags, exported / "main.cc", *objects, "-o", program)
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        assert (done.returncode, f"worst difference: {off} " in done.stdout) == (code, True)
        assert "vector 2: yes" in done.stdout


def test_the_resolver_holds_exactly_the_models_operators(exported):
    text = (exported / "keyword_spotting_keyword_resolver.h").read_text()
    assert "MicroMutableOpResolver<4>" in text
    calls = re.findall(r"resolver\.(\w+)\(\)", text)
    assert calls == ["AddAveragePool2D", "AddFullyConnected", "AddReshape", "AddSoftmax"]


def test_tflm_has_a_function_for_every_operator_that_its_profile_names():
    names = (STAND_IN / "tensorflow/lite/micro/resolver_names.inc").read_text()
    known = {f"Add{name}" for name in re.findall(r"ADD\((\w+)\)", names)}
    assert {add_call(operator) for operator in load_profile("tflm").operators} == known


def test_the_arena_is_what_tflm_measured_and_a_quarter_more(exported):
    text = (exported / "keyword_spotting_keyword_model.h").read_text()
    measured = int(re.search(r"takes (\d+) bytes, measured; 25% more", text).group(1))
    arena = int(re.search(r"ARENA_BYTES (\d+)", text).group(1))
    assert 1.25 * measured <= arena < 1.25 * measured + 16
    assert arena % 16 == 0


def test_an_earlier_export_is_replaced_and_nothing_else_is(bundle, exported, tmp_path, capsys):
    where = tmp_path / "keywords"
    shutil.copytree(exported, where)
    other = bundles.make_bundle(tmp_path / "other.bundle", seed=1)
    assert export(other, "--to", "c", where) == 0
    assert (where / "keyword_spotting_golden.c").read_bytes() != (
        exported / "keyword_spotting_golden.c"
    ).read_bytes()
    (where / "main.cc").write_text("my own work")
    assert export(bundle, "--to", "c", where) == 1
    assert "main.cc: was changed since it was exported" in capsys.readouterr().err
    assert (where / "main.cc").read_text() == "my own work"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"notes.txt": "mine"}, "is not empty, and not an earlier export"),
        ({folder.RECORD: "[]"}, "is not the record of an export"),
        ({folder.RECORD: '{"files": {}}', "notes.txt": "mine"}, "holds notes.txt, which no export"),
    ],
)
def test_a_folder_of_the_users_is_left_alone(tmp_path, content, said):
    where = tmp_path / "mine"
    where.mkdir()
    for name, text in content.items():
        (where / name).write_text(text)
    with pytest.raises(UserError, match=said):
        folder.write_export(where, {"a.c": b"a"}, format="c", bundle="0", name="n")
    assert {path.name: path.read_text() for path in where.iterdir()} == content
    assert list(tmp_path.iterdir()) == [where]


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_an_export_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing):
    where = tmp_path / "keywords"
    folder.write_export(where, {"a.c": b"old"}, format="c", bundle="0", name="n")
    real, calls = getattr(os, failing), []

    def fail(*words):
        # The first rename takes the old export away; what fails is putting the new one there.
        calls.append(words)
        if len(calls) == (2 if failing == "rename" else 1):
            raise OSError(28, "No space left on device")
        return real(*words)

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        folder.write_export(where, {"a.c": b"new"}, format="c", bundle="0", name="n")
    assert (where / "a.c").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [where]


def test_what_tflm_cannot_run_is_refused_by_operator(tmp_path, capsys):
    manifest, files = bundles.bundle_parts()
    model = schema().ModelT.InitFromPackedBuf(files[bundles.MODEL], 0)
    gelu = next(code for code, name in operator_names().items() if name == "GELU")
    last = model.operatorCodes[3]
    last.builtinCode, last.deprecatedBuiltinCode, last.version = gelu, 127, 1
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    files[bundles.MODEL] = bytes(builder.Output())
    manifest = dataclasses.replace(manifest, files=archive.describe_files(files))
    path = tmp_path / "gelu.bundle"
    path.write_bytes(archive.pack(encode_manifest(manifest), files))
    assert export(path, "--to", "c", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "has no GELU: use RELU" in said
    assert not (tmp_path / "out").exists()


def test_a_bundle_cut_short_is_named(bundle, tmp_path, capsys):
    cut = tmp_path / "cut.bundle"
    cut.write_bytes(bundle.read_bytes()[:-100])
    assert export(cut, "--to", "c", tmp_path / "out") == 1
    assert "cut.bundle: not a whole bundle" in capsys.readouterr().err


@given(st.text(max_size=30))
def test_any_label_is_a_string_literal_of_its_own_bytes(text):
    # Python's byte literals take the same octal escapes.
    assert ast.literal_eval("b" + c_text.string(text)) == text.encode("utf-8", "replace")
    assert re.fullmatch(r"[a-z][a-z0-9_]*", c_text.identifier(text))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_any_float_is_a_literal_that_gives_it_back(value):
    text = c_text.real(value)
    assert np.float32(text.removesuffix("f")) == np.float32(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text)
    assert "." in text or "e" in text

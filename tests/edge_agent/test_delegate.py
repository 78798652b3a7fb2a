"""A delegate of the runtime, such as an Edge TPU's: given the model where it can be had, else none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edge_agent
from edge_agent.config import ConfigError, read_config
from edge_agent.runtime import RuntimeModelError, open_model
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.speech import utterance

# The least that TFLite's interface for external delegates asks for; it takes over nothing of a model, and
# fails from the model on whose number $DELEGATE_FAILS gives.
LIBRARY = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct Delegate {
  void *data;
  int (*prepare)(void *context, struct Delegate *delegate);
  void *copy_from, *copy_to, *free_buffer;
  int64_t flags;
  void *opaque;
};
static int prepare(void *context, struct Delegate *delegate) {
  FILE *mark = fopen(getenv("DELEGATE_MARK"), "a");
  fputs("given a model\\n", mark);
  fclose(mark);
  static int models = 0;
  const char *from = getenv("DELEGATE_FAILS");
  return ++models >= (from ? atoi(from) : 1000);
}
struct Delegate *tflite_plugin_create_delegate(
    char **keys, char **values, size_t count, void (*report)(const char *)) {
  struct Delegate *made = calloc(1, sizeof *made);
  made->prepare = prepare;
  return made;
}
void tflite_plugin_destroy_delegate(struct Delegate *made) { free(made); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "delegate.c").write_text(LIBRARY)
    made = folder / "libdelegate.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, folder / "delegate.c"], check=True)
    return made


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_each_runtime_gives_it_the_model(library, runtime, tmp_path):
    (tmp_path / "model").write_bytes(bundle_parts()[1][MODEL])
    script = (
        "import sys, pathlib, numpy as np\n"
        "from edge_agent.runtime import open_model\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "codes = np.random.default_rng(0).integers(-128, 128, (49, 40)).astype(np.int8)\n"
        "found = [open_model(data, runtime=sys.argv[2], delegate=d, threads=2).invoke(codes)\n"
        "         for d in (sys.argv[3], '')]\n"
        "print(np.array_equal(*found))\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(edge_agent.__file__).parents[1]),
        "DELEGATE_MARK": str(tmp_path / "mark"),
    }
    command = [sys.executable, "-c", script, tmp_path / "model", runtime, library]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    assert (tmp_path / "mark").read_text() == "given a model\n"


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_one_that_is_not_there_is_named(runtime, tmp_path):
    (tmp_path / "libtext.so").write_text("no library")
    for name in ("libnone.so.1", str(tmp_path / "libtext.so")):
        with pytest.raises(RuntimeModelError, match=f"{name} cannot be loaded.*plugged in"):
            open_model(b"", runtime=runtime, delegate=name)


def hears(folder: Path, delegate: str, **environment: str) -> tuple[list[str], str | None]:
    """The notes of a daemon that has `delegate` in its settings and hears a word; what its status says."""
    make_bundle(folder / "words.bundle")
    text = (
        f'[keyword]\nsource = "-"\nbundle = "words.bundle"\nthreads = 2\ndelegate = "{delegate}"\n'
    )
    with daemon(write_config(folder, text), stdin=subprocess.PIPE, **environment) as running:
        said = np.concatenate([utterance(word, LABELS) for word in ("yes", "_silence_")])
        running.process.stdin.write(said.tobytes())
        running.process.stdin.flush()
        running.wait("detection", "keyword", label="yes")
        told = running.status()["workloads"]["keyword"]["facts"]["delegate"]
        assert running.end() == 0
    return [event["text"] for event in running.events if event["event"] == "note"], told


def test_a_daemon_gives_it_the_model(library, tmp_path):
    mark = tmp_path / "mark"
    notes, told = hears(tmp_path, str(library), DELEGATE_MARK=str(mark))
    assert (notes, told) == ([], str(library))
    assert mark.read_text() == "given a model\n" * 2, (
        "once for the self-test, and once for the work"
    )


def test_a_daemon_whose_hardware_is_unplugged_says_so_and_hears(tmp_path):
    (note,), told = hears(tmp_path, "libedgetpu-none.so.1")
    assert "libedgetpu-none.so.1 cannot be loaded" in note
    assert told is None


def test_a_daemon_whose_delegate_fails_blames_no_bundle_and_hears(library, tmp_path):
    mark = tmp_path / "mark"
    (note,), told = hears(tmp_path, str(library), DELEGATE_MARK=str(mark), DELEGATE_FAILS="1")
    assert f"{library}: the processor does the work" in note
    assert mark.read_text() == "given a model\n"
    assert told is None


def test_one_whose_hardware_goes_after_the_start_blames_no_bundle(library, tmp_path):
    make_bundle(tmp_path / "words.bundle")
    text = f'[keyword]\nsource = "-"\nbundle = "words.bundle"\ndelegate = "{library}"\n'
    config = write_config(tmp_path, text)
    environment = {"DELEGATE_MARK": str(tmp_path / "mark"), "DELEGATE_FAILS": "2"}
    with daemon(config, stdin=subprocess.PIPE, **environment) as running:
        assert f"{library}: fails at its work" in running.wait("source", "keyword")["text"]
        assert running.end() == 0
    assert not [event for event in running.events if event["event"] == "refused"]


def test_threads_are_bounded(tmp_path):
    config = write_config(tmp_path, '[keyword]\nsource = "-"\nthreads = 0\n')
    with pytest.raises(ConfigError, match="threads must be 1 to 64"):
        read_config(config)

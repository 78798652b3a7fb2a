"""Bundles: what is packed comes back, always the same bytes; anything else is refused by name."""

import dataclasses
import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bundle import archive
from edge_agent.bundle.archive import BundleError, describe_files, pack, read, read_array, unpack
from edge_agent.bundle.manifest import ManifestError, decode_manifest, encode_manifest
from tests.fixtures.bundles import MODEL, bundle_parts, gated_parts, make_bundle, npy_bytes
from tests.fixtures.damage import MILLION, chance_of_its_own, damaged

MANIFEST, FILES = bundle_parts()
WHOLE = pack(encode_manifest(MANIFEST), FILES)


def zipped(members: list[tuple[str, bytes]], compression=zipfile.ZIP_STORED) -> bytes:
    """An archive of `members` in that order, as any tool might make it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, data in members:
            made.writestr(name, data)
    return buffer.getvalue()


def with_manifest(change) -> bytes:
    """The bundle with its manifest's JSON changed in place."""
    content = json.loads(encode_manifest(MANIFEST))
    change(content)
    return pack(json.dumps(content).encode(), FILES)


def test_what_is_packed_comes_back():
    bundle = unpack(WHOLE)
    assert bundle.manifest == MANIFEST
    assert bundle.files == FILES
    assert bundle.array("check_labels.npy").tolist() == list(range(5))
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_equal_content_gives_equal_bytes_whatever_the_order(tmp_path):
    backwards = dict(reversed(FILES.items()))
    assert pack(encode_manifest(MANIFEST), backwards) == WHOLE
    first, second = (make_bundle(tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second == WHOLE
    assert read(tmp_path / "a").digest == unpack(WHOLE).digest
    assert make_bundle(tmp_path / "c", seed=1).read_bytes() != WHOLE


def test_a_bundle_cut_short_anywhere_is_refused():
    for size in {0, 1, 30, 100, *range(200, len(WHOLE), 97), len(WHOLE) - 22, len(WHOLE) - 1}:
        with pytest.raises(BundleError):
            unpack(WHOLE[:size])


def test_a_changed_byte_in_any_file_is_refused():
    for name, data in FILES.items():
        place = WHOLE.index(data) + len(data) // 2
        damaged = WHOLE[:place] + bytes([WHOLE[place] ^ 1]) + WHOLE[place + 1 :]
        with pytest.raises(BundleError):
            unpack(damaged)
        # The same, with the archive's own checksum made to fit.
        swapped = {**FILES, name: damaged[WHOLE.index(data) :][: len(data)]}
        with pytest.raises(BundleError, match=f"{name} is not the file that the manifest names"):
            unpack(pack(encode_manifest(MANIFEST), swapped))


def test_a_file_too_many_or_too_few_is_refused():
    for files in ({**FILES, "more.bin": b"x"}, {n: d for n, d in FILES.items() if n != MODEL}):
        with pytest.raises(BundleError, match="do not agree on"):
            unpack(pack(encode_manifest(MANIFEST), files))


def test_a_manifest_that_claims_a_gigabyte_is_refused_before_it_is_read():
    name = b"manifest.json"
    claimed = bytearray(WHOLE)
    header = claimed.rindex(name) - 46  # its entry in the central directory
    struct.pack_into("<II", claimed, header + 20, 1 << 30, 1 << 30)
    tracemalloc.start()
    with pytest.raises(BundleError, match="at most"):
        unpack(bytes(claimed))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_manifest_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "big.bundle"
    path.write_bytes(zipped([("manifest.json", b" " * (archive.MAX_MANIFEST_BYTES + 1))]))
    with pytest.raises(BundleError, match=r"big\.bundle.*at most"):
        read(path)


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.bundle"
    with path.open("wb") as file:
        file.truncate(archive.MAX_BUNDLE_BYTES + 1)
    with pytest.raises(BundleError, match="a bundle has at most"):
        read(path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../b", "a\\b", ".hidden", "a//b", "x" * 200, "é", "a/"]
)
def test_a_name_that_escapes_or_is_odd_is_refused(name):
    with pytest.raises(BundleError):
        unpack(zipped([("manifest.json", encode_manifest(MANIFEST)), (name, b"x")]))
    with pytest.raises(ValueError, match="not a name"):
        pack(b"{}", {name: b"x"})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused():
    members = [("manifest.json", encode_manifest(MANIFEST)), *FILES.items(), (MODEL, b"other")]
    with pytest.raises(BundleError, match="not allowed"):
        unpack(zipped(members))


def test_compression_links_and_too_many_files_are_refused():
    members = [("manifest.json", encode_manifest(MANIFEST)), *FILES.items()]
    with pytest.raises(BundleError, match="compressed"):
        unpack(zipped(members, zipfile.ZIP_DEFLATED))
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with pytest.raises(BundleError, match="link"):
        unpack(zipped([*members, (link, b"/etc/passwd")]))
    many = [(f"f{i}", b"") for i in range(archive.MAX_FILES + 1)]
    with pytest.raises(BundleError, match="files"):
        unpack(zipped(many))


def test_what_is_no_archive_or_not_there_is_named(tmp_path):
    path = tmp_path / "x.bundle"
    with pytest.raises(BundleError, match=r"x\.bundle: cannot be read"):
        read(path)
    path.write_bytes(b"no archive")
    with pytest.raises(BundleError, match=r"x\.bundle: not a whole bundle"):
        read(path)
    path.write_bytes(zipped([("other", b"")]))
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        read(path)


def test_a_newer_minor_is_read_and_an_unknown_major_refused():
    def newer(content):
        content["schema_version"] = "1.7"
        content["policy"]["a_later_addition"] = {"x": 1}

    assert unpack(with_manifest(newer)).manifest.schema_version == "1.7"
    for version in ("2.0", "0.9", "10.0"):
        with pytest.raises(BundleError, match=f"schema version {version}.*update the agent"):
            unpack(with_manifest(lambda content, v=version: content.update(schema_version=v)))
    for version in (1, None, "1", "one", "1.0.0"):
        with pytest.raises(BundleError, match="schema_version"):
            unpack(with_manifest(lambda content, v=version: content.update(schema_version=v)))


BAD_MANIFESTS = {
    "labels lack _unknown_": lambda c: c.update(labels=["_silence_", "yes"]),
    "different words": lambda c: c["labels"].append("yes"),
    "stages is empty": lambda c: c.update(stages=[]),
    r"stages\[0\].mode": lambda c: c["stages"][0].update(mode="batch"),
    "frames must be": lambda c: c["stages"][0].update(frames=0),
    "no stage": lambda c: c["stages"][0].update(gated_by="nobody"),
    "state pairs": lambda c: c["stages"][0].update(state=[["a"]]),
    "not listed in files": lambda c: c["stages"][0].update(model="none.tflite"),
    "policy.thresholds.maybe": lambda c: c["policy"]["thresholds"].update(maybe=0.5),
    "policy.thresholds.yes": lambda c: c["policy"]["thresholds"].update(yes=1.5),
    "smoothing 1 to 100": lambda c: c["policy"].update(smoothing=0),
    "refractory_ms must be": lambda c: c["policy"].update(refractory_ms=-1),
    "clip_hops must": lambda c: c["policy"].update(clip_hops=[]),
    "features": lambda c: c["features"].update(sample_rate=10**9),
    "macs: is missing": lambda c: c.pop("macs"),
    "macs: expected int": lambda c: c.update(macs="many"),
    "macs: .* too large": lambda c: c.update(macs=10**40),
    "not a finite number": lambda c: c["budget"].update(latency_ms=float("nan")),
    "workload": lambda c: c.update(workload="mining"),
    "files.model.tflite.bytes": lambda c: c["files"]["model.tflite"].update(bytes=True),
}


@pytest.mark.parametrize("message", BAD_MANIFESTS)
def test_a_manifest_that_cannot_be_used_says_where(message):
    with pytest.raises(BundleError, match=message):
        unpack(with_manifest(BAD_MANIFESTS[message]))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b"1" * 10_000, b'{"a": 1}'])
def test_json_that_is_no_manifest_is_refused(data):
    with pytest.raises(ManifestError):
        decode_manifest(data)


def test_arrays_are_read_without_pickle_and_bounded():
    for dtype in ("<i1", "<i4", "<f4", "<f8", "|b1"):
        array = np.ones((2, 3), dtype)
        np.testing.assert_array_equal(read_array({"a.npy": npy_bytes(array)}, "a.npy"), array)
    objects = io.BytesIO()
    np.save(objects, np.array([{}], object), allow_pickle=True)
    whole = npy_bytes(np.zeros((10, 10), np.int8))
    bad = {
        "objects.npy": objects.getvalue(),
        "cut.npy": whole[:-1],
        "longer.npy": whole + b"x",
        "huge.npy": whole.replace(b"(10, 10)", b"(10**9,)"),
        "text.npy": b"not an array",
        "open.npy": whole.replace(b"(10, 10)", b"(10,\0\0\0\0"),
        "empty.npy": b"",
        "fortran.npy": npy_bytes(np.asfortranarray(np.zeros((3, 4), np.int8))),
    }
    for name in [*bad, "none.npy"]:
        with pytest.raises(BundleError, match=name):
            read_array(bad, name)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_an_orderly_way(data):
    with pytest.raises(BundleError):
        unpack(data)


@settings(max_examples=300)
@given(st.data())
def test_any_damage_is_refused_or_does_no_harm(data):
    damaged = bytearray(WHOLE)
    directory = damaged.index(b"PK\x01\x02")
    for _ in range(data.draw(st.integers(1, 4))):
        places = st.one_of(st.integers(0, 120), st.integers(directory, len(damaged) - 1))
        damaged[data.draw(places)] = data.draw(st.integers(0, 255))
    try:
        bundle = unpack(bytes(damaged))
    except BundleError:
        return
    assert bundle.files == FILES
    assert bundle.manifest == MANIFEST


@settings(max_examples=100)
@given(st.data())
def test_any_value_anywhere_in_the_manifest_is_read_or_refused(data):
    content = json.loads(encode_manifest(MANIFEST))
    table = content
    while True:
        keys = sorted(table) if isinstance(table, dict) else list(range(len(table)))
        key = data.draw(st.sampled_from(keys))
        inner = table[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            break
        table = inner
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    table[key] = data.draw(
        st.recursive(scalars, lambda s: st.lists(s) | st.dictionaries(st.text(), s), max_leaves=4)
    )
    try:
        bundle = unpack(pack(json.dumps(content).encode(), FILES))
    except BundleError:
        return
    assert encode_manifest(bundle.manifest)


@pytest.mark.fuzz
def test_a_million_damaged_bundles_are_refused_or_do_no_harm():
    chance, directory = chance_of_its_own(), WHOLE.index(b"PK\x01\x02")
    places = [*range(120), *range(directory, len(WHOLE))]
    for _ in range(MILLION):
        try:
            bundle = unpack(damaged(WHOLE, places, chance))
        except BundleError:
            continue
        assert (bundle.files, bundle.manifest) == (FILES, MANIFEST)


@pytest.mark.fuzz
def test_a_million_damaged_manifests_are_read_or_refused():
    chance = chance_of_its_own()
    whole = [encode_manifest(manifest) for manifest in (MANIFEST, gated_parts()[0])]
    for _ in range(MILLION):
        manifest = chance.choice(whole)
        try:
            found = decode_manifest(damaged(manifest, range(len(manifest)), chance))
        except ManifestError:
            continue
        assert decode_manifest(encode_manifest(found)) == found


def test_files_are_described_by_size_and_digest():
    entry = describe_files({"a": b"abc"})["a"]
    assert entry.bytes == 3
    assert entry.sha256.startswith("ba7816bf")
    assert dataclasses.is_dataclass(entry)

"""What is no probe, and what cannot be one, is one clear error each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sampling import InvalidArgument, Probe, SamplingError, verify, write_probe
from sampling.probe import Row
from sampling.probe.rows import placed

ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no integer": ({"vocab": 4096.5}, "vocab: got 4096.5, must be an integer from 1 to 1048576"),
    "a truth value": ({"vocab": True}, "vocab: got True, must be an integer"),
    "none": ({"vocab": 0}, "vocab: got 0, must be an integer from 1 to 1048576"),
    "more than there are": ({"vocab": 2**21}, "vocab: got 2097152, must be an integer from 1 to 1048576"),
    "a few": ({"vocab": 300}, "vocab: got 300, must be wide enough for "),
    "not enough": ({"vocab": 512}, "vocab: got 512, must be larger: the rows want "),
    "a type": ({"dtype": "float64"}, "dtype: got 'float64', must be one of float32, bfloat16, float16"),
    "no type": ({"dtype": 16}, "dtype: got 16, must be one of float32, bfloat16, float16"),
    "no tokenizer": ({"tokenizer": "nowhere"}, "nowhere: no tokenizer that transformers reads"),
}


@pytest.mark.parametrize(("given", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_that_does_not_do_is_refused_before_anything_is_written(
    tmp_path: Path, given: dict[str, Any], words: str
):
    with pytest.raises(SamplingError) as error:
        write_probe(tmp_path / "probe", **given)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "probe").exists()


def test_a_folder_of_somebody_elses_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        InvalidArgument, match=r"folder: got .*, must be a new folder, an empty one, or one that"
    ):
        write_probe(tmp_path, vocab=700)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "probe").write_text("mine")
    with pytest.raises(InvalidArgument, match="folder: got "):
        write_probe(tmp_path / "probe", vocab=700)


def test_an_empty_folder_and_an_older_probe_are_written_over(tmp_path: Path):
    first = write_probe(tmp_path, vocab=700)
    second = write_probe(tmp_path, vocab=800)
    assert (first.vocab, second.vocab, Probe.read(tmp_path).vocab) == (700, 800, 800)


def test_too_many_rows_for_a_vocabulary_are_refused():
    import numpy as np

    rows = [Row(str(n), np.zeros(4, dtype=np.float32)) for n in range(3)]
    with pytest.raises(
        InvalidArgument, match=r"vocab: got 20, must be larger: the rows want 12 tokens .* and 10 can"
    ):
        placed(rows, range(10), 20)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A probe's manifest, to be spoilt."""
    shutil.copytree(folder / "probe", tmp_path / "probe")
    return tmp_path


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "probe" / "manifest.json").read_text())


MANIFESTS: dict[str, tuple[Any, str]] = {
    "of another version": (
        {"probe": 7},
        "version 7 in .*, must be a manifest of version 1: write the checkpoint anew",
    ),
    "of no version": ({"probe": None}, "version None in "),
    "without states": ({"states": 3}, "must be a folder that `sampling probe` has written"),
    "of another width": ({"states": []}, r"logits of the shape \(3\d, 1024\) for 0 states and 1024 tokens"),
    "with too few texts": ({"text": "a"}, "must be a folder that `sampling probe` has written"),
}


@pytest.mark.parametrize(("change", "words"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_none_is_refused(copy: Path, change: dict[str, Any], words: str):
    (copy / "probe" / "manifest.json").write_text(json.dumps({**told(copy), **change}))
    with pytest.raises(InvalidArgument, match=f"^probe: got .*{words}"):
        Probe.read(copy)


def test_a_folder_without_a_manifest_is_no_probe(tmp_path: Path):
    with pytest.raises(
        InvalidArgument, match=r"^probe: got .*, must be a folder that `sampling probe` has written"
    ):
        verify("http://127.0.0.1:9", probe=tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", "{", '"probe"'])
def test_a_manifest_that_is_no_json_object_is_refused(copy: Path, content: str):
    (copy / "probe" / "manifest.json").write_text(content)
    with pytest.raises(InvalidArgument, match=r"^probe: got "):
        Probe.read(copy)


def test_rows_that_cannot_be_read_are_refused(copy: Path):
    (copy / "probe" / "rows.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(
        InvalidArgument, match=r"^probe: got .*must be a folder that `sampling probe` has written"
    ):
        Probe.read(copy)


@pytest.mark.parametrize(
    ("target", "settings", "words"),
    [
        (
            "trace.jsonl",
            {},
            "target: got 'trace.jsonl', must be a callable that takes prompts, or the URL of an endpoint",
        ),
        (print, {"prompts": "bytes"}, "prompts: got 'bytes', must be 'ids' or 'text'"),
        (
            print,
            {"reference": 3},
            "reference: got 3, must be left out: a target of the kind 'probe' takes depth, seed",
        ),
        (print, {"probe": 5}, "probe: got 5, must be the folder of a probe checkpoint, or a Probe"),
        (print, {"model": "m"}, "model: got 'm', must be left out"),
    ],
)
def test_a_target_or_a_setting_that_does_not_do_is_refused(
    probe: Probe, target: Any, settings: dict[str, Any], words: str
):
    with pytest.raises(InvalidArgument) as error:
        verify(target, **{"probe": probe, **settings})
    assert str(error.value).startswith(words)

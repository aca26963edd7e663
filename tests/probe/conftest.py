"""A probe that the tests of its files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampling import Probe, write_probe

VOCAB = 1024


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe checkpoint in float32, and as GGUF."""
    pytest.importorskip("gguf")
    place = tmp_path_factory.mktemp("probe") / "checkpoint"
    write_probe(place, vocab=VOCAB, gguf=True)
    return place


@pytest.fixture(scope="session")
def probe(folder: Path) -> Probe:
    """What its manifest says."""
    return Probe.read(folder)

"""Files that the command writes, where standard output or standard error may be one of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli.redirection import redirected

from sampling.core.files import opened, standard_stream


def write(path: str | Path, text: str) -> None:
    """Write as the command does."""
    with opened(path) as file:
        file.write(text)


@pytest.mark.parametrize(("number", "name"), [(1, "/dev/stdout"), (2, "/dev/stderr")])
@pytest.mark.parametrize("mode", ["w", "a"])
def test_what_a_stream_has_said_stays_in_its_file(tmp_path: Path, number: int, name: str, mode: str):
    file, link, soft = tmp_path / "file", tmp_path / "link", tmp_path / "soft"
    file.write_text("older\n")
    link.hardlink_to(file)
    soft.symlink_to(file)
    with redirected(number, file, mode):
        os.write(number, b"table\n")
        for one in (name, f"/dev/fd/{number}", file, link, soft):
            write(one, "a report, \u00e9\n")
        os.write(number, b"end\n")
    before = "older\n" if mode == "a" else ""
    assert file.read_text(encoding="utf-8") == before + "table\n" + 5 * "a report, \u00e9\n" + "end\n"


def test_other_files_are_written_anew(tmp_path: Path):
    (tmp_path / "file").write_text("an older and longer report")
    with redirected(1, tmp_path / "other"):
        assert standard_stream(tmp_path / "file") is None
        write(tmp_path / "file", "report")
    assert (tmp_path / "file").read_text() == "report"
    assert (tmp_path / "other").read_text() == ""


def test_a_file_that_is_not_there_is_no_stream(tmp_path: Path):
    assert standard_stream(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none" / "file")

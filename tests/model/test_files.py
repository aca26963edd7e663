"""Only files are read, and only the files themselves."""

from __future__ import annotations

import re
import socket

import pytest
from unwanted_files import POINTER, pipe_at

from sampling.core.errors import CheckpointError
from sampling.model.files import is_there, require


def refused(path, message):
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}: {message}"):
        is_there(path)


def test_a_file_is_there_or_not(tmp_path):
    path = tmp_path / "config.json"
    assert not is_there(path)
    with pytest.raises(CheckpointError, match=r"config\.json: the file is missing"):
        require(path)
    path.touch()
    require(path)
    (tmp_path / "link").symlink_to(path)
    require(tmp_path / "link")
    assert not is_there(path / "below")


def test_what_is_no_file(tmp_path):
    path = tmp_path / "config.json"
    path.mkdir()
    refused(path, "must be a file, is a directory")
    with pipe_at(tmp_path / "pipe"):
        refused(tmp_path / "pipe", "must be a file, is a pipe")
        (tmp_path / "link").symlink_to(tmp_path / "pipe")
        refused(tmp_path / "link", "must be a file, is a pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    refused(tmp_path / "null", "must be a file, is a device")
    (tmp_path / "lost").symlink_to(tmp_path / "blobs" / "1")
    refused(tmp_path / "lost", "must be a file, is a link to one that is not there")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    refused(tmp_path / "ring", "cannot be read: Too many levels of symbolic links")


def test_a_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        refused(tmp_path / "socket", "must be a file, is a socket")


@pytest.mark.parametrize("rest", ["", "\r\n", "x"])
def test_a_pointer(tmp_path, rest):
    path = tmp_path / "tokenizer.json"
    path.write_text(POINTER + rest)
    refused(path, "is a Git LFS pointer, not the file itself; `git lfs pull` gets it")
    path.write_text(" " + POINTER)
    require(path)

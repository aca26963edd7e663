"""Files of an engine's wheel by themselves, without the engine's other requirements. Run in the engine's environment."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

os.environ |= {"TRITON_INTERPRET": "1", "TORCHDYNAMO_DISABLE": "1"}


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Give an empty module wherever a file of the package imports one that is not there.

    Args:
        package: The engine's.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find what nobody else has found."""
        mine = fullname.startswith(self.package + ".")
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if mine else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let Python make it."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill it with whatever is asked for."""
        module.__getattr__ = anything  # type: ignore[method-assign]


def anything(name: str) -> Any:
    """Something to import: a question answered with no, or a mock."""
    if name.startswith("__"):
        raise AttributeError(name)
    return (lambda *_, **__: False) if name.startswith(("is_", "get_bool")) else MagicMock(name=name)


def stand_in(name: str, **content: Any) -> None:
    """A module with a content of ours."""
    module = types.ModuleType(name)
    module.__path__ = []  # type: ignore[attr-defined]
    module.__getattr__ = anything  # type: ignore[method-assign]
    vars(module).update(content)
    sys.modules[name] = module


def use(package: str) -> None:
    """Import the package's files from the folder `engine` of this environment, and stand-ins for the rest."""
    sys.path.insert(0, str(Path(sys.prefix) / "engine"))
    sys.meta_path.append(StandIns(package))

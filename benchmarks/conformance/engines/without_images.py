"""Importing this puts a stand-in in the place of torchvision, for engines that import it where they only sample."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import ClassVar

from transformers.utils import import_utils

NAME = "torchvision"


class Empty(type):
    """A class with any attribute, each an empty class of the same kind."""

    def __getattr__(cls, name: str) -> Empty:
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class EmptyModule(ModuleType):
    """A module of such classes."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Empty:
        if name.startswith("__"):
            raise AttributeError(name)
        return Empty(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torchvision and all that is in it."""

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for torchvision's modules."""
        ours = name.partition(".")[0] == NAME
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> EmptyModule:
        """The stand-in."""
        return EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


import_utils.is_torchvision_available()  # transformers must have seen that there is none
sys.meta_path.append(Finder())

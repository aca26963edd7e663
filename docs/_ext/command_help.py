"""The directive `command-help`, which shows what `sampling COMMAND --help` prints."""

from __future__ import annotations

import argparse
from functools import partial

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from sampling.cli.main import parser

WIDTH = 96  # columns


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of all commands by name."""
    (found,) = (
        action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {**found}


class CommandHelp(Directive):
    """Show one command's help as a block of text."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the block."""
        command = commands()[self.arguments[0]]
        command.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)
        text = command.format_help()
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

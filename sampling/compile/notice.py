"""A line in the log before something compiles: it takes long, and nothing else is to be seen meanwhile."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from torch._dynamo.callback import CallbackArgs, callback_handler

logger = logging.getLogger("sampling")


class CompileNotice(AbstractContextManager[None]):
    """A context that tells once, before the first time that torch compiles in it.

    A warning, since that is what Python shows without being asked.

    Args:
        text: What to tell.
    """

    def __init__(self, text: str) -> None:
        self.text, self.told = text, False

    def __enter__(self) -> None:
        callback_handler.register_start_callback(self._tell)

    def __exit__(self, *_: object) -> None:
        callback_handler.remove_start_callback(self._tell)

    def _tell(self, _: CallbackArgs) -> None:
        if not self.told:
            self.told = True
            logger.warning("%s", self.text)

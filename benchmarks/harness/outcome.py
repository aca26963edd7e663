"""What a line says in place of figures: a package that is not installed is no fault, everything else is."""

from __future__ import annotations

import traceback
from typing import Any

Line = dict[str, Any]


class NotAvailable(Exception):
    """An engine has no part in a job, by its own account; the message says why."""


def without_figures(error: Exception, *, ours: bool) -> Line:
    """Why there are no figures; the traceback of an error goes to standard error.

    Args:
        error: What an engine raised.
        ours: Whether it is one of our own, which need no package that may be missing.
    """
    absent = isinstance(error, ModuleNotFoundError | NotAvailable) and not ours
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if absent:
        return {"not_available": reason}
    traceback.print_exception(error)
    return {"error": f"{type(error).__name__}: {reason}"}


def failed(lines: list[Line]) -> list[str]:
    """The engines that could not be measured though nothing is missing, each once."""
    return list(dict.fromkeys(line["engine"] for line in lines if "error" in line))

"""Dialects: how one API's or engine's sampling differs from another's, as data."""

from sampling.dialects.rules import MODES, PENALTIES, TRUNCATIONS, Dialect, Mode, Rules, Stage, parts
from sampling.dialects.table import DIALECTS, DialectName, dialect

__all__ = [
    "DIALECTS",
    "MODES",
    "PENALTIES",
    "TRUNCATIONS",
    "Dialect",
    "DialectName",
    "Mode",
    "Rules",
    "Stage",
    "dialect",
    "parts",
]

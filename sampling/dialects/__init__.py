"""Dialects: how one API's or engine's sampling differs from another's, as data."""

from sampling.dialects.rules import MODES, PENALTIES, STAGES, TRUNCATIONS, Dialect, Mode, Rules, Stage, parts
from sampling.dialects.table import DIALECTS, DialectName, dialect, get_dialect

__all__ = [
    "DIALECTS",
    "MODES",
    "PENALTIES",
    "STAGES",
    "TRUNCATIONS",
    "Dialect",
    "DialectName",
    "Mode",
    "Rules",
    "Stage",
    "dialect",
    "get_dialect",
    "parts",
]

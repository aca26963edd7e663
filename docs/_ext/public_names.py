"""Warns where the reference and the public names of `sampling` differ. Sphinx itself warns of a name that is there twice."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

import sampling


def compare(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each name that only one of the two has."""
    described = {
        name.removeprefix("sampling.")
        for name, entry in env.domains.python_domain.objects.items()
        if name.startswith("sampling.") and name.count(".") == 1 and not entry.aliased
    }
    for name in sorted(described ^ {*sampling.__all__}):
        where = (
            "in the reference, but not in sampling.__all__" if name in described else "not in the reference"
        )
        getLogger(__name__).warning("sampling.%s is %s", name, where)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", compare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Whether a parameter has any effect: asked before a case that takes two of them, so that the right one is blamed."""

from __future__ import annotations

from sampling.conformance.checks import COMPARISONS
from sampling.conformance.comparison import Comparison, ignored
from sampling.conformance.endings import NotTestable
from sampling.conformance.endpoint.cases import ALONE
from sampling.conformance.endpoint.draws import batches
from sampling.conformance.endpoint.endpoint_context import EndpointContext
from sampling.conformance.endpoint.endpoint_test import sequential_test
from sampling.conformance.endpoint.ground import Ground
from sampling.conformance.sequential_test import EXCLUDED

MOST = 256  # draws; a parameter of which they say nothing is taken to act


def require_effect(context: EndpointContext, ground: Ground, *names: str) -> None:
    """Go on only with parameters that have an effect each by itself.

    Raises:
        NotTestable: One has none.
    """
    for name in names:
        if name not in context.effective:
            context.effective[name] = acts(context, ground, name)
        if not context.effective[name]:
            raise NotTestable(
                f"{name} has no effect by itself, so that its place among others cannot be told"
            )


def acts(context: EndpointContext, ground: Ground, name: str) -> bool:
    """Whether draws under a parameter differ from those without it; True where they do not say."""
    case, own = ALONE[name].case(ground), context.semantics
    found = COMPARISONS[ALONE[name].check].compare(own)
    idle = ignored(own, name)
    effects = {words: other for words, other in found.alternatives.items() if words not in idle}
    test = sequential_test([case], Comparison(null={**found.null, **effects}, alternatives=idle))
    for _, tokens in batches(context, [case]):
        test.add(0, tokens)
        if test.failed:
            return test.e_value(*idle) >= EXCLUDED
        if test.decided or test.draws >= MOST:
            break
    return True

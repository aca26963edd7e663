"""A paragraph of methods, to be quoted with the results."""

from __future__ import annotations

from sampling.conformance.report import Report
from sampling.conformance.verdict import FALSE_ALARM, POWER, Verdict

KINDS = {
    "callable": "a function of logits, parameters and a past, asked with fixtures of our own",
    "endpoint": "an OpenAI-compatible endpoint, asked over HTTP; biases fenced its support to tokens whose texts and log "
    "probabilities had been learnt by requests of one token",
    "trace": "recorded completions, of which nothing was asked again",
}


def methods(report: Report) -> str:
    """Say how a report came about, in one paragraph without markup."""
    head, checks = report.header, report.checks
    decided = [
        f for f in checks.values() if f.verdict in (Verdict.CONFORMS, Verdict.DEVIATES, Verdict.IGNORED)
    ]
    drawn = sum(finding.draws for finding in checks.values())
    version = f" ({head.target_version})" if head.target_version else ""
    return (
        f"We verified {head.target}{version} against the dialect {head.dialect!r} of the specification of {head.spec} with "
        f"sampling-reference {head.kit} on {head.date[:10]}. The target was {KINDS[head.kind]}. "
        f"{len(checks)} checks looked at {drawn:,} sampled tokens; {len(decided)} of them reached a verdict on the dialect. "
        "Expected distributions were computed in float64 from the definitions. Named readings of a parameter were compared "
        "by likelihood-ratio e-processes, which may be looked at after every draw, and rejected at an e-value of "
        f"{1 / FALSE_ALARM:,.0f}; a token that a reading never draws is proof against it; deviations without a name were "
        f"looked for by Pearson's test, cells pooled by expected counts, at a level of {FALSE_ALARM:g}. Each check states "
        f"the effect that it notices with probability {POWER:g}. A check that was not decided is inconclusive and is never "
        f"counted as passed. Comparisons that ran: {', '.join(head.legs)}."
    )

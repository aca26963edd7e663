"""The checks: what each asks of a target, under an id that stays."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("reported", "temperature", "truncation", "penalties", "bias", "randomness", "output")


@dataclass(frozen=True)
class Check:
    """A question about sampling semantics, in words, under an id that never changes its meaning: group and name."""

    id: str
    asks: str

    @property
    def group(self) -> str:
        """The first part of the id."""
        return self.id.partition(".")[0]


ASKS = {
    "reported.distribution": "Are log probabilities those of the raw, the tempered or the processed distribution?",
    "reported.zero-temperature": "What do log probabilities say at temperature 0?",
    "reported.truncation": "Do log probabilities show what top_p, top_k and min_p cut off?",
    "reported.penalties-and-bias": "Do log probabilities show penalties and biases?",
    "reported.mass": "Is the mass of the listed tokens at most 1?",
    "reported.chosen-is-listed": "Has the sampled token the same log probability in its entry and in the list?",
    "reported.count": "Are k alternatives listed, or k + 1; and what stands for a value that is not reported?",
    "reported.bytes": "Do the tokens' bytes, joined, give the message's UTF-8?",
    "reported.kept-set": "Are the sets of tokens that the engine says it kept those that its parameters keep?",
    "temperature.scale": "Does the temperature divide the logits?",
    "temperature.zero": "Is temperature 0 the arg max, the lower id among equals?",
    "temperature.limit": "Do small temperatures converge to temperature 0?",
    "temperature.range": "Is a temperature out of range refused, or clamped?",
    "truncation.temperature-order": "Does the temperature come before top_p?",
    "truncation.crossing-token": "Is the token that crosses top_p kept?",
    "truncation.no-token-more": "Is nothing kept behind the token that crosses top_p, an exact hit included?",
    "truncation.top-p-to-zero": "Does top_p near 0, and 0 itself, keep one token?",
    "truncation.top-k": "Does top_k keep exactly k tokens?",
    "truncation.disabled": "Do the values that switch a truncation off keep everything?",
    "truncation.ties": "Which of equal logits at the boundary are kept?",
    "truncation.joint": "Do top_k and top_p look at one distribution, or one after the other?",
    "truncation.min-p-order": "Does the temperature come before min_p, and min_p before or after top_p?",
    "penalties.presence-scope": "Does the presence penalty count sampled tokens only, and not the prompt?",
    "penalties.frequency-counts": "Does the frequency penalty multiply by the count, and presence not?",
    "penalties.repetition-sign": "Does the repetition penalty divide positive logits and multiply negative ones?",
    "penalties.repetition-scope": "Does the repetition penalty count the prompt?",
    "penalties.temperature-order": "Do the penalties come before the temperature?",
    "penalties.per-choice": "Has each of n choices its own counts?",
    "bias.ban": "Does a bias of -100 ban a token?",
    "bias.force": "Does a bias of +100 force a token?",
    "bias.temperature-order": "Does the bias come before the temperature?",
    "randomness.seed-repeats": "Does a seed give the same tokens again, whatever else is in the batch?",
    "randomness.seeds-differ": "Do different seeds give independent tokens?",
    "randomness.choices-differ": "Do the n choices of one seeded request differ?",
    "randomness.unseeded-vary": "Do requests without a seed vary?",
    "randomness.uniformity": "Are the draws' probability integral transforms uniform, one independent of the next?",
    "randomness.tail": "Are tokens of probability 1e-6 sampled as often as they should be?",
    "output.stop-left-out": "Are the stop string and what follows left out of the text?",
    "output.finish-reason": "Is finish_reason `stop` at a stop and `length` at max_tokens?",
    "output.constrained": "Are constrained tokens drawn from the renormalised legal set?",
    "output.parameters": "Is each parameter of the page honoured, refused or silently ignored?",
}
CHECKS = {name: Check(name, asks) for name, asks in ASKS.items()}

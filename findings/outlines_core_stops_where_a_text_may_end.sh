#!/usr/bin/env bash
# outlines-core: which tokens a guide allows where the text may end, or go on.
# Guess: in each state all tokens with which a text of the pattern can go on, and the end token where it can end.
# Happens: where the text may end, a token that leads to where it may not end is left out. `[0-9]+(\.[0-9][0-9])?` is never more than digits
# unless one token takes it from a place where it may end to the next one (".50"); of the tokens ".", "5" and "0", which spell the same, the first is
# not offered. A character that has to come after the optional part brings it back. So an optional ending of several tokens is never
# sampled, whatever the model wants, and nothing says so: prices without cents, versions without suffixes, "a" for "a|abc".
# Version: outlines-core 0.2.14 (Index, Guide.get_tokens, Guide.advance). Seen by these calls.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv venv
venv/bin/pip install -q outlines-core==0.2.14 >pip.log 2>&1 || { cat pip.log; exit 2; }
cat > run.py <<'PY'
import re, sys
from outlines_core import Guide, Index, Vocabulary

END = 999

def check(fact, saying):
    print(("as stated: " if fact else "CHANGED: ") + saying, flush=True)
    if not fact: sys.exit(1)

def offered(pattern, tokens, begun):
    """The tokens that may come after those that have come."""
    guide = Guide(Index(pattern, Vocabulary(END, {token: [number] for number, token in enumerate(tokens)})))
    found = guide.get_tokens()
    for token in begun: found = guide.advance(tokens.index(token))
    return {tokens[number] if number < END else "end" for number in found}

def fitting(pattern, tokens, begun, endings):
    """The same by Python's re: those with which one of some endings makes a whole text."""
    text = "".join(begun)
    found = {token for token in tokens if any(re.fullmatch(pattern, text + token + ending) for ending in endings)}
    return found | ({"end"} if re.fullmatch(pattern, text) else set())

digits, price = list("015"), r"[0-9]+(\.[0-9][0-9])?"
endings = ["", "0", "50", ".50", "c", "bc", ";", "0;", "50;", ".50;"]
single, merged = [*digits, "."], [*digits, ".", ".50"]
right = fitting(price, single, ["1"], endings)
check(right == {"0", "1", "5", ".", "end"}, f"{price} begun with 1: by Python's re {sorted(right)} may follow")
got = offered(price, single, ["1"])
check(got == {"0", "1", "5", "end"}, f"the guide offers {sorted(got)}: the point is left out")
got = offered(price, merged, ["1"])
check(got == {"0", "1", "5", ".50", "end"}, f"with a token '.50' it offers {sorted(got)}: that token, and still no point")
got, right = offered(price + ";", [*single, ";"], ["1"]), fitting(price + ";", [*single, ";"], ["1"], endings)
check(got == right == {"0", "1", "5", ".", ";"}, f"where a semicolon has to follow, it offers {sorted(got)}, as re does")
got, right = offered("a|abc", list("abc"), ["a"]), fitting("a|abc", list("abc"), ["a"], endings)
check(got == {"end"} and right == {"b", "end"}, f"a|abc begun with a: it offers {sorted(got)}, re {sorted(right)}")
got = offered("ab?", list("ab"), ["a"])
check(got == {"b", "end"}, f"ab? begun with a: it offers {sorted(got)}, since the text may end after b as well")
PY
venv/bin/python run.py

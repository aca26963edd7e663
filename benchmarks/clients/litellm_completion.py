"""litellm: completion with the prefix of OpenAI-compatible servers."""

import json
import os
import sys

from litellm import completion

asked = {"model": f"openai/{os.environ['MODEL']}", "messages": [{"role": "user", "content": sys.argv[1]}]}

plain = completion(**asked)
greedy = completion(**asked, temperature=0)
streamed = [chunk.choices[0].delta.content or "" for chunk in completion(**asked, temperature=0, stream=True)]
print(
    json.dumps(
        {
            "plain": plain.choices[0].message.content,
            "greedy": greedy.choices[0].message.content,
            "streamed": "".join(streamed),
        }
    )
)

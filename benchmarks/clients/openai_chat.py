"""openai, chat completions: the call of its README; address and key come from the environment."""

import json
import os
import sys

from openai import OpenAI

client = OpenAI()
asked = {"model": os.environ["MODEL"], "messages": [{"role": "user", "content": sys.argv[1]}]}

plain = client.chat.completions.create(**asked)
greedy = client.chat.completions.create(**asked, temperature=0)
stream = client.chat.completions.create(**asked, temperature=0, stream=True)
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
print(
    json.dumps(
        {
            "plain": plain.choices[0].message.content,
            "greedy": greedy.choices[0].message.content,
            "streamed": streamed,
        }
    )
)

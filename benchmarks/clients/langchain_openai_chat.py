"""langchain-openai: ChatOpenAI, invoke and stream."""

import json
import os
import sys

from langchain_openai import ChatOpenAI

plain = ChatOpenAI(model=os.environ["MODEL"]).invoke(sys.argv[1])
greedy = ChatOpenAI(model=os.environ["MODEL"], temperature=0)
print(
    json.dumps(
        {
            "plain": plain.content,
            "greedy": greedy.invoke(sys.argv[1]).content,
            "streamed": "".join(str(chunk.content) for chunk in greedy.stream(sys.argv[1])),
        }
    )
)

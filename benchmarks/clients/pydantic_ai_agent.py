"""pydantic-ai: an Agent with a chat-completions model, run and streamed."""

import asyncio
import json
import os
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

agent = Agent(OpenAIChatModel(os.environ["MODEL"]))


async def streamed() -> str:
    """The streamed answer."""
    async with agent.run_stream(sys.argv[1], model_settings={"temperature": 0}) as result:
        return await result.get_output()


plain = agent.run_sync(sys.argv[1])
greedy = agent.run_sync(sys.argv[1], model_settings={"temperature": 0})
print(json.dumps({"plain": plain.output, "greedy": greedy.output, "streamed": asyncio.run(streamed())}))

"""The chat completion endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.request import ChatRequest
from sampling.chat.stream import ChunkWriter
from sampling.server.endpoint import Asked, CompletionEndpoint


class ChatEndpoint(CompletionEndpoint):
    """Answers chat completion requests."""

    def asked(self, request: Mapping[str, object]) -> Asked:
        """Check a request for the next message of a conversation."""
        completion = self.service.completion(ChatRequest.parse(request, self.service.dialect))
        writers = [ChunkWriter(completion)] if completion.prepared.request.stream else []
        return Asked(completion, [completion], writers)

"""The text completion endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from sampling.chat.text_request import TextRequest
from sampling.chat.text_stream import TextWriter
from sampling.server.endpoint import Asked, CompletionEndpoint


class TextEndpoint(CompletionEndpoint):
    """Answers requests that continue texts."""

    def asked(self, request: Mapping[str, object]) -> Asked:
        """Check a request for what follows some prompts."""
        parsed = TextRequest.parse(request, self.service.dialect)
        answer = self.service.text_completion(parsed)
        writers = [TextWriter(answer, part) for part in answer.parts] if parsed.stream else []
        return Asked(answer, [part.completion for part in answer.parts], writers)

from collections.abc import Callable
from typing import Any

class GenerateConfig:
    response_schema: Any
    def model_dump(self) -> dict[str, Any]: ...

class ModelAPI:
    model_name: str
    def __init__(
        self,
        model_name: str,
        base_url: str | None,
        api_key: str | None,
        api_key_vars: list[str],
        config: GenerateConfig,
    ) -> None: ...

class ChatCompletionChoice:
    def __init__(self, **fields: Any) -> None: ...

class ChatMessageAssistant:
    def __init__(self, **fields: Any) -> None: ...

class Logprob:
    def __init__(self, **fields: Any) -> None: ...

class Logprobs:
    def __init__(self, **fields: Any) -> None: ...

class ModelOutput:
    def __init__(self, **fields: Any) -> None: ...

class ModelUsage:
    def __init__(self, **fields: Any) -> None: ...

class TopLogprob:
    def __init__(self, **fields: Any) -> None: ...

def modelapi(name: str) -> Callable[[Callable[[], type[ModelAPI]]], Callable[[], type[ModelAPI]]]: ...

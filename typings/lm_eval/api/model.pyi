from typing import Any

class TemplateLM:
    tokenizer: Any
    cache_hook: Any
    def __init__(self) -> None: ...

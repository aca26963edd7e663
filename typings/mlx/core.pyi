from typing import Any

float32: Any

def array(values: Any) -> Any: ...

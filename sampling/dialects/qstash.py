"""The published page's text: the default."""

from __future__ import annotations

from sampling.core.history import OUTPUT
from sampling.dialects.fields import fields_of
from sampling.dialects.rules import PENALTIES, TRUNCATIONS, Dialect

QSTASH = Dialect(
    name="qstash",
    source="the published page 'Create Chat Completion'; repetition_penalty, top_k and min_p where its engine had them",
    seen="published",
    order=("logit_bias", *PENALTIES, "temperature", *TRUNCATIONS),
    repetition_scope=OUTPUT,
    max_reported_rank=20,
    id_prefix="cmpl-",
    fields=fields_of("template"),
)

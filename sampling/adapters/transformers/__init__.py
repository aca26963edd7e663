"""Hugging Face's transformers: pipelines and the exact draw in its `generate`, and its processors in pipelines."""

from sampling.adapters.transformers.logits_processor import as_logits_processor
from sampling.adapters.transformers.reference_draw import ReferenceDraw, ReferenceDrawOutput
from sampling.adapters.transformers.stage import as_stage

__all__ = ["ReferenceDraw", "ReferenceDrawOutput", "as_logits_processor", "as_stage"]

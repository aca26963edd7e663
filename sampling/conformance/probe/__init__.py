"""Engines that load a probe checkpoint: their logits are known, and all that they need to offer is text."""

"""Shipped decoder packs: one folder each, weights.safetensors beside card.json."""

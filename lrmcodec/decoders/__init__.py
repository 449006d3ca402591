"""Frozen decoder networks behind one interface."""

"""Measurements of the codec and its peers."""

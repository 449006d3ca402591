"""Training of shared decoder networks (torch)."""

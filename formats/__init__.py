"""Bytes on disk: clips, the .lrm container, entropy coding and decoder packs. Never imports torch."""

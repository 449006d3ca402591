"""The video tool: a segment's frames as AV1 video, beside coefficients that describe its motion."""

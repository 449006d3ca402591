"""Lungs: chest wall, pleura, and what is seen below it."""

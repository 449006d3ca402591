"""Simulated ultrasound clips with exact ground truth."""

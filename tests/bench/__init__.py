"""Measurements: counts, and ratios within one run. No test asserts a time, as machines are shared and noisy."""

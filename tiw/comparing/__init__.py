"""Baseline and debiased model, measured against the reference."""

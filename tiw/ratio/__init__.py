"""Features -> estimators -> the density ratio -> diagnostics."""

"""The claims and their judges, by chapter."""

"""Molecules: diffusion over conformers."""

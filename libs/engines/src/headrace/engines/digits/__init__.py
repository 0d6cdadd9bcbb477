"""Handwritten digits: engines that train a small model on them, and engines that serve what was trained."""

"""Passes, what is skipped, and when the machine is too noisy to be believed."""

"""Studies: questions that take more than one run of one scenario, or more than one result.

Validated by: tests/studies
"""

"""Checks of the house that no bought tool makes; `./run check` runs each as `python -m checks.NAME`."""

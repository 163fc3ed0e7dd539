"""Pure Python: the words of the sync and its decisions. Nothing here waits, reads a clock or touches a database."""

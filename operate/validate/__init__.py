"""Compares the contents of source and target while changes flow, exactly to the row."""

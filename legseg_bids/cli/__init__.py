"""Parsers and exit codes of the commands."""

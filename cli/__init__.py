"""Command line: argument parsing plus one call into the library for each sub-command."""

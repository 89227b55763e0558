"""The command line, `flowray`: a verb a file."""

from flowray_serve.cli.main import main

__all__ = ["main"]

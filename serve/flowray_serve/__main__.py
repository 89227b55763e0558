"""`python -m flowray_serve`: the command line."""

from flowray_serve.cli import main

main()

"""`python -m headrace.launch` is the `headrace` command."""

from headrace.launch.cli import main

main()

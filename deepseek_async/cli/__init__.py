"""The command line: what typer and rich make of the public names of the package."""

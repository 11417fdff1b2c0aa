"""The command line's rooms, one module a subcommand; each imports what it needs when it runs."""

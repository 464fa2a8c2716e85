"""The command line: parse options, call, and map errors to exit statuses."""

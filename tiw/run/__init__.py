"""Run folders: options in, files out; the same for the page, the command line and Python."""

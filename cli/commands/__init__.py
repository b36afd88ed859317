"""The object commands, one a file: `mls` is `commands.mls.command`."""

"""What every command is made of: flags, errors and exit codes, progress, and how it is interrupted."""

"""What a command says when it cannot go on, and with which exit code."""

OK, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 0, 1, 2, 130, 141, 143


class UsageError(Exception):
    """The command line cannot be carried out; nothing was done."""


class JobError(Exception):
    """The job failed for a reason that the operator can mend."""

"""How work is shared out: to steps, child processes and threads; and what they count."""

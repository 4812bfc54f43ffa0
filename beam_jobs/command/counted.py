"""Numbers of things in what commands say."""


def counted(number: int, noun: str) -> str:
    """Returns a number of things.

    Example:
        >>> counted(1, "file"), counted(1200, "file"), counted(0, "box")
        ('1 file', '1,200 files', '0 boxes')
    """
    ending = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else ending}"

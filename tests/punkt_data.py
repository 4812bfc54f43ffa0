"""A folder of NLTK data with a Punkt model: NLTK's trainer makes it, and it is saved as `punkt_tab` is."""

import pathlib

_TEXT = (
    "Mr. Brown has a dog. The dog of Mr. Brown runs in the park of St. Paul, U.S. and so on. A man rides a bike. "
    "He sees Mr. Brown. Dr. Grey waits at 5 p.m. in front of a house! Is that the house of Dr. Grey? It is. "
)


def write_punkt(folder: pathlib.Path) -> str:
    """Writes a model of English below a folder; returns the folder as ``--nltk_data`` takes it."""
    import nltk
    from nltk.tokenize.punkt import PunktTrainer, save_punkt_params

    trainer = PunktTrainer()
    trainer.INCLUDE_ALL_COLLOCS = True
    trainer.train(_TEXT * 20)
    nltk.data.path.insert(0, str(folder))  # NLTK writes into folders of its data alone.
    (folder / "tokenizers/punkt_tab").mkdir(parents=True)
    save_punkt_params(trainer.get_params(), str(folder / "tokenizers/punkt_tab/english"))
    nltk.data.path.remove(str(folder))
    return str(folder)

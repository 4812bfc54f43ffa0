"""Files of Doc2Vec models of gensim 4: looked at before they are opened, since a pickle can run anything.

gensim saves a model as a pickle with its large arrays in files beside it, named after it. The pickle is first read
with nothing at hand but the classes that such a model consists of. That is as far as a look can go: the arrays and
the numbers in a model are taken as they are.
"""

import contextlib
import pathlib
import pickle
import pickletools
import typing

import fsspec

from schemas.records import root_hash
from transforms.files.file_digest import DigestingReader
from transforms.files.url_credentials import without_credentials
from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_files import open_file_system

if typing.TYPE_CHECKING:
    from gensim.models.doc2vec import Doc2Vec

MODEL = "model"
"""Name of a model's pickle in a folder of its own; its arrays are named after it."""

RETRAIN = "train one of the same hyper-parameters: --doc2vec train --doc2vec_preset lau_baldwin"

_PROTO = b"\x80"
_OLD_PROTOCOL = 2
_OPS_LOOKED_AT = 1000
_PYTHON_2_TEXTS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN: typing.Final[dict[str, frozenset[str]]] = {
    "gensim.models.doc2vec": frozenset({"Doc2Vec"}),
    "gensim.models.keyedvectors": frozenset({"KeyedVectors"}),
    "gensim.utils": frozenset({"call_on_class_only"}),
    **dict.fromkeys(_NUMPY, frozenset({"_reconstruct", "scalar"})),
    "numpy": frozenset({"ndarray", "dtype"}),
    "numpy.random._pickle": frozenset({"__randomstate_ctor", "__bit_generator_ctor"}),
    "numpy.random._mt19937": frozenset({"MT19937"}),
    "collections": frozenset({"defaultdict"}),
    "builtins": frozenset({"int", "hash"}),
}
"""What the pickle of a model names, by module."""

_PARTS = frozenset({"wv", "dv"})
"""Of a model: gensim loads the arrays of each of them, too."""


class ModelError(ValueError):
    """A model cannot be used; the message names it, and the remedy."""


def fetch_model(url: str, s3: S3Options, folder: pathlib.Path) -> pathlib.Path:
    """Copies a model and its arrays to a local folder.

    Args:
        url: of the pickle, local or any fsspec URL.
        s3: how S3 is reached.
        folder: an empty one.

    Returns:
        Path of the pickle there, which is named :data:`MODEL`.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    with _reading(url):
        files, paths = _files_of(url, s3)
        for name, path in paths.items():
            files.get_file(path, str(folder / name))
    return folder / MODEL


def model_sha256(url: str, s3: S3Options) -> str:
    """Returns one SHA-256 for a model and its arrays, whatever they are named.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    digests = {}
    with _reading(url):
        files, paths = _files_of(url, s3)
        for name, path in paths.items():
            with files.open(path, "rb") as file:
                digests[name] = DigestingReader(file).finish().sha256
    return root_hash(digests)


@contextlib.contextmanager
def _reading(url: str) -> typing.Iterator[None]:
    named = f"--doc2vec {without_credentials(url)}"
    try:
        with as_os_errors():
            yield
    except FileNotFoundError as error:
        raise ModelError(f"{named}: there is no such file; name a model that gensim 4 saved, or say train") from error
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{named}: cannot be read: {without_credentials(str(error))}") from error


def _files_of(url: str, s3: S3Options) -> tuple[fsspec.AbstractFileSystem, dict[str, str]]:
    """Returns the paths of a model and its arrays, by the names that they have beside one called MODEL."""
    files, path = open_file_system(url, s3)
    listed = [str(name) for name in files.ls(path.rpartition("/")[0] or ".", detail=False)]
    base = path.rpartition("/")[2]
    wanted = [name for name in listed if name.rpartition("/")[2] == base or _is_array_of(name, base)]
    found = {MODEL + name.rpartition("/")[2].removeprefix(base): name for name in wanted}
    if MODEL not in found:
        raise FileNotFoundError(path)
    return files, found


def load_model(path: pathlib.Path, name: str) -> "Doc2Vec":
    """Loads a model, if it is one of gensim 4.

    Args:
        path: of the pickle, its arrays beside it.
        name: for messages.

    Raises:
        ModelError: it is of an older gensim, of Python 2, no model at all, names anything that no model needs, or lacks
            an array.
    """
    from gensim.models.doc2vec import Doc2Vec

    _check_pickle(path, name)
    try:
        return Doc2Vec.load(str(path))
    except (OSError, ValueError, AttributeError, EOFError, KeyError) as error:
        raise ModelError(f"--doc2vec {name}: gensim cannot load it: {error}") from error


def _is_array_of(name: str, base: str) -> bool:
    return name.rpartition("/")[2].startswith(f"{base}.") and name.endswith(".npy")


def _check_pickle(path: pathlib.Path, name: str) -> None:
    """Raises ModelError unless a pickle holds a model and nothing else."""
    from gensim.models.doc2vec import Doc2Vec

    with path.open("rb") as file:
        head = file.read(2)
        if head[:1] != _PROTO:
            raise ModelError(f"--doc2vec {name}: is no model that gensim saved: it is no pickle")
        file.seek(0)
        if head[1] <= _OLD_PROTOCOL:
            raise ModelError(f"--doc2vec {name}: {_old_model(file)}")
        try:
            model = _Unpickler(file, encoding="latin1").load()
        except _UnknownNameError as error:
            raise ModelError(
                f"--doc2vec {name}: names {error}, which no Doc2Vec model needs: it is not opened"
            ) from error
        except Exception as error:  # noqa: BLE001  a damaged pickle raises whatever its bytes happen to mean
            raise ModelError(f"--doc2vec {name}: is damaged: {error}") from error
    if not isinstance(model, Doc2Vec):
        raise ModelError(f"--doc2vec {name}: is no Doc2Vec model but {type(model).__name__}")
    if not _has_arrays_alone(model):
        raise ModelError(f"--doc2vec {name}: names files beside it that are no arrays of a model: it is not opened")


def _has_arrays_alone(model: "Doc2Vec") -> bool:
    """Tells whether gensim, which reads by these attributes what lies apart from the pickle, unpickles none of it."""
    from gensim.models.keyedvectors import KeyedVectors

    names = getattr(model, "__recursive_saveloads", ())
    parts = [getattr(model, name, None) for name in names if name in _PARTS]
    return (
        len(parts) == len(names)
        and all(type(part) is KeyedVectors and not getattr(part, "__recursive_saveloads", ()) for part in parts)
        and not any(getattr(part, "__scipys", ()) for part in (model, *parts))
        and not any(str(name).startswith("__") for part in (model, *parts) for name in getattr(part, "__numpys", ()))
    )


def _old_model(file: typing.BinaryIO) -> str:
    """Says what an old pickle is, by its first operations; they are read, not carried out."""
    names, is_python_2 = [], False
    try:
        for (operation, argument, _), _ in zip(pickletools.genops(file), range(_OPS_LOOKED_AT), strict=False):
            is_python_2 |= operation.name in _PYTHON_2_TEXTS
            if operation.name == "GLOBAL":
                names.append(str(argument))
    except ValueError as error:
        return f"is a damaged pickle ({error})"
    if "gensim.models.doc2vec Doc2Vec" not in names:
        return f"is no Doc2Vec model: it is a pickle of {names[0] if names else 'plain values'}, and is not opened"
    if is_python_2:
        return (
            "was pickled by Python 2, as the models of Lau and Baldwin (github.com/jhlau/doc2vec), by a gensim whose "
            f"models gensim 4 cannot use: it is not opened; {RETRAIN}"
        )
    return (
        f"is a model of gensim before 4: it is not opened; load and save it with gensim 4 if you trust it, or {RETRAIN}"
    )


class _UnknownNameError(Exception):
    """A pickle names something that no model needs."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> typing.Any:
        if name not in _KNOWN.get(module, ()):
            raise _UnknownNameError(f"{module}.{name}")
        return super().find_class(module, name)

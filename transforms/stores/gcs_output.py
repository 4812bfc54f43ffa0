"""Datasets on Google Cloud Storage."""

import pathlib

from transforms.stores.object_store import gs_endpoint
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_output import PART_BYTES, ChangedError, ObjectOutput


class GcsOutput(ObjectOutput):
    """A dataset on Google Cloud Storage. Unfinished uploads are not to be seen there, and end by themselves."""

    token_field = "generation"

    def swap(self, name: str, data: bytes, token: str | None) -> str:
        """By the generation of the object."""
        bucket, _, key = self._path(name).partition("/")
        url = f"{gs_endpoint()}/upload/storage/v1/b/{bucket}/o"
        try:
            with as_os_errors():
                answer = self._fs.call(
                    "POST", url, uploadType="media", name=key, ifGenerationMatch=token or "0", data=data, json_out=True
                )
        except (FileExistsError, FileNotFoundError) as error:
            raise ChangedError(name) from error
        return str(answer["generation"])

    def _upload(self, staged: pathlib.Path, name: str) -> None:
        self._fs.put_file(str(staged), self._path(name), chunksize=PART_BYTES, consistency="md5")

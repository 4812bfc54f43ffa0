"""A quick sample of what ``tests/endurance/mutate_images.py`` does for as long as one likes."""

import collections
import itertools
import pathlib
import random
import typing

import pytest

from tests.generated_photo import photo, saved, swapped_profile
from tests.mutated_images import judge, mutations
from tests.odd_images import odd_images
from transforms.images.image_codec import ImageOptions, encode_image

OPTIONS = (
    ImageOptions(format="png", resize="none"),
    ImageOptions(),
    ImageOptions(format="png", image_size=64, filter="lanczos"),
)
LARGEST_BYTES = 60_000


def test_odd_images_are_right_or_fail() -> None:
    """The largest are left to the endurance run: they take seconds each."""
    files = {name: data for name, data in odd_images().items() if "9400" not in name}
    assert len(files) > 1200
    outcomes, wrong = collections.Counter[str](), {}
    for (name, data), options in zip(files.items(), itertools.cycle(OPTIONS), strict=False):
        verdict = judge(data, options)
        outcomes[verdict.outcome] += 1
        if verdict.wrong:
            wrong[name] = verdict
    assert wrong == {}
    assert outcomes["sample"] > 800
    assert min(outcomes[r] for r in ("not_an_image", "truncated_image", "corrupt_image", "unsupported_image")) > 3


@pytest.mark.parametrize("seed", [0, 1])
def test_damaged_images_are_right_or_fail(seed: int, shared_data: pathlib.Path) -> None:
    dice, wrong = random.Random(seed), []
    paths = [path for path in sorted((shared_data / "images").rglob("*")) if path.is_file()]
    files = [(path.name, path.read_bytes()) for path in paths if path.stat().st_size < LARGEST_BYTES]
    for name, data in [*dice.sample(files, 60), *dice.sample(sorted(odd_images().items()), 60)]:
        damages = mutations(data, seed)
        kept = [next(damages) for _ in range(4 + len(data) // 1024)][3:][:8] + _a_few(damages, 8)
        for kind, damaged in kept:
            verdict = judge(damaged, dice.choice(OPTIONS))
            if verdict.wrong:
                wrong.append((name, kind, verdict))
    assert wrong == []


def _a_few(damages: typing.Iterator[tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    return [damage for damage, _ in zip(damages, range(count), strict=False)]


@pytest.mark.parametrize(
    ("wrong", "options"),
    [
        ("pixels", {}),
        ("size", {"image_size": 30}),
        ("Pillow decodes", {"min_side": 65}),
        ("exception", {"quality": 90}),
    ],
)
def test_the_judge_sees_what_is_wrong(wrong: str, options: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not fail otherwise."""
    data, other = saved(photo(), "PNG"), saved(photo(64, 48).rotate(180), "PNG")

    def encode(data: bytes, _: ImageOptions) -> typing.Any:
        if wrong == "exception":
            raise KeyError(wrong)
        (done,) = encode_image(other if wrong == "pixels" else data, ImageOptions(format="png", **options))
        return [done._replace(width=5) if wrong == "size" else done]

    monkeypatch.setattr("tests.mutated_images.encode_image", encode)
    assert judge(data, OPTIONS[0]).wrong == wrong


def test_the_judge_knows_profiles_and_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken for right beside a full decode is not whatever the codec does."""
    swapped, large = saved(photo(), "PNG", icc_profile=swapped_profile()), saved(photo(800, 600), "JPEG")
    options = ImageOptions(format="png", image_size=256, filter="lanczos")
    assert judge(swapped, OPTIONS[0]).wrong == judge(large, options).wrong == ""
    monkeypatch.setattr("transforms.images.image_codec.to_srgb", lambda image, _: image.convert("RGB"))
    monkeypatch.setattr("transforms.images.decode_image.decoded_fraction", lambda *_: 8)
    assert judge(swapped, OPTIONS[0]).wrong == judge(large, options).wrong == "pixels"

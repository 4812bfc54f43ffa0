"""What the image flags of `build` become."""

import pathlib
import typing

import pytest

from beam_jobs import build_dataset
from beam_jobs.command.errors import UsageError
from transforms.fetch.fetch_options import OPT_OUT_TAGS, FetchOptions
from transforms.fetch.flickr_requests import REQUESTS_PER_S
from transforms.places.image_places import PlacesConfig
from transforms.places.remote_copies import MIRROR_ROOTS
from transforms.stores.request_signers import S3Options


def places(*flags: str) -> PlacesConfig:
    images = build_dataset.parse_args(["--yfcc", "in", "--output", "out", *flags]).images
    assert images
    return images.places


def test_the_default_places_are_the_mirrors() -> None:
    assert places() == PlacesConfig(base="yfcc", with_coco=False)


def test_each_source_with_a_mirror_may_have_another() -> None:
    flags = [f"--mirror={source}=http://host/{source}/" for source in MIRROR_ROOTS]
    found = places("--mirror=coco=http://first", *flags)
    assert {s: found.mirror(s)[0] for s in MIRROR_ROOTS} == {s: f"http://host/{s}" for s in MIRROR_ROOTS}


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("flickr8k=http://host", "flickr8k is no source with a mirror; these are: coco, open_images, yfcc"),
        ("http://host", "http://host is no source with a mirror"),
        ("coco", "--mirror coco= is no base URL"),
        ("coco=host", "--mirror coco=host is no base URL: give one like http://host/path"),
        ("open_images=s3://", "--mirror open_images=s3: is no base URL"),
    ],
)
def test_a_wrong_mirror_is_refused(mirror: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        places("--mirror", mirror)


def test_the_pace_at_flickr_is_shared_by_the_processes() -> None:
    assert places("--workers", "4").flickr_requests_per_s == 0
    assert places("--workers", "4", "--flickr_fallback").flickr_requests_per_s == REQUESTS_PER_S / 4


def test_a_proxy_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://me:secret@127.0.0.1:1080")
    with pytest.raises(UsageError, match="^HTTPS_PROXY begins with socks5://, but .*: give http://HOST:PORT$"):
        places()


def test_keys_reach_the_places_and_nothing_that_is_written() -> None:
    keys = {"access_key_id": "AKIA1", "secret_access_key": "s3cret", "session_token": "t0ken"}
    flags = [f"--s3_{name}={value}" for name, value in keys.items()]
    archive = "https://me:pw@host/x.zip?X-Amz-Credential=AKIA1&part=1&X-Amz-Signature=s3cret"
    argv = ["--yfcc", "in", "--output", "out", "--s3_endpoint_url=http://me:pw@host:9000", "--images", archive, *flags]
    config = build_dataset.parse_args(argv)
    assert config.images
    assert config.images.places.s3 == S3Options(endpoint_url="http://me:pw@host:9000", **keys)
    assert config.images.places.images == (archive,)
    assert config.flags["s3_endpoint_url"] == "http://host:9000"
    assert config.flags["images"] == ["https://host/x.zip?part=1&"]
    assert not any(secret in repr(config.flags) for secret in (*keys.values(), "pw"))


def config_of(*flags: str) -> build_dataset.BuildConfig:
    return build_dataset.parse_args(["--yfcc", "in", "--output", "out", *flags])


@pytest.mark.parametrize(("given", "sizes"), [("256", [256]), ("256,512", [256, 512]), (str(2**31 - 1), [2**31 - 1])])
def test_plan_and_manifest_say_the_sizes_alike(given: str, sizes: list[int]) -> None:
    config = config_of("--image_size", given)
    assert config.images
    assert list(config.images.image.sizes) == sizes
    assert config.format["image_size"] == config.flags["image_size"] == sizes


@pytest.mark.parametrize(
    "size", ["2_5_6", " 256", "٢", "256, 512", "+256", "-1", "0", "", "2.5", str(2**31), "9" * 5000]
)
def test_a_size_that_is_no_number_of_pixels_is_refused(size: str) -> None:
    for given in (size, f"256,{size}"):
        with pytest.raises(UsageError, match="--image_size"):
            config_of(f"--image_size={given}")


def test_a_place_of_images_is_the_same_from_any_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    config = config_of("--images=photos", "--images=~/a.zip", "--images=s3://bucket/photos", "--images=auto")
    assert config.flags["images"] == [str(tmp_path / "photos"), "/home/me/a.zip", "s3://bucket/photos", "auto"]
    assert config.images is not None
    assert config.images.places.images == tuple(config.flags["images"])


def test_inputs_are_the_same_from_any_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packs").mkdir()
    (tmp_path / "2017:val").mkdir()
    (tmp_path / "a.zip").touch()
    given = ["packs", "places=packs", "*.bz2", "gone", "https://host/a.bz2"]
    coco = ["2017:val", "zip://a.json::a.zip"]
    flags = build_dataset.parse_args(["--yfcc", *given, "--coco", *coco, "--output", "out"]).flags
    packs = tmp_path / "packs"
    assert flags["yfcc"] == [str(packs), f"places={packs}", str(tmp_path / "*.bz2"), "gone", "https://host/a.bz2"]
    assert flags["coco"] == ["2017:val", f"zip://a.json::{tmp_path}/a.zip"]


def test_a_place_of_images_has_a_name() -> None:
    with pytest.raises(UsageError, match="--images: it is empty; name a place"):
        config_of("--images=")


@pytest.mark.parametrize(
    ("lines", "flag", "value"),
    [
        ("image_size: 64", "image_size", [64]),
        ("image_size: 64,32", "image_size", [64, 32]),
        ("image_size: [64, 32]", "image_size", [64, 32]),
        ("opt_out_tags: [noai, noml]", "opt_out_tags", "noai,noml"),
        ("images: [/a, auto]", "images", ["/a", "auto"]),
        ("coco: [a, b]", "coco", ["a", "b"]),
    ],
)
def test_a_config_file_may_list_values(tmp_path: pathlib.Path, lines: str, flag: str, value: typing.Any) -> None:
    (tmp_path / "flags.yaml").write_text(lines)
    assert config_of("--config", str(tmp_path / "flags.yaml")).flags[flag] == value


def test_an_unknown_flag_is_looked_for_where_it_stands(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "flags.yaml"
    path.write_text("image_sze: 3")
    with pytest.raises(UsageError, match=f"unknown flag --image_sze of --config {path}; did you mean --image_size?"):
        config_of("--config", str(path))
    path.write_text("image_size: 3")
    with pytest.raises(UsageError, match="unknown flag --image_sze; did you mean --image_size?"):
        config_of("--config", str(path), "--image_sze=3")


def test_a_config_file_may_not_list_values_of_a_flag_that_takes_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "flags.yaml").write_text("quality: [80, 90]")
    with pytest.raises(UsageError, match="--quality: invalid int value: '80,90'"):
        config_of("--config", str(tmp_path / "flags.yaml"))


def fetch(*flags: str) -> FetchOptions:
    images = build_dataset.parse_args(["--yfcc", "in", "--output", "out", *flags]).images
    assert images
    return images.fetch


def test_the_rate_of_a_host_is_shared_by_the_processes() -> None:
    assert fetch("--workers", "4").per_host_rate == 0
    assert fetch("--workers", "4", "--per_host_rate", "10").per_host_rate == 2.5


def test_the_tags_that_refuse_a_photo_can_be_named() -> None:
    assert fetch().opt_out_tags == OPT_OUT_TAGS
    assert (fetch().verify_hash, fetch("--verify_hash").verify_hash) == (False, True)
    assert fetch("--opt_out_tags", "NoAI, noml").opt_out_tags == ("noai", "noml")
    assert fetch("--opt_out_tags", "off").opt_out_tags == ()
    for wrong in ("noai,,x", "a b", ","):
        with pytest.raises(UsageError, match="--opt_out_tags .*give noai,noindex or off"):
            fetch("--opt_out_tags", wrong)
    with pytest.raises(UsageError, match="--per_host_rate .*give 0"):
        fetch("--per_host_rate", "-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('where: "a\\0b"', "'--where': a value with a NUL character"),
        ("limit: " + "9" * 5_000, "5000 digits"),
        ("limit: 2026-99-99", "month must be in"),
        ("[" * 20_000, "recursion"),
    ],
)
def test_a_file_of_flags_that_cannot_be_read_is_refused(tmp_path: pathlib.Path, text: str, said: str) -> None:
    (tmp_path / "flags.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        config_of("--config", str(tmp_path / "flags.yaml"))

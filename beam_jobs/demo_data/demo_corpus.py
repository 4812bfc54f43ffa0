"""The demo's corpus: YFCC packs in bz2, and the files of the mirror, with known faults planted in both.

Everything follows from the seed. What a build must find is counted while it is planted.
"""

import bz2
import collections
import datetime
import pathlib
import random
import typing
from urllib.parse import quote_plus

from beam_jobs.demo_data.demo_photos import ENCODINGS, FAULTS, SIZES_PX, draw_scene
from schemas.failures import FailureReason
from schemas.yfcc import Pack, mirror_key

PACKS = "yfcc"
MIRROR = "mirror"
"""Folders of the corpus; the second is laid out like the public mirror."""

FAULTY = {
    FailureReason.NOT_FOUND: 12,
    FailureReason.TRUNCATED_IMAGE: 7,
    FailureReason.NOT_AN_IMAGE: 5,
    FailureReason.TOO_MANY_PIXELS: 3,
}
"""Photos that get each of the faults."""

_FIRST_ID = 4_500_000_000
_FORMATS = ("jpeg", "jpeg", "progressive jpeg", "jpeg", "png", "greyscale jpeg", "gif", "jpeg", "CMYK jpeg", "webp",
            "jpeg", "16-bit png", "progressive jpeg", "jpeg")  # fmt: skip
_PLAIN_FORMAT = "jpeg"
_PACK_FILES = {pack: f"yfcc100m_{pack.value}.bz2" for pack in Pack}
_LICENSES = {"by": "Attribution License", "by-nc-sa": "Attribution-NonCommercial-ShareAlike License",
             "by-nd": "Attribution-NoDerivs License"}  # fmt: skip
_SUBJECTS = ("Hills at dawn", "Sunset & pines", "100% fog", "Über den Bergen", "São Paulo, far away", "東の山")
_TAGS = ("hills", "sun,set", "c++", "naïve", "landscape", "tree", "50%")
_DESCRIPTION = 'Drawn for a demo.\nSee <a href="https://example.org/?a=1&b=2">more</a>'
_CAMERAS = ("Canon EOS 350D", "NIKON D90", "")
_CONCEPTS = ("outdoor", "nature", "hill", "sky", "tree", "sunset")
_PLACES = ((91476962, "Lettershea", "Town"), (2345255, "Galway", "County"), (23424803, "Ireland", "Country"),
           (28350896, "Europe/Dublin", "Timezone"))  # fmt: skip


class Planted(typing.NamedTuple):
    """What a build of the corpus must find.

    Attributes:
        lines: of the dataset.
        rows: photos and videos.
        samples: photos that have a good image.
        failures: the others, by reason.
        input_failures: lines that become no row, by reason.
        collapsed: lines that repeat another.
        unmatched_autotags: lines of autotags without a photo.
    """

    lines: int
    rows: int
    samples: int
    failures: dict[str, int]
    input_failures: dict[str, int]
    collapsed: int
    unmatched_autotags: int


class _Photo(typing.NamedTuple):
    """One photo: its id, URL and extension, how it is stored, and its fault if it has one."""

    photo_id: int
    url: str
    format_name: str
    size: tuple[int, int]
    orientation: int
    fault: FailureReason | None

    @property
    def extension(self) -> str:
        return ENCODINGS[self.format_name].extension


def write_corpus(folder: pathlib.Path, photos: int = 300, seed: int = 0) -> Planted:
    """Writes packs and mirror; equal arguments give equal bytes.

    Args:
        folder: written to, made if need be.
        photos: how many, at least as many as there are faults to plant.
        seed: of everything.
    """
    drawn = _choose_photos(photos, random.Random(seed))
    for photo in drawn:
        _write_image(folder / MIRROR, photo)
    dataset, packs = _lines(drawn)
    _write_packs(folder / PACKS, {Pack.DATASET: dataset, **packs})
    failures = collections.Counter(p.fault.value for p in drawn if p.fault)
    return Planted(
        lines=len(dataset),
        rows=photos + 1,
        samples=photos - failures.total(),
        failures={**failures, FailureReason.IS_VIDEO.value: 1},
        input_failures={FailureReason.DUPLICATE_PHOTO_ID.value: 1, FailureReason.MALFORMED_ROW.value: 1},
        collapsed=1,
        unmatched_autotags=1,
    )


def _choose_photos(count: int, rnd: random.Random) -> list[_Photo]:
    faults = [reason for reason, number in FAULTY.items() for _ in range(number)]
    fault_of = dict(zip(rnd.sample(range(count), len(faults)), faults, strict=True))
    photos = []
    for i in range(count):
        photo_id, server = _FIRST_ID + i * 7_919, rnd.randrange(1, 9000)
        url = f"http://farm{server % 9 + 1}.staticflickr.com/{server}/{photo_id}_{rnd.getrandbits(40):010x}.jpg"
        format_name = _PLAIN_FORMAT if i in fault_of else _FORMATS[i % len(_FORMATS)]
        turned = ENCODINGS[format_name].extension == "jpg" and i % 3 == 0
        orientation = rnd.randrange(2, 9) if turned else 1
        photos.append(_Photo(photo_id, url, format_name, rnd.choice(SIZES_PX), orientation, fault_of.get(i)))
    return photos


def _write_image(mirror: pathlib.Path, photo: _Photo) -> None:
    """Writes a photo under its name on the mirror, unless it is to be missing."""
    name = mirror_key(photo.url)
    path = mirror / "data" / "images" / name[:3] / name[3:6] / f"{name}.{photo.extension}"
    scene = draw_scene(photo.size, random.Random(photo.photo_id))
    data = ENCODINGS[photo.format_name].encode(scene, photo.orientation)
    if photo.fault:
        damage = FAULTS[photo.fault]
        if damage is None:
            path.unlink(missing_ok=True)
            return
        data = damage(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _lines(photos: list[_Photo]) -> tuple[list[str], dict[Pack, list[str]]]:
    """Returns the lines of the dataset, planted ones among them, and those of the other packs."""
    dataset = [_dataset_fields(number, photo) for number, photo in enumerate(photos)]
    packs: dict[Pack, list[str]] = {
        Pack.AUTOTAGS: [f"{p.photo_id}\t{_autotags(p)}" for p in photos],
        Pack.EXIF: [f"{p.photo_id}\t{_exif(p)}" for p in photos],
        Pack.PLACES: [f"{p.photo_id}\t{_places(p)}" for p in photos],
        Pack.HASH: [f"{p.photo_id}\t{mirror_key(p.url)}" for p in photos],
    }
    packs[Pack.AUTOTAGS].append("1\toutdoor:0.9000")
    repeated, retitled, cut_short = list(dataset[3]), list(dataset[5]), dataset[7][:9]
    repeated[0], retitled[8] = str(len(dataset)), "Another+title"
    dataset[100:100] = [_video_fields(len(dataset)), repeated, retitled, cut_short]
    return ["\t".join(fields) for fields in dataset], packs


def _dataset_fields(number: int, photo: _Photo) -> list[str]:
    """Returns the 25 fields of a photo's line."""
    rnd = random.Random(photo.photo_id + 1)
    user = f"{rnd.randrange(10**8)}@N0{rnd.randrange(9)}"
    taken = datetime.datetime(2010, 1, 1) + datetime.timedelta(minutes=rnd.randrange(2_000_000))
    position = [f"{rnd.uniform(-180, 180):.6f}", f"{rnd.uniform(-90, 90):.6f}", str(rnd.randrange(1, 17))]
    license_code = rnd.choice(list(_LICENSES))
    server, name = photo.url.split("/")[3:]
    return [
        str(number), str(photo.photo_id), mirror_key(photo.url), user, quote_plus(rnd.choice(("ana", "J. Müller"))),
        f"{taken:%Y-%m-%d %H:%M:%S}.0", str(1_400_000_000 + rnd.randrange(10**7)), quote_plus(rnd.choice(_CAMERAS)),
        quote_plus(rnd.choice((*_SUBJECTS, ""))), quote_plus(rnd.choice((_DESCRIPTION, ""))),
        ",".join(quote_plus(tag) for tag in rnd.sample(_TAGS, rnd.randrange(5))),
        quote_plus("geo:locality=home") if _is_located(photo) else "",
        *(position if _is_located(photo) else ["", "", ""]),
        f"http://www.flickr.com/photos/{user}/{photo.photo_id}/", photo.url,
        _LICENSES[license_code], f"http://creativecommons.org/licenses/{license_code}/2.0/",
        server, str(int(server) % 9 + 1), name.split("_")[1].removesuffix(".jpg"), f"{rnd.getrandbits(40):010x}",
        photo.extension, "0",
    ]  # fmt: skip


def _video_fields(number: int) -> list[str]:
    photo_id = _FIRST_ID - 1
    video = _Photo(photo_id, "http://farm1.staticflickr.com/1/1_0123456789.jpg", _PLAIN_FORMAT, (1, 1), 1, None)
    fields = _dataset_fields(number, video)
    url = f"http://www.flickr.com/videos/{fields[3]}/{photo_id}/play/orig/0123456789"
    fields[2], fields[16], fields[23], fields[24] = mirror_key(url), url, "avi", "1"
    return fields


def _is_located(photo: _Photo) -> bool:
    return photo.photo_id % 2 == 0


def _autotags(photo: _Photo) -> str:
    rnd = random.Random(photo.photo_id + 2)
    concepts = sorted(rnd.sample(_CONCEPTS, rnd.randrange(5)))
    return ",".join(f"{concept}:{rnd.uniform(0.5, 1):.4f}" for concept in concepts)


def _exif(photo: _Photo) -> str:
    """Returns some EXIF as published: category, tag and value encoded apart."""
    if ENCODINGS[photo.format_name].extension != "jpg":
        return ""
    values = (("Exif IFD0", "Orientation", str(photo.orientation)), ("Exif SubIFD", "Focal Length", "50.0 mm"),
              ("Exif SubIFD", "Flash", "Flash did not fire, auto"))  # fmt: skip
    return ",".join(f"{quote_plus(c)}.{quote_plus(tag)}:{quote_plus(value)}" for c, tag, value in values)


def _places(photo: _Photo) -> str:
    return ",".join(f"{w}:{quote_plus(n)}:{t}" for w, n, t in _PLACES) if _is_located(photo) else ""


def _write_packs(folder: pathlib.Path, packs: typing.Mapping[Pack, list[str]]) -> None:
    """Writes each pack as bz2 of two streams, as tools that compress in parallel do."""
    folder.mkdir(parents=True, exist_ok=True)
    for pack, lines in packs.items():
        middle = len(lines) // 2
        halves = ("".join(line + "\n" for line in part).encode() for part in (lines[:middle], lines[middle:]))
        (folder / _PACK_FILES[pack]).write_bytes(b"".join(bz2.compress(half) for half in halves))

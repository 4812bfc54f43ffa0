"""Seeded YFCC packs of any size, in the published line formats, for tests and benchmarks."""

import contextlib
import hashlib
import pathlib
import random
import urllib.parse

PACKS = ("yfcc100m_dataset", "yfcc100m_autotags", "yfcc100m_exif", "yfcc100m_places")

_WORDS = """sunset beach café São Paulo naïve dog über hill 東京 street market winter snow concert live portrait macro
flower garden river bridge night city lights family trip holiday old town church tower #1 50% off""".split()  # noqa: SIM905
_CAMERAS = ["Canon EOS 350D", "NIKON D90", "Panasonic DMC-ZS10", "SONY CLIE", ""]
_LICENSES = [("Attribution License", "by"), ("Attribution-NonCommercial-NoDerivs License", "by-nc-nd")]
_CONCEPTS = [
    f"{a}{b}" for a in ("out", "in", "under", "sky", "land") for b in ("door", "side", "water", "line", "scape")
]
_EXIF = ["Exif SubIFD.Focal Length:50.0 mm", "Exif IFD0.Make:Canon", "Exif SubIFD.Flash:Flash did not fire, auto",
         "Exif SubIFD.Exposure Time:1/60 sec", "Exif IFD0.Software:Adobe Photoshop CS 5.1 (Windows)"]  # fmt: skip
_PLACES = [
    "91476962:Lettershea:Town",
    "2345255:Galway:County",
    "23424803:Ireland:Country",
    "28350896:Europe/Dublin:Timezone",
]


def mirror_key(download_url: str) -> str:
    """The photo's name on the mirror, computed apart from the code under test."""
    return "".join(f"{b:x}" for b in hashlib.md5(download_url.encode()).digest())


def mirror_path(line: str) -> str:
    """Where the mirror has the photo of a line of ``yfcc100m_dataset``, from its root on."""
    key = mirror_key(line.split("\t")[16])
    return f"/data/images/{key[:3]}/{key[3:6]}/{key}.jpg"


def video_path(line: str) -> str:
    """Where the mirror has the video of a line of ``yfcc100m_dataset``, from its root on."""
    key = mirror_key(line.split("\t")[16])
    return f"/data/videos/mp4/{key[:3]}/{key[3:6]}/{key}.mp4"


def video_line(line_number: int, photo_id: int, rnd: random.Random) -> str:
    """One line as :func:`dataset_line` makes it, of a video."""
    line = dataset_line(line_number, photo_id, rnd).split("\t")
    user, secret = line[3], line[22]
    line[16] = f"http://www.flickr.com/videos/{user}/{photo_id}/play/orig/{secret}"
    return "\t".join([*line[:2], mirror_key(line[16]), *line[3:24], "1"])


def dataset_line(line_number: int, photo_id: int, rnd: random.Random) -> str:
    """One 25-column line of ``yfcc100m_dataset``, without its newline."""

    def quote(words: int) -> str:
        return urllib.parse.quote_plus(" ".join(rnd.choices(_WORDS, k=words)))

    server, secret = rnd.randrange(9000), f"{rnd.getrandbits(40):010x}"
    user = f"{rnd.randrange(10**8)}@N0{rnd.randrange(9)}"
    url = f"http://farm{server % 9 + 1}.staticflickr.com/{server}/{photo_id}_{secret}.jpg"
    license_name, license_code = rnd.choice(_LICENSES)
    located = rnd.random() < 0.5
    columns = [
        str(line_number), str(photo_id), mirror_key(url), user, quote(1),
        f"20{rnd.randrange(10, 14)}-0{rnd.randrange(1, 9)}-1{rnd.randrange(9)} 09:56:37.0",
        str(rnd.randrange(1_100_000_000, 1_400_000_000)),
        rnd.choice(_CAMERAS).replace(" ", "+"), quote(3), quote(rnd.choice((0, 8, 25))),
        ",".join(quote(1) for _ in range(rnd.randrange(9))), "geo%3Alocality%3Dhome" if located else "",
        f"{rnd.uniform(-180, 180):.6f}" if located else "", f"{rnd.uniform(-90, 90):.6f}" if located else "",
        str(rnd.randrange(1, 17)) if located else "",
        f"http://www.flickr.com/photos/{user}/{photo_id}/", url,
        license_name, f"http://creativecommons.org/licenses/{license_code}/2.0/",
        str(server), str(server % 9 + 1), secret, f"{rnd.getrandbits(40):010x}", "jpg", "0",
    ]  # fmt: skip
    return "\t".join(columns)


def pack_lines(photo_id: int, rnd: random.Random) -> tuple[str, str, str]:
    """The lines of autotags, exif and places of one photo, without newlines."""
    tags = ",".join(f"{c}:{rnd.uniform(0.5, 1):.4f}" for c in rnd.sample(_CONCEPTS, rnd.randrange(9)))
    exif = ",".join(
        ":".join(urllib.parse.quote_plus(part).replace("%2E", ".") for part in value.split(":", 1))
        for value in rnd.sample(_EXIF, rnd.randrange(6))
    )
    places = ",".join(p.replace("/", "%2F") for p in _PLACES[rnd.randrange(8) :])
    return f"{photo_id}\t{tags}", f"{photo_id}\t{exif}", f"{photo_id}\t{places}"


def write_corpus(folder: pathlib.Path, rows: int, seed: int = 0, distinct: int = 20_000) -> list[pathlib.Path]:
    """Writes the four packs, plain, in photo id order.

    Args:
        folder: existing folder.
        rows: photos.
        seed: of everything.
        distinct: texts that differ in more than their ids; they repeat beyond.
    """
    rnd = random.Random(seed)
    texts = [_texts(rnd) for _ in range(min(rows, distinct))]
    paths = [folder / name for name in PACKS]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(p.open("w", encoding="utf-8", newline="\n")) for p in paths]
        for number in range(rows):
            photo_id = str(1_000_000 + number * 9_973)
            for file, text in zip(files, texts[number % distinct], strict=True):
                file.write(text.replace(_ID, photo_id).replace(_HASH, f"{number:x}", 1))
    return paths


_ID, _HASH = "@id", "@hash"


def _texts(rnd: random.Random) -> tuple[str, ...]:
    fields = dataset_line(rnd.randrange(10**8), 4242424242, rnd).replace("4242424242", _ID).split("\t")
    fields[2] = _HASH + fields[2][8:]
    packs = (line.replace("4242424242", _ID, 1) for line in pack_lines(4242424242, rnd))
    return tuple(line + "\n" for line in ("\t".join(fields), *packs))

"""One decoder for every image file: whole, of a sane size, turned as the camera says."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mer_nas.data.preprocess.images import MAX_PIXELS, bits_of, decode, in_eight
from mer_nas.errors import DataError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header promises so many pixels, and which holds none of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [6_400, 20_000, 100_000, 2**31 - 1])
def test_what_would_take_gigabytes_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    assert side * side > MAX_PIXELS
    (tmp_path / "1.png").write_bytes(png(side, side))
    with pytest.raises(DataError, match=r"1\.png: .*(larger|more) than the 40 million"):
        decode(tmp_path / "1.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"this image file is empty \(0 bytes\); copy it again"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "no image that can be decoded"),
        (b"\x89PNG but no more", "this image is cut off; copy it again"),
        (b"BM\xff\xff\xff\x7f", "this image is cut off"),
        (b"text", "no image that can be decoded"),
        (png(5, 5), "no image that can be decoded"),
    ],
    ids=["empty", "no png", "half a png", "half a bmp", "text", "no pixels"],
)
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "1.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"1\.png: .*{said}"):
        decode(tmp_path / "1.png")


def jpeg(*, preview: bool = False, progressive: bool = False) -> bytes:
    """Return a JPEG of noise, where wanted with another whole JPEG in its header."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    content = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1]
    whole = content.tobytes()
    if not preview:
        return whole
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(whole) + 2) + whole + whole[2:]


@pytest.mark.parametrize("preview", [False, True], ids=["plain", "with a whole preview"])
@pytest.mark.parametrize("part", [0.55, 0.75, 0.99])
def test_a_part_of_a_jpeg_is_no_image(tmp_path: Path, part: float, preview: bool) -> None:
    content = jpeg(preview=preview)
    (tmp_path / "1.jpg").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match="this image is cut off"):
        decode(tmp_path / "1.jpg")


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_what_a_camera_appends_does_no_harm(tmp_path: Path, ending: str) -> None:
    whole = jpeg() if ending == ".jpg" else cv2.imencode(".png", GREY)[1].tobytes()
    (tmp_path / f"1{ending}").write_bytes(whole)
    (tmp_path / f"2{ending}").write_bytes(whole + b"SEFT" + bytes(5000))
    assert (decode(tmp_path / f"1{ending}") == decode(tmp_path / f"2{ending}")).all()


def test_a_length_beyond_the_file_is_not_believed(tmp_path: Path) -> None:
    whole = cv2.imencode(".png", GREY)[1].tobytes()
    pixels = whole.index(b"IDAT") - 4
    lie = struct.pack(">I", 2**31 - 1) + b"tEXt"
    (tmp_path / "1.png").write_bytes(whole[:pixels] + lie + whole[pixels:])
    with pytest.raises(DataError, match="this image is cut off"):
        decode(tmp_path / "1.png")


def test_a_jpeg_that_goes_over_its_picture_for_ever_is_refused(tmp_path: Path) -> None:
    content = jpeg(progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    (tmp_path / "1.jpg").write_bytes(content[:-2] + last * 200 + content[-2:])
    with pytest.raises(DataError, match="more than 100 scans"):
        decode(tmp_path / "1.jpg")
    (tmp_path / "1.jpg").write_bytes(content)
    assert decode(tmp_path / "1.jpg").shape == (64, 64, 3)


def test_what_is_missing_or_a_folder_is_said(tmp_path: Path) -> None:
    for file in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(DataError, match="cannot be read: "):
            decode(file)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_every_kind_of_png_gives_red_green_blue(tmp_path: Path, mode: str) -> None:
    white = Image.new(
        mode, (8, 6), {"RGBA": (255,) * 4, "RGB": (255,) * 3, "LA": (255, 255)}.get(mode, 255)
    )
    if mode == "P":
        white = Image.new("RGB", (8, 6), (255,) * 3).convert("P")
    white.save(tmp_path / "1.png")
    found = decode(tmp_path / "1.png")
    assert (found.shape, found.dtype, found.min()) == ((6, 8, 3), np.uint8, 255)


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    upright = Image.fromarray(GREY)
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to show", EXIF 2.32, table 4
    upright.save(tmp_path / "1.jpg", exif=exif, quality=100, subsampling=0)
    assert decode(tmp_path / "1.jpg").shape == (8, 6, 3)
    assert np.abs(decode(tmp_path / "1.jpg")[..., 0].astype(int) - np.rot90(GREY, -1)).max() <= 2


@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_several_images_in_a_file_are_refused(tmp_path: Path, ending: str) -> None:
    pages = [Image.fromarray(GREY + np.uint8(level)) for level in range(3)]
    pages[0].save(tmp_path / f"1{ending}", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="this file holds 3 images"):
        decode(tmp_path / f"1{ending}")


@pytest.mark.parametrize(
    ("largest", "bits"), [(255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (65535, 16)]
)
def test_the_bits_of_a_camera_are_told_by_the_largest_value(largest: int, bits: int) -> None:
    samples = np.full((2, 2, 3), largest, np.uint16)
    assert bits_of(samples) == bits
    assert in_eight(samples, bits)[0, 0, 0] == largest >> (bits - 8)


def test_eight_bits_stay_as_they_are(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), GREY)
    assert (decode(tmp_path / "1.png")[..., 0] == GREY).all()
    assert decode(tmp_path / "1.png").dtype == np.uint8

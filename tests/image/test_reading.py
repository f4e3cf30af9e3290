"""Every common kind of picture is read as upright 8-bit RGB, and what is no picture is refused by name."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.image import ImageError, image_notes, load_image, preprocess
from axialzoo.image import read as reading
from axialzoo.spec import Preprocessing

PHOTO = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.jpg"
SCENE = np.zeros((6, 10, 3), np.uint8)  # (H, W, C): red left, green right, blue bottom row
SCENE[:, :5, 0], SCENE[:, 5:, 1], SCENE[-1] = 200, 150, (0, 0, 255)


def stored(image: Image.Image, kind: str, **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def test_a_photograph_is_read_as_pillow_reads_it():
    with Image.open(PHOTO) as image:
        assert np.array_equal(load_image(PHOTO), image.convert("RGB"))
    assert load_image(str(PHOTO)).mode == "RGB" and image_notes(load_image(PHOTO)) == ()


def test_red_green_and_blue_stay_in_this_order():
    read = np.asarray(load_image(stored(Image.fromarray(SCENE), "PNG")))
    assert np.array_equal(read, SCENE)
    assert not np.array_equal(read[..., ::-1], SCENE)  # BGR would be seen


def test_grey_becomes_three_equal_channels():
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    read = np.asarray(load_image(stored(Image.fromarray(grey), "PNG")))
    assert np.array_equal(read, np.repeat(grey[..., None], 3, -1))


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("PPM", "I;16")])
def test_16_bit_grey_is_scaled_and_not_clipped(kind, suffix):
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    image = Image.frombytes(suffix, values.shape[::-1], values.astype(">u2" if suffix.endswith("B") else "<u2").tobytes())
    read = load_image(stored(image, kind))
    expected = [round(value / 257) for value in (0, 128, 129, 257, 32768, 65407, 65535)]
    assert np.asarray(read)[0, :, 0].tolist() == expected == [0, 0, 1, 1, 128, 255, 255]
    assert image_notes(read) == ("16-bit grey scaled to 8 bits",)
    assert np.minimum(values, 255)[0].tolist() != expected  # clipping, as Pillow's own convert does, would be seen


@pytest.mark.parametrize("values", [np.array([[0, 70000]], np.int32), np.array([[-0.5, 0.5]], np.float32)])
def test_32_bit_and_floating_point_pixels_are_for_models_that_stretch_pictures(values):
    picture = load_image(stored(Image.fromarray(values), "TIFF"))
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 255] and "stretched to 8 bits" in image_notes(picture)[0]
    with pytest.raises(ImageError, match="no known range"):
        preprocess(picture, Preprocessing(size=(1, 2)))
    assert preprocess(picture, Preprocessing(size=(1, 2), resize="none", per_image=True)).shape == (3, 1, 2)


def test_transparency_is_laid_over_white_and_said():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = (0, 255, 51)  # black: transparent, opaque, one fifth
    read = load_image(stored(Image.fromarray(rgba), "PNG"))
    assert np.asarray(read)[0, :, 0].tolist() == [255, 0, 204]
    assert image_notes(read) == ("transparency laid over white",)
    with Image.open(stored(Image.fromarray(rgba), "PNG")) as image:
        assert not np.array_equal(image.convert("RGB"), read)  # dropping alpha would be seen


def test_an_opaque_alpha_channel_changes_nothing_and_is_not_mentioned():
    rgba = np.dstack([SCENE, np.full(SCENE.shape[:2], 255, np.uint8)])
    read = load_image(stored(Image.fromarray(rgba), "PNG"))
    assert np.array_equal(read, SCENE) and image_notes(read) == ()


def test_grey_with_alpha_is_laid_over_white():
    pixels = np.array([[[10, 0], [10, 255]]], np.uint8)
    read = load_image(stored(Image.fromarray(pixels), "PNG"))
    assert np.asarray(read)[0, :, 0].tolist() == [255, 10]


def test_a_palette_gives_its_colours_and_its_transparent_entry_white():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    assert np.asarray(load_image(stored(image, "PNG"))).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    for kind in ("PNG", "GIF"):
        read = load_image(stored(image, kind, transparency=1))
        assert np.asarray(read).tolist() == [[[10, 20, 30], [255, 255, 255]]]
        assert image_notes(read) == ("transparency laid over white",)


def test_a_transparent_colour_of_an_rgb_picture_becomes_white():
    read = load_image(stored(Image.fromarray(SCENE), "PNG", transparency=(0, 0, 255)))
    assert (np.asarray(read)[-1] == 255).all() and (np.asarray(read)[0] == SCENE[0]).all()


def test_cmyk_is_read_and_said():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red in ink
    read = load_image(stored(cmyk, "JPEG", quality=100))
    red, green, blue = np.asarray(read)[8, 8].astype(int)
    assert red > 245 and green < 10 and blue < 10
    assert image_notes(read) == ("CMYK converted without its colour profile",)


def test_black_and_white_is_0_and_255():
    read = load_image(stored(Image.fromarray(np.array([[True, False]])), "PNG"))
    assert np.asarray(read)[0, :, 0].tolist() == [255, 0]


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x[::-1].transpose(1, 0, 2),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_rotation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = load_image(stored(Image.fromarray(SCENE), "PNG", exif=exif))
    assert np.array_equal(read, TURNS[orientation](SCENE))
    assert image_notes(read) == (() if orientation == 1 else ("turned upright as its EXIF says",))
    if orientation > 1:
        assert not np.array_equal(read, SCENE)  # a picture left as it lies would be seen
    assert read.getexif().get(0x0112, 1) == 1  # and is not turned again


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (7, 200)]
    read = load_image(stored(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (np.asarray(read) == 7).all()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF"])
def test_one_pixel_is_a_picture(kind):
    read = load_image(stored(Image.new("RGB", (1, 1), (255, 255, 255)), kind))
    assert read.size == (1, 1) and np.asarray(read).tolist() == [[[255, 255, 255]]]


def test_a_decompression_bomb_is_refused_before_its_pixels_are_made(monkeypatch, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(stored(Image.fromarray(SCENE), "PNG").read())
    monkeypatch.setattr(reading, "MAX_PIXELS", 59)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"bomb.png: 10 x 6 pixels; expected at most 59"):
        load_image(path)


@pytest.mark.parametrize("side", [10_000, 60_000])  # where Pillow warns, and where it raises
def test_a_header_that_claims_a_huge_picture_is_refused(side, tmp_path):
    path = tmp_path / "huge.png"
    data = bytearray(stored(Image.fromarray(SCENE), "PNG").read())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"huge.png: .*pixels; "):
        load_image(path)


def test_what_is_no_picture_is_refused_naming_the_file_and_what_is_accepted(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes.txt: not a picture that can be read; expected JPEG, PNG, WebP"):
        load_image(text)
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty.jpg: not a picture"):
        load_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match=r"absent.jpg: no such file"):
        load_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="found a folder"):
        load_image(tmp_path)


def test_formats_that_run_other_programs_are_not_opened(tmp_path):
    path = tmp_path / "page.eps"
    Image.fromarray(SCENE).save(path)
    with pytest.raises(ImageError, match=r"page.eps: not a picture that can be read"):
        load_image(path)


def test_a_truncated_picture_is_refused_wherever_it_ends(tmp_path):
    whole = PHOTO.read_bytes()
    for remaining in (3, 20, 200, 2_000, len(whole) // 2, len(whole) - 200):
        path = tmp_path / f"{remaining}.jpg"
        path.write_bytes(whole[:remaining])
        with pytest.raises(ImageError, match=f"{remaining}.jpg: "):
            load_image(path)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of odd metadata
def test_flipped_bytes_are_refused_or_read_but_never_crash():
    random = np.random.default_rng(0)
    for kind in ("PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = np.frombuffer(stored(Image.fromarray(SCENE), kind).read(), np.uint8)
        for _ in range(60):
            data = whole.copy()
            data[random.integers(len(data), size=3)] = random.integers(256, size=3)
            try:
                assert load_image(io.BytesIO(data.tobytes())).mode == "RGB"
            except ImageError as error:
                assert "the stream" in str(error)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://example.com/a.jpg", "it is an address: fetch it first (curl -LO 'https://example.com/a.jpg')"),
        ("https:/example.com/a.jpg", "curl -LO 'https://example.com/a.jpg'"),
        ("-", "standard input is not read"),
        ("photos/*.jpg", "nothing matches this pattern"),
        ("loop", "a link that leads back to itself"),
    ],
)
def test_names_that_are_no_files_say_what_to_do(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ImageError, match=re.escape(message)):
        load_image(name)

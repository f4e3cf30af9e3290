"""Files of several planes, and errors for files that Pillow does not read."""

from __future__ import annotations

import re
from typing import IO

from PIL import Image, TiffImagePlugin

from axialzoo.image.image_error import ImageError

DESCRIPTION = 270  # the TIFF tag in which ImageJ and OME describe their planes
SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point"}
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def select_page(image: Image.Image, page: int | None, channel: int | None, name: str) -> list[str]:
    """Select the requested page or plane of an opened file, and return notes for the user.

    Args:
        page: From 1; None for the first, of which a note says that there are others.
        channel: From 1, where ImageJ saved channels as pages; see also :func:`select_channel`.

    Raises:
        ImageError: for a page that the file does not have; for OME-TIFF of several planes without a choice.
    """
    pages = int(getattr(image, "n_frames", 1))
    channels = channels_as_pages(image, pages)
    word = "page" if image.format == "TIFF" else "frame"
    if channel is not None and channels > 1:
        if not 1 <= channel <= channels:
            raise ImageError(f"{name}: expected a channel from 1 to {channels}, found {channel}")
        page = ((page or 1) - 1) * channels + channel
    if page is not None:
        if not 1 <= page <= pages:
            raise ImageError(f"{name}: expected a page from 1 to {pages}, found {page}")
        image.seek(page - 1)
        return [f"{word} {page} of {pages} read"] if pages > 1 else []
    if pages < 2:
        return []
    if "<OME" in description(image):
        sizes = ", ".join(re.findall(r'Size[CZT]="\d+"', description(image)))
        raise ImageError(f"{name}: OME-TIFF of {pages} planes ({sizes}); choose one with --page 1 to {pages} (page= in Python)")
    if channels > 1:
        return [f"{word} 1 of {pages} read (channel 1 of {channels} that ImageJ saved as pages); choose others with --channel or --page"]
    return [f"{word} 1 of {pages} read; choose another with --page"]


def select_channel(image: Image.Image, channel: int | None, name: str) -> tuple[Image.Image, list[str]]:
    """Return one channel of a picture as grey, where it has several.

    Raises:
        ImageError: for a channel that it does not have.
    """
    pages = int(getattr(image, "n_frames", 1))
    if channel is None or channels_as_pages(image, pages) > 1:
        return image, []
    bands = image.getbands()
    if not 1 <= channel <= len(bands):
        raise ImageError(f"{name}: expected a channel from 1 to {len(bands)} ({', '.join(bands)}), found {channel}")
    note = [f"channel {channel} of {len(bands)} read"] if len(bands) > 1 else []
    return (image.getchannel(channel - 1) if note else image), note


def channels_as_pages(image: Image.Image, pages: int) -> int:
    """Return how many channels ImageJ saved as pages of a TIFF; 1 where it did not."""
    match = re.search(r"^channels=(\d+)\s*$", description(image), re.MULTILINE)
    channels = int(match[1]) if match and description(image).startswith("ImageJ=") else 1
    return channels if 1 < channels <= pages and pages % channels == 0 else 1


def tiff_samples(image: Image.Image) -> tuple[int, int]:
    """Return the kind of number and the bits of a pixel of a TIFF; zeros of other pictures."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.format != "TIFF":
        return 0, 0
    kind, bits = (tags.get(tag, 1) for tag in (339, 258))
    return (kind[0] if isinstance(kind, tuple) else kind, bits[0] if isinstance(bits, tuple) else bits)


def description(image: Image.Image) -> str:
    """Return the description in a TIFF, or nothing."""
    tags = getattr(image, "tag_v2", None)
    return str(tags.get(DESCRIPTION, "")) if tags is not None and image.format == "TIFF" else ""


def cut_note(image: Image.Image) -> list[str]:
    """Return a note where Pillow cuts 16 bits a channel to 8, as it does for one channel of a picture in colour."""
    modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
    cut = any(";16" in mode for mode in modes) and image.mode not in ("I", "F") and not image.mode.startswith("I;16")
    return ["16 bits a channel cut to 8, as one channel of a file is not read at full depth; give it as an array"] if cut else []


UNSIGNED, SIGNED = 1, 2  # kinds of number in a TIFF
MICROSCOPE = "a microscope's own format; save its picture as TIFF (Fiji: Bio-Formats Importer, then Save As)"
FOREIGN = (  # where a file of another kind begins, its first bytes in lower case, and what to do
    (0, b"zisrawfile", MICROSCOPE),
    (0, b"\xda\xce\xbe\x0a", MICROSCOPE),
    (0, b"\x70\0\0\0", MICROSCOPE),
    (4, b"ftyphei", "HEIC; save it as JPEG or PNG"),
    (4, b"ftypmif", "HEIF; save it as JPEG or PNG"),
    (4, b"ftyp", "a video; save its frames as pictures"),
    (0, b"\0\0\0\x0cjp  ", "JPEG 2000; save it as PNG or TIFF"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000; save it as PNG or TIFF"),
    (0, b"\x93numpy", "an array of NumPy; give `numpy.load(path)` to predict()"),
    (0, b"%pdf", "PDF; save its pages as pictures"),
    (0, b"8bps", "Photoshop's own format; save it as PNG or TIFF"),
    (0, b"<svg", "SVG; save it as PNG"),
    (0, b"<?xml", "XML, as of SVG; save it as PNG"),
    (0, b"<!doctype html", "a page of the web, as a server sends in place of a picture; fetch it again"),
    (0, b"<html", "a page of the web, as a server sends in place of a picture; fetch it again"),
    (0, b"version https://git-lfs", "a pointer of Git LFS; run `git lfs pull`"),
)


def explain_unknown(stream: IO[bytes], name: str, accepted: str) -> str:
    """Return why a file that Pillow does not know cannot be read, and what to do."""
    stream.seek(0)
    head = stream.read(352)
    if head[128:132] == b"DICM":
        return (
            f"{name}: a DICOM file; save its picture as PNG or TIFF of 16 bits, or give pydicom's `dcmread(path).pixel_array` to predict()"
        )
    if head[344:348] in (b"n+1\0", b"ni1\0") or name.lower().endswith(".nii.gz"):
        way = "save its slices as TIFF or PNG of 16 bits, or give nibabel's `load(path).get_fdata()[:, :, z]` to predict()"
        return f"{name}: a NIfTI volume; {way}"
    if head.startswith(b"\x89HDF\r\n"):
        return f"{name}: an HDF5 file; save its pictures as TIFF or PNG, or give an array of one to predict()"
    if head[:4] in TIFF_STARTS:
        expected = (
            "expected 1 or 3 channels of 8 or 16 bits, or 1 of 32 bits; save it so (Fiji: Image > Type), or give an array to predict()"
        )
        return f"{name}: {_tiff_pixels(stream, head)} cannot be read; {expected}"
    if way := next((way for at, start, way in FOREIGN if head[at : at + len(start)].lower() == start), None if head else "an empty file"):
        return f"{name}: not a picture that can be read: {way}"
    return f"{name}: not a picture that can be read; expected {accepted}"


def _tiff_pixels(stream: IO[bytes], head: bytes) -> str:
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(head[:16] if head[2:3] in b"+" or head[3:4] in b"+" else head[:8])
        stream.seek(tags.next)
        tags.load(stream)
        channels, bits, kind = int(tags.get(277, 1)), tags.get(258, 1), tags.get(339, 1)
        bits, kind = (value[0] if isinstance(value, tuple) else value for value in (bits, kind))
        planar = ", one plane a channel" if tags.get(284, 1) == 2 else ""
        return f"a TIFF of {channels} channel{'s' * (channels != 1)} of {bits} bits ({SAMPLE_FORMATS.get(kind, 'unknown')} numbers{planar})"
    except Exception:  # a damaged directory: whatever Pillow raises of it
        return "a TIFF whose directory is damaged"

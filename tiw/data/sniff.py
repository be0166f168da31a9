"""What a file is, by its name and by its first bytes."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

HEAD = 64  # bytes that tell
HEIC = {".heic", ".heif", ".hif"}
SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".avifs"),
    *(".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".mpo", *HEIC),
}
OTHER_PICTURES = {  # pictures that no decoder here reads; raw files of cameras among them
    *(".svg", ".psd", ".ai", ".eps", ".xcf", ".jxl", ".jxr", ".exr", ".hdr", ".tga", ".ico", ".dcm", ".raw", ".cr2", ".cr3", ".nef"),
    *(".arw", ".dng", ".orf", ".rw2", ".raf", ".pef"),
}
NO_PICTURES = {  # whose first bytes need no look
    *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".md", ".xml", ".html", ".htm", ".pdf", ".py", ".yaml", ".yml", ".zip", ".gz", ".tar"),
    *(".parquet", ".npy", ".npz", ".mat", ".pkl", ".pt", ".bin", ".db", ".ini", ".lnk", ".log", ".mp4", ".mov", ".avi", ".webm", ".mkv"),
}
FIRST_BYTES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]",
    "BMP": rb"BM....\x00\x00\x00\x00",
    "PPM": rb"P[1-6]\s+(?:#[^\n]*\n)?\d+\s+\d+",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
}
PATTERNS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in FIRST_BYTES.items()}


def kind_of(head: bytes) -> str:
    """The kind of image that these first bytes begin; empty for anything else."""
    return next((kind for kind, pattern in PATTERNS.items() if pattern.match(head[:HEAD])), "")


def suffix_of(name: str) -> str:
    """The suffix in lower case; files called .png have none."""
    return PurePosixPath(name).suffix.lower()


def hidden(name: str) -> bool:
    """Whether a file does not belong to the set: those that systems and programs leave beside it."""
    return any(part.startswith((".", "__MACOSX", "@eaDir", "$RECYCLE.BIN")) for part in name.split("/")) or name.rsplit("/", 1)[-1] in (
        "Thumbs.db",
        "desktop.ini",
    )

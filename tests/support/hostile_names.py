"""Paths that must not become files."""

from __future__ import annotations

HOSTILE = (
    "", ".", "..", "/", "/etc/passwd", "//etc/passwd", "../a", "a/../../b", "a/..", "./a", "a//b",
    "a/", "..\\..\\a", "a\\b", "C:\\a", "C:a", "c:/a", "\\\\host\\share", "a:stream", "a\0b", "\0",
    "a\nb", "a\rb", "a\tb", "\x1b[2J", "\x7f", "a\u202egnp.exe", "a\u200bb", "\ufeffa", "\udcff",
    "\ufffd", "a\u2028b", "\uff0e\uff0e/a", "\uff0e\uff0e", "\u2025/a", "\u2024", "a\uff0fb",
    "a\uff3cb", "a\ufe68b", "con", "CON", "Con.txt", "a/nul", "aux.nii.gz", "LPT1", "com9.dcm",
    "com¹", "conin$", "a.", "a ", " a", "a/ /b", "a.../b", "a*", "a?", "a|b", "a<b", 'a"b',
    "x" * 201, "é" * 101, "/".join("a" * 25), "a/" * 600 + "b", "\ue000", "a\u0378b",
)  # fmt: skip

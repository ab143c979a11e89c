"""Write `packaging/debian/copyright`: ``python tools/copyright.py``; `make generate` does.

A paragraph for vllmd, one for each wheel that the package brings, from what is installed by
`requirements/runtime.txt`, and one for each that the documentation site has scripts of: which
files, whose, under which licence, with its text. A wheel whose licence is not known here, or that
names no holder, ends it: a person has to look.
Source: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
"""

import itertools
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "packaging" / "debian" / "copyright"
SITE = "site*"
"""What is compiled for a processor lies beside site, in site-amd64 and site-arm64."""
SOURCE = "https://pypi.org/project"
SHIPPED_BY_DEBIAN = {"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0"}
"""Licences whose text is in /usr/share/common-licenses."""

LICENSES = {
    "MIT": "Expat",
    "The MIT License (MIT)": "Expat",
    "MIT License": "Expat",
    "BSD": "BSD-3-clause",
    "BSD-3-Clause": "BSD-3-clause",
    "BSD-2-Clause": "BSD-2-clause",
    "3-Clause BSD License": "BSD-3-clause",
    "Apache-2.0": "Apache-2.0",
    "MPL-2.0": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
    "MIT OR Apache-2.0": "Expat or Apache-2.0",
    "Apache-2.0 AND BSD-2-Clause": "Apache-2.0 and BSD-2-clause",
}
"""What a wheel calls its licence, and what Debian calls that."""

HOLDERS = {
    "bcrypt": "2013-2025 The Python Cryptographic Authority developers",
    "certifi": "Kenneth Reitz and the certifi authors; the certificates: Mozilla",
    "furo": "2020 Pradyun Gedam; gumshoe in furo.js: 2019 Chris Ferdinandi",
    "googleapis-common-protos": "Google LLC",
    "multidict": "Andrew Svetlov and aio-libs contributors",
    "nvidia-ml-py": "2011-2026 NVIDIA Corporation",
    "opentelemetry-api": "The OpenTelemetry Authors",
    "opentelemetry-exporter-otlp-proto-common": "The OpenTelemetry Authors",
    "opentelemetry-proto": "The OpenTelemetry Authors",
    "opentelemetry-sdk": "The OpenTelemetry Authors",
    "opentelemetry-semantic-conventions": "The OpenTelemetry Authors",
    "prometheus-client": "2015 The Prometheus Authors; decorator.py: 2005-2016 Michele Simionato",
    "typing-extensions": "2001-2025 Python Software Foundation",
}
"""Who holds the rights where the licence's text does not say, from the sources."""

HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: vllmd
Comment: Below site, site-amd64 and site-arm64, installed as /usr/lib/vllmd/site, are wheels of the
 Python Package Index, unchanged, pinned by the hashes in requirements/runtime.txt.
 tools/copyright.py writes this file.

Files: *
Copyright: 2026 the vllmd developers
License: Apache-2.0
"""

OF_THE_SITE = {
    "Sphinx": ("html/_static/*",),
    "sphinx-basic-ng": ("html/_static/debug.css", "html/_static/skeleton.css"),
    "furo": ("html/_static/scripts/*", "html/_static/styles/*"),
    "snowballstemmer": ("html/_static/base-stemmer.js", "html/_static/english-stemmer.js"),
}
"""What made the documentation site, and the files of theirs in it; of two that fit, the later."""

SHARED = ("google", "opentelemetry")
"""Folders that several wheels have a part in."""

IN_SOURCE = {"nvidia-ml-py": "pynvml.py", "prometheus_client": "prometheus_client/decorator.py"}
"""Wheels whose licence, or a second one, is in the first comment of a module."""

_HOLDER = re.compile(r"^\W*copyright\s+(?:\(c\)|©)?\s*(\d{4}.*|\(c\) .*)", re.IGNORECASE)
_LINK = re.compile(r"\[([^]]+)\]\([^)]*\)")


def text() -> str:
    """Return the file.

    Raises: SystemExit: a wheel's licence or its holder is unknown.
    """
    needed: set[str] = {"Apache-2.0"}
    paragraphs = [HEAD]
    brought = {
        name: [f"{SITE}/{each}" for each in patterns(distribution(name))] for name in pinned()
    }
    for name, files in {**OF_THE_SITE, **brought}.items():
        found = distribution(name)
        terms = _license(found)
        listed, holders = "\n ".join(files), "\n ".join(_holders(name, found))
        paragraphs.append(
            f"Files: {listed}\nCopyright: {holders}\nLicense: {terms}\n"
            f"{_body(found, terms)}Comment: {name}, {SOURCE}/{name}/\n"
        )
        needed.update(each for each in SHIPPED_BY_DEBIAN if each in terms)
    for each in sorted(needed):
        paragraphs.append(
            f"License: {each}\n On Debian systems, the text is in "
            f"/usr/share/common-licenses/{SHIPPED_BY_DEBIAN[each]}.\n"
        )
    return "\n".join(paragraphs)


def pinned() -> list[str]:
    """Return the names of the wheels that the package brings."""
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    return re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)


def patterns(found: Distribution) -> list[str]:
    """Return what the files of a distribution are called, below the site."""
    tops: dict[str, None] = {}
    for file in found.files or ():
        parts = file.parts
        if parts[0] in ("..", "__pycache__"):
            continue
        depth = 2 if parts[0] in SHARED else 1
        top = "/".join(parts[:depth])
        tops[top if len(parts) == depth else f"{top}/*"] = None
    return sorted(re.sub(r"-[^/]+\.dist-info", "-*.dist-info", top) for top in tops)


def _license(found: Distribution) -> str:
    told = found.metadata.json
    said = str(told.get("license_expression") or told.get("license") or "")
    if not said:
        classifiers = [str(each) for each in told.get("classifier", ())]
        said = next((c.rsplit(" :: ")[-1] for c in classifiers if c.startswith("License")), "")
    said = said.split("\n", 1)[0]
    if said not in LICENSES:
        raise SystemExit(f"{found.name}: licence {said!r} is not known to tools/copyright.py: look")
    return LICENSES[said]


def _texts(found: Distribution) -> list[str]:
    named = re.compile(r"(licen[cs]e|copying)[^/]*$", re.IGNORECASE)
    files = [f for f in found.files or () if ".dist-info" in str(f) and named.search(str(f))]
    return [f.read_text() for f in sorted(files, key=str)]


def _head(module: object) -> str:
    """Return the first comment of a module."""
    lines = Path(str(module)).read_text().splitlines()
    comment = itertools.takewhile(lambda line: not line or line[0] == "#", lines)
    return "\n".join(line.strip("# ") for line in comment)


def _holders(name: str, found: Distribution) -> Iterator[str]:
    if name in HOLDERS:
        yield HOLDERS[name]
        return
    lines = [line for text in _texts(found) for line in text.splitlines()]
    holders = dict.fromkeys(
        _LINK.sub(r"\1", match[1]).strip(" .") for line in lines if (match := _HOLDER.match(line))
    )
    if not holders:
        raise SystemExit(f"{name}: nobody is named as its holder; add it to HOLDERS")
    yield from holders


def _body(found: Distribution, terms: str) -> str:
    """Return the licence's text where Debian has none, as the format wants it."""
    if terms in SHIPPED_BY_DEBIAN:
        return ""
    texts = [text for text in _texts(found) if "Apache License" not in text[:200]]
    if found.name in IN_SOURCE:
        texts = [_head(found.locate_file(IN_SOURCE[found.name]))]
    if not texts:
        raise SystemExit(f"{found.name}: no text of its licence")
    lines = "\n\n".join(text.strip() for text in texts).expandtabs().splitlines()
    return "".join(f" {line.rstrip()}\n" if line.strip() else " .\n" for line in lines)


if __name__ == "__main__":
    TARGET.write_text(text())

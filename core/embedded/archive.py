"""Which server is fetched. A release of this project pins one, so that what ran in the tests is what runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerArchive:
    """One published archive: its coordinates in a Maven repository and what its content must be."""

    version: str
    sha256: str
    size_bytes: int
    group: str = "org.elasticsearch.distribution.integ-test-zip"
    artifact: str = "elasticsearch"

    @property
    def name(self) -> str:
        """Name that no other content has, for caches."""
        return f"{self.artifact}-{self.version}-{self.sha256[:12]}"


PINNED = ServerArchive(
    version="8.19.8",
    sha256="8d943e94cef02cbceb6e39cd00175bb04e5f882fa32783a473880b8691a54376",
    size_bytes=98_379_909,
)

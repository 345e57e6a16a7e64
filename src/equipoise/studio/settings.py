"""Where a studio keeps its things, what it may read, and who may ask."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from equipoise.errors import OutputError
from equipoise.files.reading import reason, shown

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_WORKSPACE = Path.home() / ".equipoise" / "studio"
UPLOAD_LIMIT = 64_000_000


@dataclass(frozen=True)
class Settings:
    """One studio.

    workspace : jobs, judgements, uploads, results and, without ``records``, imported records. records : a folder with
    records of the user's own. data : folders whose subfolders may be analysed. host : the address it is bound to; any
    but loopback needs a ``token``, which a reader gives once. upload_limit : bytes of one request.
    registry : address of the API from which an entry is fetched by its number; default ClinicalTrials.gov.

    Raises
    ------
    OutputError : an address beyond this machine without a token, or a token that is soon guessed.
    """

    workspace: Path = DEFAULT_WORKSPACE
    records: Path | None = None
    data: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    token: str | None = None
    upload_limit: int = field(default=UPLOAD_LIMIT)
    registry: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < 8 or not re.fullmatch(r"[A-Za-z0-9_.~-]+", self.token)):
            raise OutputError(
                f"--token has {len(self.token)} characters, or others than letters, digits and - _ . ~",
                hint="give 8 or more: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if self.host not in LOOPBACK and not self.token:
            raise OutputError(
                f"--host {self.host} can be reached from other machines",
                hint="give --token, a long random word that readers are told; or leave --host out",
            )

    @property
    def records_folder(self) -> Path:
        """Where a user's records lie, and imported ones are put."""
        return self.records or self.folder("records")

    def folder(self, name: str) -> Path:
        """A folder of the workspace, made where it is not there yet, for its owner alone.

        Raises
        ------
        OutputError : it cannot be made.
        """
        path = self.workspace / name
        try:
            self.workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(
                f"{shown(path)}: cannot be made ({reason(error)})", hint="name another folder with --workspace"
            ) from None
        return path


def named(text: str) -> str:
    """A short name of a text that nothing but the text decides."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]

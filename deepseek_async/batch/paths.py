"""The files of a batch job, all named after the one with the results."""

import os
from pathlib import Path
from typing import NamedTuple

_SUFFIX = ".jsonl"


class BatchPaths(NamedTuple):
    """Where the files are: for results in ``answers.jsonl`` the others are ``answers.*``."""

    results: Path
    """One line for each answered request; also the journal of the job."""

    errors: Path
    """The dead letters: requests that failed, in a form that can be fed back in."""

    meta: Path
    """What the job was started with."""

    lock: Path
    """Held while a job runs, gone afterwards."""

    damaged: Path
    """What was found between the lines and could not be read."""

    @classmethod
    def of(cls, out: str | os.PathLike[str]) -> "BatchPaths":
        """Return the paths for a results file."""
        # Renaming over a symbolic link would replace the link.
        results = Path(os.path.realpath(out))
        stem = results.name.removesuffix(_SUFFIX) or results.name
        return cls(
            results,
            results.with_name(f"{stem}.errors{_SUFFIX}"),
            results.with_name(f"{stem}.meta.json"),
            results.with_name(f"{stem}.lock"),
            results.with_name(f"{stem}.damaged"),
        )

"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from latentflow.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, moved there when the block ends well, and removed when it does not.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(target) as beside:
    ...     _ = beside.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(contents: Mapping[Path, str | bytes]) -> None:
    """Write files so that either all of them are complete in the end or none was touched half-way.

    Parameters
    ----------
    contents : mapping of Path to str or bytes
        Text is written as UTF-8; existing files are replaced.

    Raises
    ------
    DataError
        If one cannot be written; the message names them all.
    """
    try:
        with ExitStack() as stack:
            # all are written before the first is moved
            besides = {path: stack.enter_context(replacing(path)) for path in contents}
            for path, content in contents.items():
                besides[path].write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        names = " and ".join(str(path) for path in contents)
        raise DataError(
            f"{names}: cannot be written ({error.strerror or error}); name another place"
        ) from error

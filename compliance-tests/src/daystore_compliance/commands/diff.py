"""``daystore diff``: what has changed from one certificate to another."""

from __future__ import annotations

import sys
from pathlib import Path

from daystore_compliance.certificate.files import CertificateError, read_certificate
from daystore_compliance.certificate.rendering import differences
from daystore_compliance.certificate.verdict import Exit

__all__ = ["diff"]


def diff(old: Path, new: Path) -> int:
    """Tell what has changed from one certificate to another.

    Ends with 0 if nothing has, with 1 if something has, with 4 if one of them cannot be read.

    Args:
        old: JSON of a certificate, or of a run that earned none.
        new: Another one.
    """
    try:
        told = differences(read_certificate(old), read_certificate(new))
    except CertificateError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.NOTHING
    sys.stdout.write("".join(f"{line}\n" for line in told) or "nothing has changed\n")
    return 1 if told else 0

from __future__ import annotations

import pytest

from photochrom.archive.address import is_store, redacted, secrets_of, without_secrets


@pytest.mark.parametrize(
    ("address", "shown", "secrets"),
    [
        ("s3://scans/1920s", "s3://scans/1920s", ()),
        ("ssh://me:pa@ss@host/scans", "ssh://me@host/scans", ("pa@ss",)),
        ("ssh://me@host/scans", "ssh://me@host/scans", ()),
        ("abfs://scans@account/x", "abfs://scans@account/x", ()),
        ("s3://KEY:SECRET@scans", "s3://scans", ("SECRET", "KEY")),
        ("https://h/a?X-Amz-Signature=1f#x", "https://h/a", ("X-Amz-Signature=1f", "x")),
        ("zip://a::https://t0ken@h/z.zip", "zip://a::https://h/z.zip", ("t0ken",)),
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(
    address: str, shown: str, secrets: tuple[str, ...]
) -> None:
    assert without_secrets(address) == shown
    assert secrets_of(address) == secrets
    assert redacted(f"cannot open {address}", secrets).count("***") >= len(secrets)


def test_an_address_is_none_if_a_file_has_that_name() -> None:
    assert is_store("s3://scans") and is_store("zip://::a.zip")
    assert not is_store("scans/1920s") and not is_store("C:/scans") and not is_store("-")

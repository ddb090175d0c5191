from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.remote.address import Address, AddressError, check_endpoint


def test_a_user_in_an_ssh_url_is_personal_and_leaves_it() -> None:
    address = Address.parse("ssh://me@host:2222/srv/hands")
    assert address == Address("ssh", "ssh://host:2222/srv/hands", "host", 2222, "me")


def test_the_option_overrules_the_port_of_the_url() -> None:
    assert Address.parse("ssh://host:22/srv", 2222).url == "ssh://host:2222/srv"


def test_a_url_parses_to_itself_once_it_is_clean(tmp_path: Path) -> None:
    for url in ("ssh://host/srv/hands", "s3://bucket/prefix/more", str(tmp_path / "store")):
        assert Address.parse(Address.parse(url).url) == Address.parse(url)
        assert Address.parse(url).url == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ssh://me:secret@host/srv", "use a key"),
        ("s3://AKIA:secret@bucket", "~/.aws/credentials"),
        ("ssh://host", "FULL/PATH"),
        ("s3://", "BUCKET"),
        ("me@host:hands", "ssh://me@host/hands"),
        ("gs://bucket", "nothing here checks those"),
        ("https://me:secret@host/dvc", "nothing here checks those"),
        ("ssh://host:port/srv", "port"),
    ],
)
def test_what_cannot_be_used_is_refused_and_no_secret_is_repeated(url: str, message: str) -> None:
    with pytest.raises(AddressError, match=f"(?i){message}") as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)


def test_an_endpoint_holds_no_login() -> None:
    assert check_endpoint("http://127.0.0.1:9000") == "http://127.0.0.1:9000"
    with pytest.raises(AddressError, match="a login is in the URL") as caught:
        check_endpoint("https://key:secret@host")
    assert "secret" not in str(caught.value)
    with pytest.raises(AddressError, match="https://HOST"):
        check_endpoint("host:9000")


def test_a_folder_in_the_clone_is_told_from_one_beside_it(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    assert Address.parse(str(clone / "store")).inside(clone)
    assert not Address.parse(str(tmp_path / "clone-store")).inside(clone)

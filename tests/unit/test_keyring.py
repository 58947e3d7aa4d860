"""KEY1: what is sealed opens for its purpose, key and account only. Key files are in tests/integration."""

import pytest

from mailauth.effects.keyring import KEY_BYTES, NONCE_BYTES, Keyring, Purpose, Sealed
from mailauth.vocabulary.errors import KeyUnusable, SealBroken
from tests.cases import case

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ALICE, BOB = "alice@mailitwize.be", "bob@mailitwize.be"
SEED = b"12345678901234567890"


@pytest.fixture
def ring() -> Keyring:
    return Keyring({"2": NEW, "1": OLD})


def test_sealed_value_opens(ring: Keyring) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    assert sealed.key_id == "2"
    assert ring.unseal(Purpose.TOTP_SEED, ALICE, sealed) == SEED


def test_sealed_value_does_not_show_what_it_holds(ring: Keyring) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    assert SEED not in sealed.blob
    assert len(sealed.blob) == NONCE_BYTES + len(SEED) + 16


def test_same_value_is_sealed_differently_each_time(ring: Keyring) -> None:
    blobs = {ring.seal(Purpose.TOTP_SEED, ALICE, SEED).blob[:NONCE_BYTES] for _ in range(100)}
    assert len(blobs) == 100


def test_swapped_rows_do_not_open(ring: Keyring) -> None:
    """KEY1."""
    of_alice = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    with pytest.raises(SealBroken):
        ring.unseal(Purpose.TOTP_SEED, BOB, of_alice)


def test_value_sealed_for_one_purpose_does_not_open_for_another(ring: Keyring) -> None:
    for purpose in [purpose for purpose in Purpose if purpose is not Purpose.TOTP_SEED]:
        with case(purpose), pytest.raises(SealBroken):
            ring.unseal(purpose, ALICE, ring.seal(Purpose.TOTP_SEED, ALICE, SEED))


def test_purpose_and_account_cannot_flow_into_each_other(ring: Keyring) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, "a", SEED)
    with pytest.raises(SealBroken):
        ring.unseal(Purpose.TOTP_SEED, "", sealed)


def test_value_claimed_to_be_of_another_key_does_not_open(ring: Keyring) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    with pytest.raises(SealBroken):
        ring.unseal(Purpose.TOTP_SEED, ALICE, sealed._replace(key_id="1"))


def test_key_id_is_bound_even_where_two_ids_have_one_key() -> None:
    ring = Keyring({"1": OLD, "2": OLD})
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    with pytest.raises(SealBroken):
        ring.unseal(Purpose.TOTP_SEED, ALICE, sealed._replace(key_id="2"))


def test_every_altered_byte_is_noticed(ring: Keyring) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    for place in range(len(sealed.blob)):
        altered = bytearray(sealed.blob)
        altered[place] ^= 1
        with pytest.raises(SealBroken):
            ring.unseal(Purpose.TOTP_SEED, ALICE, sealed._replace(blob=bytes(altered)))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27, 47])
def test_cut_value_does_not_open(ring: Keyring, length: int) -> None:
    sealed = ring.seal(Purpose.TOTP_SEED, ALICE, SEED)
    with pytest.raises(SealBroken):
        ring.unseal(Purpose.TOTP_SEED, ALICE, sealed._replace(blob=sealed.blob[:length]))


def test_older_key_still_opens_after_a_new_one_came_in_front() -> None:
    sealed = Keyring({"1": OLD}).seal(Purpose.TOTP_SEED, ALICE, SEED)
    ring = Keyring({"2": NEW, "1": OLD})
    assert ring.unseal(Purpose.TOTP_SEED, ALICE, sealed) == SEED
    assert ring.current_id == "2"
    assert ring.ids == ("2", "1")


def test_unknown_key_id_is_refused(ring: Keyring) -> None:
    """KEY2."""
    with pytest.raises(KeyUnusable, match="'3'"):
        ring.unseal(Purpose.TOTP_SEED, ALICE, Sealed("3", b"x" * 48))
    with pytest.raises(KeyUnusable, match="'3'"):
        ring.mac(Purpose.RECOVERY_CODE, "x", key_id="3")
    with pytest.raises(KeyUnusable):
        ring.mac(Purpose.RECOVERY_CODE, "x", key_id="")


def test_ring_without_keys_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="no key"):
        Keyring({})


def test_purposes_have_keys_of_their_own(ring: Keyring) -> None:
    macs = {ring.mac(purpose, "same", "parts") for purpose in Purpose}
    assert len(macs) == len(Purpose) > 2


def test_keys_give_different_macs(ring: Keyring) -> None:
    assert ring.mac(Purpose.APP_PASSWORD, "x") == ring.mac(Purpose.APP_PASSWORD, "x", key_id="2")
    assert ring.mac(Purpose.APP_PASSWORD, "x") != ring.mac(Purpose.APP_PASSWORD, "x", key_id="1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab",), ("a", "b")),
        (("a", ""), ("a",)),
        (("", "a"), ("a", "")),
        (("a\x00\x00\x00\x01b",), ("a", "b")),
        ((), ("",)),
    ],
)
def test_parts_of_a_mac_cannot_flow_into_each_other(
    ring: Keyring, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert ring.mac(Purpose.APP_PASSWORD, *one) != ring.mac(Purpose.APP_PASSWORD, *other)


def test_text_and_its_bytes_are_one_part(ring: Keyring) -> None:
    assert ring.mac(Purpose.APP_PASSWORD, "zoë", b"x") == ring.mac(Purpose.APP_PASSWORD, "zoë".encode(), "x")


def test_mac_is_the_golden_one(ring: Keyring) -> None:
    """Derivation and format are in people's databases: they must not change."""
    mac = ring.mac(Purpose.RECOVERY_CODE, ALICE, "k7qm2xvp9hfdc3wn", key_id="1")
    assert mac.hex() == "b5d15c2584e1383145d8a65f5ac465c04d10c4edae4b9dc69d67422d8cce3b62"


def test_ring_does_not_show_its_keys(ring: Keyring) -> None:
    """KEY3."""
    assert repr(ring) == str(ring) == "Keyring(2, 1)"
    assert KEY_BYTES == 32


def test_fingerprint_tells_keys_apart_and_is_no_digest_that_anything_else_has(ring: Keyring) -> None:
    """KEY4."""
    assert ring.fingerprint("1") != ring.fingerprint("2")
    assert ring.fingerprint("1") == Keyring({"1": OLD}).fingerprint("1")
    assert ring.fingerprint("1") != ring.mac(Purpose.APP_PASSWORD, "1", key_id="1")

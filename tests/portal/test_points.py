"""What a person notices, point by point, and the test that shows each: the list of a good portal, kept honest.

The numbers are those of the list that the portal was made by. A point that nobody tests any more, or a test that was
renamed, is found here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cases import case

TESTS = Path(__file__).parents[1]

POINTS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("numbered steps on one path", ("test_somebody_gets_through_it_alone",)),
    2: ("links to apps for both phones", ("test_the_page_offers_every_way_to_take_the_key",)),
    3: (
        "the key for who cannot scan",
        ("test_the_page_offers_every_way_to_take_the_key", "test_the_set_up_needs_no_mouse"),
    ),
    4: ("on a phone the QR code is a link", ("test_the_page_offers_every_way_to_take_the_key",)),
    5: ("one field for the code", ("test_fields_say_what_they_are_for_password_managers_and_phones",)),
    6: ("spaces and dashes in a code", ("test_one_step_either_side_is_taken_with_spaces_and_dashes",)),
    7: (
        "mistakes told apart",
        ("test_mistakes_in_a_code_are_told_apart", "test_each_mistake_is_told_by_its_own_sentence"),
    ),
    8: (
        "a clock that is off",
        ("test_mistakes_in_a_code_are_told_apart", "test_a_clock_that_is_off_is_told_by_how_much"),
    ),
    9: (
        "nothing saved until a code is right",
        ("test_leaving_half_way_changes_nothing", "test_two_tabs_show_one_secret_and_do_not_confuse_it"),
    ),
    10: ("an undo link by mail", ("test_an_enrolment_that_was_not_ones_own_is_undone_from_its_mail",)),
    11: (
        "codes shown once, copied, saved, printed, mailed",
        (
            "test_codes_are_shown_once",
            "test_the_codes_come_as_a_file_named_after_provider_account_and_date",
            "test_somebody_gets_through_it_alone",
        ),
    ),
    12: ("saving proved or skipped knowingly", ("test_proving_spends_one_code_and_skipping_none",)),
    13: (
        "how many are left",
        (
            "test_recovery_codes_are_counted_and_few_are_warned_of",
            "test_use_of_a_recovery_code_says_how_many_are_left_and_warns_at_three",
        ),
    ),
    14: (
        "proved again before a change; each change mailed",
        (
            "test_every_change_takes_password_and_code_again",
            "test_change_is_told_to_the_mailbox_and_to_the_recovery_address",
        ),
    ),
    15: (
        "an app password and its first login",
        (
            "test_an_app_password_is_shown_once_with_what_to_enter",
            "test_it_waits_for_the_first_login_and_says_from_where",
        ),
    ),
    16: (
        "last use; what will stop working",
        (
            "test_what_will_stop_working_is_said_first_and_then_it_does",
            "test_all_are_revoked_at_once_and_nobody_elses",
        ),
    ),
    17: ("a new password asks about app passwords", ("test_app_passwords_that_go_with_a_password_are_told",)),
    18: (
        "the date on every page, and whom it stops",
        (
            "test_before_the_date_the_page_says_from_when",
            "test_apps_that_use_the_password_alone_are_listed_before_the_date_and_after",
        ),
    ),
    19: (
        "a kind check after four weeks",
        ("test_who_never_used_a_code_is_asked_after_four_weeks_whether_the_app_still_works",),
    ),
    20: ("a second way", ("test_another_address_counts_once_its_link_was_followed",)),
    21: (
        "a lost phone",
        (
            "test_help_for_a_lost_phone_is_in_the_same_place_on_every_page",
            "test_who_lost_the_phone_gets_back_in_and_replaces_it",
        ),
    ),
    22: (
        "without script, by keyboard, at 400 %, by ear",
        ("test_somebody_gets_through_it_alone", "test_the_set_up_needs_no_mouse", "test_every_page_is_for_everybody"),
    ),
    23: ("four languages", ("test_the_set_up_is_the_same_for_everybody", "test_every_sentence_is_translated")),
    24: (
        "no secret left behind",
        ("test_every_response_has_the_headers_and_no_secret_stays_anywhere", "test_links_from_mails_are_in_no_log"),
    ),
    25: ("calm", ("test_every_page_is_for_everybody", "test_every_page_has_one_of_what_there_is_one_of")),
}


@pytest.fixture(scope="module")
def every_test() -> set[str]:
    texts = (path.read_text() for path in TESTS.rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)}


def test_the_list_has_every_point() -> None:
    assert list(POINTS) == list(range(1, 26))


def test_a_point_is_shown_by_tests_that_there_are(every_test: set[str]) -> None:
    for number, (what, names) in POINTS.items():
        with case(number, what):
            assert names
            assert set(names) - every_test == set()

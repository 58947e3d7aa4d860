"""What a refused login is told is in the language that the configuration names."""

from tests.world import WorldMaker


def test_refusal_is_in_the_configured_language(make_world: WorldMaker) -> None:
    ours = make_world('provider.language="nl"').installation
    text = ours.refusal_texts.text("imap", ours.policy.announced("", ours.clock()))
    assert text.startswith("[ALERT] Mailapps: app-wachtwoord of wachtwoord+code nodig: ")
    assert text.endswith("(tweefactorauthenticatie sinds 5/05/2025)")


def test_configured_words_are_left_in_their_language(make_world: WorldMaker) -> None:
    ours = make_world('provider.language="nl"', 'refusal.after="Kijk op {url}"').installation
    assert (
        ours.refusal_texts.text("smtp", ours.policy.announced("", ours.clock()))
        == "Kijk op https://www.mailitwize.be/2fa"
    )

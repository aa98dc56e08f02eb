"""The page about the command line is the parser's."""

from pathlib import Path

from forebay.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "run: python -m forebay.cli.reference > docs/cli.md"


def test_the_page_has_every_command_and_no_hidden_option() -> None:
    page = reference()
    for command in ("serve", "run", "migrate", "check", "doctor", "backup", "restore", "agents"):
        assert f"\n## forebay {command}\n" in page
    for command in ("list", "show", "follow", "answer", "cancel"):
        assert f"\n## forebay runs {command}\n" in page
    assert "--as-child" not in page
    assert "| `--db, --db_url URL` |" in page
    assert "`FOREBAY_DB_URL`" in page

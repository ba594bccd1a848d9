from pathlib import Path

import pytest

from commentwise.errors import CommentwiseError
from commentwise.serving.settings import Settings, read_settings, reference


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"COMMENTWISE_{name.upper()}", raising=False)


def test_defaults_are_safe() -> None:
    settings = read_settings([])
    assert (settings.host, settings.allow_anonymous, settings.origins) == ("127.0.0.1", False, [])
    assert (settings.timeout, settings.max_queue) == (10, 512)


def test_flag_wins_over_environment_and_environment_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMENTWISE_PORT", "8001")
    monkeypatch.setenv("COMMENTWISE_MAX_BATCH", "4")
    monkeypatch.setenv("COMMENTWISE_THREADS", "")
    settings = read_settings(["--port", "8002", "--model", "elsewhere"])
    assert (settings.port, settings.max_batch, settings.threads) == (8002, 4, 0)
    assert settings.model == "elsewhere"


@pytest.mark.parametrize(
    ("flags", "messages"),
    [
        (["--port", "80"], ["--port (or COMMENTWISE_PORT) is '80'", "1024"]),
        (["--port", "65536"], ["is '65536'", "65535"]),
        (["--port", "http"], ["is 'http'", "integer"]),
        (["--max-batch", "0"], ["--max-batch (or COMMENTWISE_MAX_BATCH) is '0'"]),
        (["--max-characters", "-1"], ["--max-characters"]),
        (["--threads", "-1"], ["--threads (or COMMENTWISE_THREADS) is '-1'"]),
        (["--device", "tpu"], ["'tpu'", "'auto', 'cpu' or 'cuda'"]),
        (["--host", "example.org"], ["'example.org'", "'127.0.0.1'"]),
        (["--port", "80", "--device", "tpu"], ["--port", "--device"]),
        (["--unknown", "1"], ["--unknown", "--help"]),
        (["--port"], ["--port", "--help"]),
        (["extra"], ["extra", "--help"]),
        (["--max-queue", "8"], ["--max-batch 256 is more than --max-queue 8"]),
        (["--tls-cert", "x"], ["--tls-cert and --tls-key go together"]),
        (["--tls-cert", "x", "--tls-key", "y"], ["there is no file x"]),
        (["--api-keys-file", "keys"], ["there is no file keys"]),
        (
            ["--api-keys", "me:secret"],
            ["the API key entry 'me'… is not NAME:SHA256", "commentwise keys NAME"],
        ),
        (["--cors-origins", "*"], ["takes no '*'"]),
        (["--host", "0.0.0.0"], ["lets other machines in", "--allow-anonymous"]),
        (["--unsure-below", "2"], ["--unsure-below"]),
    ],
)
def test_invalid_flag_is_named(flags: list[str], messages: list[str]) -> None:
    with pytest.raises(CommentwiseError) as refused:
        read_settings(flags)
    assert [message for message in messages if message not in str(refused.value)] == []
    assert "\n" not in str(refused.value)


def test_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMENTWISE_MAX_BODY", "many")
    with pytest.raises(CommentwiseError, match=r"COMMENTWISE_MAX_BODY\) is 'many'"):
        read_settings([])


def test_help_documents_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [name for name in Settings.model_fields if f"--{name.replace('_', '-')} " not in text] == []
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_table_in_the_documentation_matches_the_class() -> None:
    assert reference() in (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")


def test_key_entries_come_from_flag_and_file(tmp_path: Path) -> None:
    entry = "you:" + "0" * 64
    (tmp_path / "keys").write_text(f"# the team\n{entry}:admin\n\n")
    settings = read_settings(["--api-keys", "me:" + "1" * 64, "--api-keys-file", str(tmp_path / "keys")])
    assert settings.key_entries() == ["me:" + "1" * 64, f"{entry}:admin"]

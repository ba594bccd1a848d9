"""Settings for fine-tuning an encoder."""

from typing import Annotated, Literal

from pydantic import Field

from commentwise.training.sections import Count, Positive, Section


class BertSettings(Section):
    """Settings for fine-tuning. The descriptions are also the help of `accelerate launch -m commentwise.training.bert`."""

    checkpoint: str = Field(description="'embedded', a folder, or a hub id (id@revision pins a revision)")
    epochs: Count = Field(description="passes over the training part")
    patience: int = Field(ge=0, description="stop after this many epochs without improvement; 0: never")
    step_tokens: Count = Field(description="tokens per optimiser step, over all processes")
    device_tokens: Count = Field(description="tokens per forward pass on a device; a larger step accumulates gradients")
    learning_rate: Positive = Field(description="peak learning rate of AdamW")
    schedule: Literal["linear", "cosine"] = Field(description="decay of the learning rate to 0")
    warmup: float = Field(ge=0, le=1, description="share of the steps in which the learning rate rises to its peak")
    layer_decay: float = Field(
        gt=0, le=1, description="learning rate of each layer, as a share of that of the layer above"
    )
    weight_decay: float = Field(ge=0, le=1, description="decoupled weight decay, on matrices only")
    class_weights: float = Field(
        ge=0,
        le=1,
        description="weight of a comment: the frequency of its label to the power of minus this; 0: no weights",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        description="dropout of hidden states and attention weights; null: as in the checkpoint"
    )
    label_smoothing: float = Field(ge=0, lt=1, description="share of each target that is spread evenly over all labels")
    ema_decay: float = Field(
        ge=0,
        lt=1,
        description="decay of the exponential moving average of the weights, which is then the model; 0: no average",
    )
    max_grad_norm: Positive = Field(description="gradients are clipped to this norm")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        description="auto: bf16 where the hardware supports it, else fp32"
    )
    attention: Literal["auto", "varlen", "nested", "padded", "stock"] = Field(
        description="attention kernel of commentwise.models.encoders.attention; stock: transformers' own forward pass"
    )
    compile: bool = Field(description="compile the model with torch.compile; worthwhile for long runs on a GPU")
    checkpoint_steps: Count = Field(description="steps between two checkpoints")

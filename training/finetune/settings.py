"""Settings of fine-tuning an encoder."""

from typing import Annotated, Literal

from pydantic import Field

from commentwise.training.sections import Count, Positive, Section


class BertSettings(Section):
    """Fine-tuning of an encoder. The descriptions are also the help of `accelerate launch -m commentwise.training.bert`."""

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
    ema_decay: float = Field(
        ge=0, lt=1, description="decay of the exponential moving average of the weights that is kept; 0: none"
    )
    max_grad_norm: Positive = Field(description="gradients are scaled down to this norm")
    precision: Literal["auto", "fp32", "bf16"] = Field(description="auto: bf16 where the hardware has it")
    attention: Literal["auto", "varlen", "nested", "padded", "stock"] = Field(
        description="kernel of commentwise.models.encoders.attention, or transformers' own forward (stock)"
    )
    compile: bool = Field(description="compile the model with torch.compile, which pays in long runs on a GPU")
    checkpoint_steps: Count = Field(description="steps between two checkpoints to resume from")

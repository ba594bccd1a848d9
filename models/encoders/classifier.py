"""A common interface to the sequence classifiers of transformers: packed documents in, logits out."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from commentwise.models.encoders.attention import Kernel
from commentwise.models.encoders.packed import PackedClassifier, is_packable
from commentwise.models.encoders.packing import Packed

Attention = Kernel | Literal["stock"]


def classifier(model: PreTrainedModel, attention: Attention = "auto") -> nn.Module:
    """Wrap a model as a module from Packed to logits of shape (documents, labels).

    `attention` is a kernel of commentwise.models.encoders.attention, or `stock` for the forward of transformers on
    padded documents, which works for any architecture; `auto` uses `stock` for architectures that cannot be packed.
    Raises CommentwiseError if a kernel was chosen for such an architecture.
    """
    if attention == "stock" or (attention == "auto" and not is_packable(model)):
        return StockClassifier(model)
    return PackedClassifier(model, attention)


class StockClassifier(nn.Module):
    """The forward of transformers, with the documents padded to the longest of the batch."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Packed) -> Tensor:
        """Logits of shape (documents, labels)."""
        lengths = batch.cu_seqlens.diff().tolist()
        rows = batch.input_ids.split(lengths)
        pad = self.model.config.pad_token_id or 0
        input_ids = pad_sequence(list(rows), batch_first=True, padding_value=pad)
        mask = pad_sequence([row.new_ones(len(row)) for row in rows], batch_first=True)
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=mask).logits
        return logits

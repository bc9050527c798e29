"""Hyper-parameters of VQ-Rec."""

import dataclasses

from hyperrec.data import interactions as interactions_lib
from hyperrec.models import vqrec

DataError = interactions_lib.DataError

INDICES = ('source', 'target')
ALIGNMENTS = ('identity', 'random', 'learned')


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyper-parameters.

  Attributes:
    num_groups: G, codes of an item.
    num_codes: M, of a group.
    length: the longest history, and the length of a packed row.
    dim: D, width of the embeddings.
    num_layers: blocks.
    num_heads: must divide dim.
    hidden_dim: width inside a block.
    dropout: share dropped in training.
    temperature: tau of the cosines.
    replaced: rho, probability of a code of a fake to be replaced; 0 trains
      without fakes.
    epochs: passes over the users, in pre-training or from scratch.
    batch_size: packed rows a step; all of them where there are fewer.
    lr: AdamW's at the start; falls to 0 along a cosine.
    index: of a new catalogue in fine-tuning: that of the source, whose codes
      have kept their meaning, or one made from the target's text alone.
    alignment: which source embedding a code of the target starts from.
    align_epochs: passes that learn it, all else fixed.
    align_lr: AdamW's of it.
    align_temperature: of the soft permutation.
    align_noise: factor of its Gumbel noise; 1 in the paper, but more
      permutations are found without.
    finetune_epochs: passes over the evidence after that.
    finetune_lr: AdamW's of them.
    finetune_all: all is trained; else embeddings and input norm alone.

  Raises:
    DataError: a value that no network can have.
  """

  num_groups: int = 32
  num_codes: int = 256
  length: int = 50
  dim: int = 128
  num_layers: int = 2
  num_heads: int = 2
  hidden_dim: int = 256
  dropout: float = 0.2
  temperature: float = 0.07
  replaced: float = 0.75
  epochs: int = 40
  batch_size: int = 16
  lr: float = 1e-3
  index: str = 'source'
  alignment: str = 'identity'
  align_epochs: int = 5
  align_lr: float = 0.1
  align_temperature: float = 0.7
  align_noise: float = 0.0
  finetune_epochs: int = 20
  finetune_lr: float = 1e-3
  finetune_all: bool = False

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type is int and value < 1:
        raise DataError(f'{field.name}={value} must be at least 1')
      if field.name.endswith(('lr', 'temperature')) and not value > 0:
        raise DataError(f'{field.name}={value} must be above 0')
    if self.align_noise < 0:
      raise DataError(f'align_noise={self.align_noise} must not be negative')
    if not (0 <= self.dropout < 1 and 0 <= self.replaced <= 1):
      raise DataError(
        f'dropout={self.dropout} must be within 0 and below 1, and '
        f'replaced={self.replaced} within 0..1'
      )
    if self.dim % self.num_heads:
      raise DataError(f'num_heads={self.num_heads} must divide dim={self.dim}')
    if self.index not in INDICES or self.alignment not in ALIGNMENTS:
      raise DataError(
        f'index={self.index!r} must be one of {INDICES}, and '
        f'alignment={self.alignment!r} one of {ALIGNMENTS}'
      )

  def encoder(self) -> vqrec.SequenceEncoder:
    """The network over item vectors."""
    return vqrec.SequenceEncoder(
      self.length,
      self.num_layers,
      self.num_heads,
      self.hidden_dim,
      self.dropout,
    )

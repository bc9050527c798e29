"""The hyper-parameters of VQ-Rec as flags."""

import dataclasses

from absl import flags

from hyperrec.methods import vqrec_stages

_DEFAULT = vqrec_stages.Config()

_NUM_GROUPS = flags.DEFINE_integer(
  'num_groups',
  _DEFAULT.num_groups,
  'Number of codes of an item, one in each group.',
  lower_bound=1,
)
_NUM_CODES = flags.DEFINE_integer(
  'num_codes',
  _DEFAULT.num_codes,
  'Number of codes in each group.',
  lower_bound=1,
)
_LENGTH = flags.DEFINE_integer(
  'length',
  _DEFAULT.length,
  'Number of items of a history that are read, the last ones.',
  lower_bound=1,
)
_DIM = flags.DEFINE_integer(
  'dim',
  _DEFAULT.dim,
  'Width of the embeddings.',
  lower_bound=1,
)
_LAYERS = flags.DEFINE_integer(
  'num_layers',
  _DEFAULT.num_layers,
  'Number of transformer blocks.',
  lower_bound=1,
)
_HEADS = flags.DEFINE_integer(
  'num_heads',
  _DEFAULT.num_heads,
  'Number of attention heads.',
  lower_bound=1,
)
_HIDDEN = flags.DEFINE_integer(
  'hidden_dim',
  _DEFAULT.hidden_dim,
  'Width of the feed-forward network of a block.',
  lower_bound=1,
)
_DROPOUT = flags.DEFINE_float(
  'dropout',
  _DEFAULT.dropout,
  'Share of values that dropout sets to 0, from 0 to below 1.',
  lower_bound=0.0,
  upper_bound=1.0,
)
_FROM_THE_END = flags.DEFINE_bool(
  'from_the_end', _DEFAULT.from_the_end, 'Count positions from the last item.'
)
_TEMPERATURE = flags.DEFINE_float(
  'temperature',
  _DEFAULT.temperature,
  'Temperature of the cosines in the loss, such as 0.07.',
  lower_bound=1e-06,
)
_START = flags.DEFINE_enum(
  'start',
  _DEFAULT.start,
  vqrec_stages.STARTS,
  'Values that code embeddings have before any training.',
)
_REPLACED = flags.DEFINE_float(
  'replaced',
  _DEFAULT.replaced,
  'Share of the codes of an item that are replaced to make a false item.',
  lower_bound=0.0,
  upper_bound=1.0,
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer(
  'pretrain_epochs',
  10,
  'Number of passes over the users of the sources.',
  lower_bound=1,
)
_EPOCHS = flags.DEFINE_integer(
  'epochs',
  _DEFAULT.epochs,
  'Number of passes over the users of the target, from scratch.',
  lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer(
  'batch_size',
  _DEFAULT.batch_size,
  'Number of packed rows in a training step.',
  lower_bound=1,
)
_LR = flags.DEFINE_float(
  'lr',
  _DEFAULT.lr,
  'Learning rate of AdamW at the start, such as 0.001.',
  lower_bound=0.0,
)
_ALIGN_EPOCHS = flags.DEFINE_integer(
  'align_epochs',
  _DEFAULT.align_epochs,
  'Number of epochs that learn the alignment of codes.',
  lower_bound=0,
)
_ALIGN_LR = flags.DEFINE_float(
  'align_lr',
  _DEFAULT.align_lr,
  'Learning rate of AdamW for the alignment, such as 0.001.',
  lower_bound=0.0,
)
_ALIGN_TEMPERATURE = flags.DEFINE_float(
  'align_temperature',
  _DEFAULT.align_temperature,
  'Temperature of the alignment.',
  lower_bound=1e-06,
)
_FINETUNE_EPOCHS = flags.DEFINE_integer(
  'finetune_epochs',
  _DEFAULT.finetune_epochs,
  'Number of fine-tuning passes over the users of the target.',
  lower_bound=1,
)
_FINETUNE_LR = flags.DEFINE_float(
  'finetune_lr',
  _DEFAULT.finetune_lr,
  'Learning rate of AdamW for fine-tuning, such as 0.001.',
  lower_bound=0.0,
)


def pretraining(replaced: float) -> vqrec_stages.Config:
  """What the flags say, for the sources."""
  return dataclasses.replace(
    config(), epochs=_PRETRAIN_EPOCHS.value, replaced=replaced
  )


def config() -> vqrec_stages.Config:
  """What the flags say, for the target."""
  return vqrec_stages.Config(
    num_groups=_NUM_GROUPS.value,
    num_codes=_NUM_CODES.value,
    length=_LENGTH.value,
    dim=_DIM.value,
    num_layers=_LAYERS.value,
    num_heads=_HEADS.value,
    hidden_dim=_HIDDEN.value,
    dropout=_DROPOUT.value,
    from_the_end=_FROM_THE_END.value,
    temperature=_TEMPERATURE.value,
    start=_START.value,
    replaced=_REPLACED.value,
    epochs=_EPOCHS.value,
    batch_size=_BATCH_SIZE.value,
    lr=_LR.value,
    align_epochs=_ALIGN_EPOCHS.value,
    align_lr=_ALIGN_LR.value,
    align_temperature=_ALIGN_TEMPERATURE.value,
    finetune_epochs=_FINETUNE_EPOCHS.value,
    finetune_lr=_FINETUNE_LR.value,
  )

"""The hyperparameters of VQ-Rec as flags, shared by its scripts."""

from absl import flags

from experiments import config_flags as config_flags_lib
from hyperrec.systems.vqrec import stages as vqrec_stages

# The arms choose the fields that are left out.
_CONFIG = config_flags_lib.define(
  vqrec_stages.VqrecConfig(), leave_out=['index', 'alignment', 'finetune_all']
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer(
  'pretrain_epochs',
  10,
  'Number of passes over the users of the sources, in pre-training; --epochs '
  'is the number from scratch.',
  lower_bound=1,
)


def pretraining(replaced: float) -> vqrec_stages.VqrecConfig:
  """What the flags say, for the sources."""
  return _CONFIG.value(epochs=_PRETRAIN_EPOCHS.value, replaced=replaced)


def config() -> vqrec_stages.VqrecConfig:
  """What the flags say, for the target."""
  return _CONFIG.value()

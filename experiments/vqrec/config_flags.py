"""Flags for the hyperparameters of VQ-Rec, which its scripts share."""

from absl import flags

from experiments import config_flags as config_flags_lib
from hyperrec.systems.vqrec import stages as vqrec_stages

# The arms set the fields that are left out here.
_CONFIG = config_flags_lib.define(
  vqrec_stages.VqrecConfig(), leave_out=['index', 'alignment', 'finetune_all']
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer(
  'pretrain_epochs',
  10,
  'Number of passes over the users of the sources in pre-training; --epochs is '
  'the number of passes over the target in training from scratch.',
  lower_bound=1,
)


def pretraining(replaced: float) -> vqrec_stages.VqrecConfig:
  """Hyperparameters of pre-training, from the flags.

  Args:
    replaced: share of the codes that are replaced to make a false item; it
      takes the place of --replaced.
  """
  return _CONFIG.value(epochs=_PRETRAIN_EPOCHS.value, replaced=replaced)


def config() -> vqrec_stages.VqrecConfig:
  """Hyperparameters of training on the target, from the flags."""
  return _CONFIG.value()

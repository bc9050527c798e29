"""The hyperparameter trials of each arm of the adaptation laboratory.

The most promising trials come first, and `--trials=N` uses the first N of each
arm, so that all tuned arms have the same number of trials.
"""

import itertools
from typing import Any

Trial = dict[str, Any]


def _grid(**axes) -> tuple[Trial, ...]:
  names = list(axes)
  return tuple(
    dict(zip(names, values, strict=True))
    for values in itertools.product(*axes.values())
  )


def _rows(names: str, *rows, **fixed) -> tuple[Trial, ...]:
  """Trials with the named values, one row each, and values common to all."""
  names = names.split()
  return tuple({**dict(zip(names, r, strict=True)), **fixed} for r in rows)


L2 = (100.0, 30.0, 300.0, 10.0, 60.0, 200.0, 600.0, 3.0)
EASE = _grid(l2=L2)
# Users with few shown items need stronger regularization than a refit.
EASE_USERS = _grid(
  l2=(300.0, 1000.0, 100.0, 10000.0, 30000.0, 3000.0, 30.0, 600.0)
)
# Old items have many interactions, and new ones few.
EASE_NEW_ITEMS = _grid(
  l2=(300.0, 1000.0, 100.0, 3000.0, 30.0, 10.0, 600.0, 10000.0)
)
# The last of the first five is nearly popularity alone.
EASE_POPULARITY = _rows(
  'l2 popularity',
  (100.0, 0.03),
  (1000.0, 0.01),
  (10000.0, 0.001),
  (300.0, 0.1),
  (3000.0, 0.3),
  (300.0, 0.01),
  (3000.0, 0.01),
  (30.0, 0.1),
)
EASE_SPARSE = _grid(l2=(100.0, 300.0, 30.0, 1000.0), neighbours=(100, 30))
DAN = _rows(
  'l2 dropout item_power user_power',
  (100.0, 0.6, 0.2, 0.2),
  (30.0, 0.4, 0.2, 0.2),
  (300.0, 0.2, 0.1, 0.2),
  (30.0, 0.6, 0.2, 0.4),
  (10.0, 0.8, 0.4, 0.2),
  (100.0, 0.4, 0.0, 0.0),
  (1000.0, 0.0, 0.0, 0.0),
  (3.0, 0.6, 0.3, 0.6),
)
DAN_USERS = _rows(
  'l2 dropout item_power user_power',
  (100.0, 0.4, 0.1, 0.2),
  (300.0, 0.2, 0.1, 0.2),
  (300.0, 0.4, 0.0, 0.0),
  (100.0, 0.6, 0.2, 0.4),
  (30.0, 0.4, 0.2, 0.4),
  (1000.0, 0.2, 0.0, 0.0),
  (1000.0, 0.4, 0.2, 0.0),
  (3000.0, 0.0, 0.1, 0.1),
)
GF_CF = _rows(
  'rank low_pass',
  (64, 0.3),
  (32, 1.0),
  (256, 0.3),
  (128, 1.0),
  (16, 3.0),
  (4, 10.0),
  (128, 0.1),
  (512, 0.2),
)
TURBO_CF = _rows(
  'user_power power order',
  (0.5, 0.7, 1),
  (0.5, 1.0, 1),
  (0.7, 0.5, 1),
  (0.5, 0.5, 1),
  (0.9, 0.5, 1),
  (0.3, 1.0, 1),
  (0.5, 1.5, 1),
  (0.5, 1.0, 2),
)
CHEBY_CF = _rows(
  'rank low_pass degree_power flatness',
  (64, 0.3, 0.2, 1.5),
  (32, 1.0, 0.2, 1.5),
  (128, 0.3, 0.4, 1.5),
  (16, 1.0, 0.4, 4.0),
  (256, 0.3, 0.3, 1.0),
  (8, 3.0, 0.6, 1.5),
  (64, 0.3, 0.0, 8.0),
  (512, 0.1, 0.5, 1.5),
)
ITEM_KNN = _grid(shrink=(10.0, 100.0), neighbours=(100, 20, 400, 1000))
SLIM = _grid(l2=(30.0, 100.0, 300.0, 10.0), l1=(1.0, 0.1))
SLIM_USERS = _grid(l1=(1.0, 0.1), l2=(300.0, 1000.0, 100.0, 30.0))
L3AE = _rows(
  'l2 l2_features trust',
  (30.0, 3.0, 0.9),
  (100.0, 3.0, 0.8),
  (10.0, 3.0, 0.95),
  (60.0, 10.0, 0.9),
  (200.0, 3.0, 0.5),
  (30.0, 10.0, 0.97),
  (100.0, 1.0, 0.95),
  (200.0, 10.0, 0.8),
)
L3AE_NEW_ITEMS = _rows(
  'l2 l2_features trust',
  (3000.0, 100.0, 0.3),
  (10000.0, 30.0, 0.03),
  (3000.0, 10.0, 0.1),
  (1000.0, 30.0, 0.3),
  (100.0, 30.0, 0.8),
  (10000.0, 100.0, 0.1),
  (3000.0, 30.0, 0.03),
  (300.0, 3.0, 0.5),
)
HYPEREASE = _rows(
  'l2 l2_features trust relation transfer popularity sharpness',
  (30.0, 2.0, 0.9, 0.1, 0.1, 0.1, 2.0),
  (100.0, 2.0, 0.8, 0.2, 0.2, 0.2, 2.0),
  (30.0, 2.0, 0.8, 0.2, 0.2, 0.2, 1.0),
  (30.0, 4.0, 0.9, 0.3, 0.3, 0.15, 1.0),
  (10.0, 2.0, 0.95, 0.1, 0.1, 0.1, 2.0),
  (30.0, 1.0, 0.9, 0.1, 0.1, 0.1, 3.0),
  (100.0, 4.0, 0.8, 0.3, 0.3, 0.15, 1.0),
  (200.0, 4.0, 0.6, 0.2, 0.2, 0.2, 2.0),
)
L3AE_USERS = _rows(
  'l2 l2_features trust',
  (300.0, 3.0, 0.5),
  (1000.0, 3.0, 0.2),
  (100.0, 3.0, 0.8),
  (300.0, 10.0, 0.3),
  (1000.0, 3.0, 0.5),
  (30.0, 3.0, 0.9),
  (600.0, 10.0, 0.5),
  (3000.0, 3.0, 0.2),
)
HYPEREASE_ZERO = tuple({**trial, 'solve': False} for trial in HYPEREASE)
L3AE_KERNEL = _rows(
  'l2 l2_features trust popularity sharpness',
  (100.0, 4.0, 0.8, 0.3, 1.0),
  (300.0, 2.0, 0.5, 0.3, 2.0),
  (100.0, 4.0, 0.8, 0.1, 2.0),
  (100.0, 2.0, 0.8, 0.1, 4.0),
  (300.0, 4.0, 0.2, 0.3, 4.0),
  (100.0, 4.0, 0.95, 0.1, 4.0),
  (30.0, 2.0, 0.9, 0.1, 2.0),
  (300.0, 2.0, 0.05, 0.2, 2.0),
)
L3AE_KERNEL_NEW_ITEMS = _rows(
  'l2 l2_features trust popularity sharpness',
  (3000.0, 10.0, 0.3, 0.3, 4.0),
  (1000.0, 4.0, 0.3, 0.3, 4.0),
  (3000.0, 2.0, 0.5, 0.3, 2.0),
  (300.0, 4.0, 0.3, 0.1, 4.0),
  (10000.0, 4.0, 0.3, 0.3, 4.0),
  (3000.0, 4.0, 0.1, 0.3, 4.0),
  (1000.0, 4.0, 0.3, 0.3, 8.0),
  (1000.0, 1.0, 0.3, 0.0, 2.0),
)
L3AE_KERNEL_USERS = _rows(
  'l2 l2_features trust popularity sharpness',
  (1000.0, 3.0, 0.1, 0.2, 2.0),
  (3000.0, 3.0, 0.1, 0.5, 4.0),
  (300.0, 3.0, 0.6, 0.5, 4.0),
  (1000.0, 3.0, 0.03, 0.5, 2.0),
  (10000.0, 3.0, 0.1, 0.5, 4.0),
  (300.0, 3.0, 0.3, 0.5, 1.0),
  (3000.0, 3.0, 0.03, 0.2, 1.0),
  (300.0, 3.0, 0.9, 0.2, 4.0),
)
L3AE_KERNEL_UNTILTED, L3AE_KERNEL_NEW_ITEMS_UNTILTED = (
  tuple({**trial, 'popularity': 0.0} for trial in grid)
  for grid in (L3AE_KERNEL, L3AE_KERNEL_NEW_ITEMS)
)
RIDGE_MAP = _grid(relation=(1.0, 2.0), l2=(30.0, 100.0, 10.0, 300.0))
TWO_TOWER = _rows(
  'steps lr finetune_epochs',
  (200, 3e-3, 20),
  (600, 3e-3, 20),
  (600, 1e-3, 40),
  (200, 3e-3, 60),
  (200, 1e-3, 20),
  (1500, 1e-3, 20),
  (600, 3e-3, 5),
  (1500, 1e-3, 60),
)
CEASE = _rows(
  'l2 alpha',
  (30.0, 3.0),
  (100.0, 5.0),
  (10.0, 3.0),
  (100.0, 10.0),
  (30.0, 10.0),
  (300.0, 10.0),
  (10.0, 1.0),
  (100.0, 2.0),
)
CEASE_NEW_ITEMS = _rows(
  'l2 alpha',
  (3000.0, 3.0),
  (1000.0, 5.0),
  (10000.0, 1.0),
  (30000.0, 3.0),
  (100.0, 3.0),
  (300.0, 5.0),
  (3000.0, 10.0),
  (10000.0, 15.0),
)
CEASE_USERS = _rows(
  'l2 alpha',
  (1000.0, 2.0),
  (300.0, 5.0),
  (3000.0, 2.0),
  (10000.0, 2.0),
  (1000.0, 5.0),
  (3000.0, 5.0),
  (10000.0, 1.0),
  (30.0, 3.0),
)
CEASE_POPULARITY = _rows(
  'l2 alpha popularity',
  (300.0, 5.0, 0.03),
  (1000.0, 2.0, 0.03),
  (10000.0, 2.0, 0.001),
  (3000.0, 5.0, 0.01),
  (3000.0, 5.0, 0.3),
  (1000.0, 5.0, 0.01),
  (3000.0, 2.0, 0.01),
  (300.0, 5.0, 0.1),
)
MAREC = _rows(
  'l2 l2_features strength percentile',
  (100.0, 10.0, 0.03, 10.0),
  (1000.0, 30.0, 0.03, 10.0),
  (30.0, 0.1, 0.1, 10.0),
  (30.0, 10.0, 0.03, 10.0),
  (300.0, 10.0, 0.1, 50.0),
  (10.0, 0.001, 1.0, 10.0),
  (100.0, 100.0, 0.01, 10.0),
  (300.0, 1.0, 1.0, 50.0),
)
MAREC_NEW_ITEMS = _rows(
  'l2 l2_features strength percentile',
  (1000.0, 30.0, 0.1, 50.0),
  (300.0, 10.0, 0.3, 50.0),
  (1000.0, 10.0, 0.3, 90.0),
  (100.0, 10.0, 0.1, 10.0),
  (1000.0, 30.0, 0.3, 50.0),
  (300.0, 10.0, 1.0, 90.0),
  (30.0, 1.0, 0.3, 10.0),
  (1000.0, 100.0, 0.1, 10.0),
)
MAREC_USERS = _rows(
  'l2 l2_features strength percentile',
  (1000.0, 10.0, 0.03, 10.0),
  (300.0, 10.0, 0.03, 10.0),
  (300.0, 30.0, 0.03, 50.0),
  (1000.0, 30.0, 0.03, 50.0),
  (100.0, 10.0, 0.1, 10.0),
  (3000.0, 30.0, 0.03, 10.0),
  (600.0, 10.0, 0.1, 90.0),
  (30.0, 0.1, 0.1, 10.0),
)
_IALS = 'dim unobserved l2 exponent'
IALS = _rows(
  _IALS,
  (64, 0.3, 0.01, 1.0),
  (32, 0.3, 0.03, 1.0),
  (64, 1.0, 0.01, 1.0),
  (64, 0.1, 0.03, 1.0),
  (32, 1.0, 0.03, 1.0),
  (128, 0.3, 0.01, 1.0),
  (64, 0.1, 0.1, 0.5),
  (16, 0.1, 0.1, 1.0),
)
IALS_USERS = _rows(
  _IALS,
  (64, 0.3, 0.01, 1.0),
  (64, 0.1, 0.03, 1.0),
  (32, 0.3, 0.01, 1.0),
  (128, 0.3, 0.01, 1.0),
  (64, 0.1, 0.3, 0.5),
  (64, 1.0, 0.003, 1.0),
  (32, 0.1, 0.01, 1.0),
  (64, 0.03, 0.03, 1.0),
)
IALS_FEATURES = _rows(
  'dim unobserved l2 l2_map finetune_l2 finetune_epochs',
  (64, 0.3, 0.01, 100.0, 0.1, 4),
  (64, 0.3, 0.01, 10.0, 0.03, 4),
  (64, 1.0, 0.003, 3.0, 0.003, 2),
  (64, 0.1, 0.03, 10.0, 0.1, 4),
  (64, 0.3, 0.01, 10.0, 0.01, 4),
  (64, 0.3, 0.01, 1000.0, 0.3, 2),
  (128, 0.3, 0.01, 100.0, 0.1, 4),
  (32, 0.3, 0.03, 10.0, 0.03, 8),
)
# The evidence is all that there is.
IALS_FEATURES_ITEMS = _rows(
  'dim unobserved l2 exponent l2_map',
  (64, 0.3, 0.03, 1.0, 10.0),
  (128, 0.1, 1.0, 0.0, 10.0),
  (64, 0.1, 0.3, 0.5, 10.0),
  (64, 0.3, 0.01, 1.0, 1.0),
  (32, 0.3, 0.1, 1.0, 100.0),
  (64, 0.3, 1.0, 0.0, 10.0),
  (64, 0.1, 3.0, 0.0, 100.0),
  (64, 1.0, 0.01, 1.0, 3.0),
)
IALS_FEATURES_USERS = _rows(
  'dim unobserved l2 l2_map',
  (64, 0.3, 0.01, 10.0),
  (64, 0.1, 0.03, 10.0),
  (64, 0.3, 0.01, 1.0),
  (64, 0.3, 0.01, 100.0),
  (32, 0.3, 0.01, 10.0),
  (128, 0.3, 0.01, 10.0),
  (64, 1.0, 0.003, 10.0),
  (64, 0.03, 0.03, 10.0),
)
IALS_FEATURES_NEW_ITEMS = _rows(
  'dim unobserved l2 l2_map',
  (128, 0.01, 0.1, 1.0),
  (128, 0.1, 0.03, 1.0),
  (128, 0.01, 0.03, 0.1),
  (64, 0.3, 0.01, 10.0),
  (128, 0.003, 0.1, 1.0),
  (128, 0.01, 0.03, 1.0),
  (128, 0.01, 0.3, 1.0),
  (64, 0.3, 0.01, 30.0),
)
DROPOUTNET = _rows(
  'dim unobserved l2 steps lr dropout',
  (64, 0.03, 0.03, 500, 3e-3, 0.5),
  (64, 0.3, 0.01, 500, 3e-3, 0.5),
  (128, 0.01, 0.01, 3000, 3e-3, 0.8),
  (64, 0.01, 0.03, 1500, 3e-3, 0.5),
  (64, 0.03, 0.03, 500, 3e-3, 0.9),
  (64, 0.1, 0.03, 500, 1e-3, 0.2),
  (64, 0.03, 0.01, 1500, 1e-3, 0.5),
  (32, 0.003, 0.03, 500, 3e-3, 0.8),
)
ALPHAREC = _rows(
  'steps lr temperature num_layers finetune_epochs finetune_lr',
  (300, 3e-3, 0.15, 2, 5, 1e-3),
  (100, 3e-3, 0.15, 2, 20, 1e-3),
  (30, 3e-3, 0.3, 0, 0, 1e-3),
  (30, 3e-3, 0.15, 2, 5, 1e-3),
  (300, 3e-3, 0.15, 1, 20, 3e-4),
  (300, 3e-3, 0.2, 2, 20, 3e-3),
  (300, 3e-3, 0.07, 2, 5, 3e-4),
  (1000, 1e-3, 0.15, 2, 20, 1e-3),
)
ELSA = _rows(
  'rank epochs',
  (64, 20),
  (128, 20),
  (32, 20),
  (64, 40),
  (128, 10),
  (256, 20),
  (32, 40),
  (64, 10),
  lr=0.03,
)
PREF = _rows(
  'base rank',
  ('ease', 16),
  ('ials', 16),
  ('ease', 8),
  ('ease', 32),
  ('svd', 16),
  ('svd', 8),
  ('ials', 8),
  ('ials', 32),
)
MULT_VAE = _rows(
  'hidden_dim latent_dim epochs anneal_cap',
  (200, 64, 60, 0.2),
  (200, 64, 60, 1.0),
  (600, 200, 30, 0.2),
  (200, 64, 120, 0.2),
  (100, 32, 120, 0.2),
  (600, 200, 30, 1.0),
  (200, 64, 30, 0.2),
  (100, 32, 60, 1.0),
  batch_size=50,
)
GENERATED_HEAD = tuple({'base': trial} for trial in MULT_VAE)
# The bases of EASE and CEASE with popularity, and what corrects them.
HYPEREASE_USER = _rows(
  'l2 popularity dropout rank',
  (100.0, 0.03, 0.5, 32),
  (1000.0, 0.01, 0.5, 32),
  (10000.0, 0.001, 0.5, 32),
  (300.0, 0.1, 0.5, 32),
  (3000.0, 0.3, 0.5, 32),
  (300.0, 0.01, 0.5, 64),
  (300.0, 0.0, 0.2, 32),
  (100.0, 0.1, 0.2, 16),
)
HYPEREASE_USER_TEXT = _rows(
  'l2 alpha popularity dropout rank',
  (300.0, 5.0, 0.03, 0.5, 32),
  (1000.0, 2.0, 0.03, 0.5, 32),
  (10000.0, 2.0, 0.001, 0.5, 32),
  (3000.0, 5.0, 0.01, 0.5, 32),
  (3000.0, 5.0, 0.3, 0.5, 32),
  (1000.0, 5.0, 0.0, 0.5, 64),
  (1000.0, 5.0, 0.1, 0.5, 32),
  (1000.0, 5.0, 0.03, 0.2, 32),
)
HYPEREASE_USER_KERNEL = _rows(
  'l2 alpha sharpness popularity dropout rank',
  (300.0, 5.0, 2.0, 0.03, 0.5, 32),
  (1000.0, 5.0, 2.0, 0.03, 0.5, 32),
  (10000.0, 5.0, 2.0, 0.001, 0.5, 32),
  (1000.0, 5.0, 5.0, 0.01, 0.5, 32),
  (3000.0, 5.0, 2.0, 0.3, 0.5, 32),
  (1000.0, 15.0, 2.0, 0.03, 0.5, 32),
  (1000.0, 2.0, 1.0, 0.03, 0.5, 32),
  (1000.0, 5.0, 2.0, 0.0, 0.5, 64),
)
# The share of Mult-VAE in a blend, beside what is blended with it.
HYPEREASE_USER_VAE = _rows(
  'l2 alpha popularity dropout rank weight',
  (1000.0, 2.0, 0.03, 0.5, 32, 0.2),
  (300.0, 5.0, 0.03, 0.5, 32, 0.4),
  (10000.0, 2.0, 0.001, 0.5, 32, 0.4),
  (1000.0, 5.0, 0.0, 0.5, 32, 0.4),
  (3000.0, 5.0, 0.3, 0.5, 32, 0.2),
  (1000.0, 5.0, 0.1, 0.5, 32, 0.6),
  (3000.0, 2.0, 0.01, 0.5, 32, 0.4),
  (300.0, 5.0, 0.03, 0.5, 32, 0.6),
)
CEASE_VAE = _rows(
  'l2 alpha popularity weight',
  (1000.0, 2.0, 0.03, 0.5),
  (300.0, 5.0, 0.03, 0.5),
  (10000.0, 2.0, 0.001, 0.3),
  (1000.0, 5.0, 0.0, 0.7),
  (3000.0, 5.0, 0.3, 0.3),
  (1000.0, 5.0, 0.1, 0.5),
  (3000.0, 2.0, 0.01, 0.7),
  (300.0, 5.0, 0.03, 0.7),
)
_SASREC = {
  'num_layers': 1,
  'num_heads': 1,
  'hidden_ratio': 1,
  'batch_size': 8,
}
# For drift and returning users, where the next items in time are the targets.
SASREC = _rows(
  'lr epochs dim dropout length',
  (5e-3, 10, 32, 0.2, 50),
  (2e-3, 20, 32, 0.2, 50),
  (2e-3, 20, 64, 0.5, 200),
  (2e-3, 40, 64, 0.5, 200),
  (2e-3, 40, 64, 0.2, 200),
  (1e-3, 40, 128, 0.5, 100),
  (1e-3, 80, 64, 0.5, 100),
  (5e-3, 40, 32, 0.2, 100),
  **_SASREC,
)
# In the other regimes, shown items and targets may be of any time.
_SASREC_SHUFFLED = {**_SASREC, 'dim': 64, 'length': 50, 'shuffled': True}
SASREC_USERS = _rows(
  'lr epochs finetune_epochs dropout',
  (2e-3, 40, 5, 0.5),
  (2e-3, 80, 5, 0.5),
  (2e-3, 80, 5, 0.7),
  (1e-3, 80, 5, 0.5),
  (5e-3, 80, 5, 0.5),
  (2e-3, 20, 5, 0.5),
  (2e-3, 80, 5, 0.3),
  (2e-3, 160, 5, 0.7),
  **_SASREC_SHUFFLED,
)
# A new catalogue or domain has fewer users.
SASREC_ITEMS = _rows(
  'lr epochs finetune_epochs dropout',
  (5e-3, 40, 40, 0.5),
  (5e-3, 80, 80, 0.5),
  (5e-3, 160, 160, 0.5),
  (2e-3, 320, 80, 0.5),
  (2e-3, 80, 320, 0.5),
  (5e-3, 80, 80, 0.7),
  (5e-3, 80, 80, 0.3),
  (2e-3, 160, 160, 0.7),
  **_SASREC_SHUFFLED,
)
_VQREC = {
  'start': 'text',
  'num_groups': 32,
  'length': 20,
  'dim': 64,
  'num_layers': 1,
  'hidden_dim': 128,
  'lr': 3e-3,
  'finetune_all': True,
}
VQREC = _rows(
  'shuffled epochs finetune_epochs finetune_lr temperature dropout',
  (True, 5, 20, 3e-3, 0.1, 0.5),
  (False, 5, 10, 3e-3, 0.1, 0.5),
  (True, 20, 80, 3e-3, 0.1, 0.5),
  (False, 20, 5, 3e-3, 0.1, 0.5),
  (True, 5, 40, 3e-3, 0.2, 0.5),
  (False, 2, 20, 3e-3, 0.1, 0.5),
  (True, 20, 20, 1e-2, 0.1, 0.5),
  (True, 10, 40, 1e-3, 0.07, 0.5),
  num_codes=128,
  batch_size=8,
  **_VQREC,
)
# Several source domains have forty times as many users, and the index and one
# epoch take minutes. Therefore there is one setting.
VQREC_DOMAINS = (
  {
    **_VQREC,
    'epochs': 1,
    'finetune_epochs': 10,
    'finetune_lr': 3e-3,
    'temperature': 0.1,
    'dropout': 0.5,
    'num_codes': 256,
    'batch_size': 64,
  },
)
# One setting each, since the longer one takes minutes to train.
P5 = (
  {
    'dim': 64,
    'num_layers': 1,
    'dropout': 0.0,
    'max_history': 10,
    'source_length': 48,
    'batch_size': 16,
    'lr': 1e-2,
    'num_steps': 200,
  },
)
P5_LONG = (
  {
    **P5[0],
    'batch_size': 64,
    'steps_alike': 8,
    'lr': 3e-3,
    'dropout': 0.2,
    'num_steps': 3000,
  },
)
CONTENT_KNN = _grid(sharpness=(0.0, 5.0, 2.0, 10.0, 1.0, 20.0, 3.0, 40.0))
ITEM_COLUMNS = _rows(
  'l2 l2_kernel sharpness identity l2_update absent_weight',
  (100.0, 3.0, 1.0, 1.0, 100.0, 0.0),
  (100.0, 10.0, 2.0, 0.3, 300.0, 0.0),
  (30.0, 3.0, 2.0, 1.0, 30.0, 0.0),
  (100.0, 3.0, 0.5, 1.0, 300.0, 0.1),
  (100.0, 3.0, 0.5, 1.0, 300.0, 0.0),
  (300.0, 1.0, 1.0, 3.0, 100.0, 0.03),
  (100.0, 30.0, 1.0, 0.3, 100.0, 0.0),
  (1000.0, 3.0, 1.0, 10.0, 300.0, 0.3),
)
# The closed forms that validation prefers most often, and other networks.
ITEM_GENERATOR = _rows(
  'l2 l2_kernel sharpness identity l2_update absent_weight rank dropout',
  (100.0, 3.0, 1.0, 1.0, 100.0, 0.0, 64, 0.5),
  (100.0, 10.0, 2.0, 0.3, 300.0, 0.0, 64, 0.5),
  (30.0, 3.0, 2.0, 1.0, 30.0, 0.0, 64, 0.5),
  (100.0, 3.0, 0.5, 1.0, 300.0, 0.1, 64, 0.3),
  (100.0, 3.0, 0.5, 1.0, 300.0, 0.0, 64, 0.3),
  (300.0, 1.0, 1.0, 3.0, 100.0, 0.03, 32, 0.5),
  (100.0, 30.0, 1.0, 0.3, 100.0, 0.0, 64, 0.5),
  (1000.0, 3.0, 1.0, 10.0, 300.0, 0.3, 128, 0.5),
)

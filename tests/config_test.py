"""The limits of hyperparameters."""

import dataclasses

import numpy as np
import pytest

from hyperrec import config as config_lib
from hyperrec.data import interactions


@dataclasses.dataclass(frozen=True)
class Config:
  """Hyperparameters."""

  count: int = config_lib.field(3, least=1)
  share: float = config_lib.field(0.5, least=0, below=1)
  rate: float = config_lib.field(0.1, above=0, most=2)
  kind: str = config_lib.field('a', choices=('a', 'b'))
  most: float | None = config_lib.field(None, least=0)
  is_free: bool = False
  free: float = 1.0

  def __post_init__(self):
    config_lib.check(self)


@pytest.mark.parametrize(
  'right',
  [
    {},
    {'count': 1, 'share': 0, 'rate': 2, 'kind': 'b', 'most': 0.0},
    {'count': np.int64(7), 'share': np.float32(0.25), 'free': -9.0},
    {'share': 0.999, 'rate': 1e-9, 'most': None, 'is_free': True},
  ],
)
def test_values_within_the_limits_are_kept(right):
  config = Config(**right)
  assert {name: getattr(config, name) for name in right} == right


@pytest.mark.parametrize(
  ('wrong', 'told'),
  [
    ({'count': 0}, 'count=0 must be at least 1'),
    ({'share': -0.1}, 'share=-0.1 must be at least 0 and below 1'),
    ({'share': 1.0}, 'share=1.0 must be at least 0 and below 1'),
    ({'rate': 0.0}, 'rate=0.0 must be above 0 and at most 2'),
    ({'rate': 2.1}, 'rate=2.1 must be above 0 and at most 2'),
    ({'kind': 'c'}, "kind='c' must be one of ('a', 'b')"),
    ({'most': -1.0}, 'most=-1.0 must be at least 0'),
    ({'most': float('inf')}, 'most=inf must be a finite number'),
    ({'rate': float('nan')}, 'rate=nan must be a finite number'),
    ({'rate': np.float32('nan')}, 'rate=nan must be above 0 and at most 2'),
    ({'count': np.int64(0)}, 'count=0 must be at least 1'),
    ({'free': float('nan')}, 'free=nan must be a finite number'),
  ],
)
def test_other_values_are_refused_in_a_sentence(wrong, told):
  with pytest.raises(interactions.DataError) as error:
    Config(**wrong)
  assert told in str(error.value)


def test_replaced_values_are_looked_at_too():
  with pytest.raises(interactions.DataError, match='count=-1'):
    dataclasses.replace(Config(), count=-1)


def test_limits_are_described_in_words():
  told = {
    field.name: config_lib.describe_limits(field)
    for field in dataclasses.fields(Config)
  }
  assert told == {
    'count': 'at least 1',
    'share': 'at least 0 and below 1',
    'rate': 'above 0 and at most 2',
    'kind': "one of ('a', 'b')",
    'most': 'at least 0',
    'is_free': '',
    'free': '',
  }

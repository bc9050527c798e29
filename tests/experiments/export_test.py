"""What the training of an exported recommender needs is told beforehand."""

import numpy as np
import pytest

from experiments import needs
from hyperrec.cost import memory
from hyperrec.data import interactions


def test_what_a_training_needs_is_told_and_refused_beforehand(monkeypatch):
  users, items = np.nonzero(np.random.default_rng(0).random((300, 40)) < 0.2)
  data = interactions.from_columns(users, items, name='small')
  said = []
  needs.tell('ease', data, {'l2': 100.0}, said.append)
  assert said[0].startswith('ease of 40 items and 300 users: about')
  assert 'GiB of memory' in said[0]
  assert said[0].endswith(' and 1 s')
  monkeypatch.setattr(memory, 'available_bytes', lambda: 2**10)
  for name, settings in (
    ('ease', {}),
    ('slim', {'l1': 1.0, 'l2': 100.0}),
    ('l3ae', {}),
    ('itemknn', {'neighbours': 100}),
  ):
    with pytest.raises(
      memory.InsufficientMemoryError,
      match=rf'--method={name} needs.*--method=ease_sparse.*about [\d.]+ GiB',
    ):
      needs.tell(name, data, settings, said.append)
  with pytest.raises(memory.InsufficientMemoryError) as refusal:
    needs.tell('ease_sparse', data, {'neighbours': 9}, said.append)
  assert 'give --method' not in str(refusal.value)

"""A made-up set and its items' features, for methods that read text."""

import pytest

from hyperrec.data import sources
from tests import makers


@pytest.fixture(scope='module')
def data():
  return sources.load('synthetic', num_users=400, num_items=120)


@pytest.fixture(scope='module')
def features(data):
  return makers.text_features(data)

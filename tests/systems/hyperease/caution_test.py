"""As much of a correction is kept as gains on held-out users."""

import numpy as np
import pytest

from hyperrec.systems.hyperease import caution, simulated_users

USERS, ITEMS = 60, 30


def users(size):
  """Histories of some items; the target is the item after them."""
  shown = np.zeros((USERS, ITEMS), np.float32)
  shown[:, :size] = 1
  asked = np.zeros_like(shown)
  asked[np.arange(USERS), size + np.arange(USERS) % 10] = 1
  return shown, asked


def kept_parts(base, added, shown, asked):
  judged = simulated_users.Batch(shown, asked, base, np.zeros_like(shown))
  return caution.kept_parts(np.arange(USERS), judged, added, 1.5)


@pytest.mark.parametrize(('size', 'which'), [(1, 0), (5, 1), (12, 2)])
def test_what_gains_is_kept_for_histories_of_its_length(size, which):
  shown, asked = users(size)
  base = np.random.default_rng(0).random(shown.shape)
  kept = kept_parts(base, asked, shown, asked)
  assert kept[which] == 1
  assert (np.delete(kept, which) == 0).all()


def test_what_harms_or_does_nothing_is_not_kept():
  shown, asked = users(5)
  base = asked + np.random.default_rng(0).random(shown.shape)
  for added in (-asked, np.zeros_like(asked)):
    kept = kept_parts(base, 2 * added, shown, asked)
    assert (kept == 0).all()


def test_a_part_is_kept_where_the_whole_goes_too_far():
  shown, asked = users(5)
  wrong = np.zeros_like(shown)
  wrong[:, -5:] = 1
  # A third lifts the target above all items, more lifts wrong ones above it.
  base = np.random.default_rng(0).random(shown.shape) * (1 - wrong)
  base = np.where(asked > 0, 0.9, base)
  kept = kept_parts(base, asked + 3 * wrong, shown, asked)
  np.testing.assert_allclose(kept, [0, 0.3, 0])


def test_without_targets_nothing_is_kept():
  shown, asked = users(5)
  kept = kept_parts(shown, asked, shown, np.zeros_like(asked))
  assert (kept == 0).all()


def test_a_user_who_is_drawn_again_is_no_further_evidence():
  shown, asked = users(5)
  # Two users of three gain, and one loses as much.
  rises = (np.arange(USERS) % 3 < 2)[:, None]
  base = np.random.default_rng(0).random(shown.shape)
  base = np.where(asked > 0, np.where(rises, 0.0, 2.0), base)
  added = np.where(rises, 20.0, -20.0) * asked
  judged = simulated_users.Batch(shown, asked, base, np.zeros_like(shown))
  others = caution.kept_parts(np.arange(USERS), judged, added, 1.5)
  again = caution.kept_parts(np.arange(USERS) % 3, judged, added, 1.5)
  assert others[1] > 0
  assert again[1] == 0


def test_each_user_gets_the_part_of_the_own_length():
  found = caution.part_of(
    np.float32([0, 0.3, 1]), np.float32([0, 2, 3, 9, 10, 50])
  )
  np.testing.assert_allclose(found, [0, 0, 0.3, 0.3, 1, 1])

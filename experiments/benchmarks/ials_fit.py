"""Compares fits of implicit ALS with those of implicit and irspack.

  python -m experiments.benchmarks.ials_fit

All sides have the same number of factors, iterations and threads, the same
weight of an unobserved entry and the same penalty of every factor. Each library
solves every row exactly (Cholesky), or takes three steps of conjugate gradients
from the last solution, which is the others' default. Exact fits are compared
with exact ones, and steps with steps.

implicit's loss differs slightly: an observed entry has the confidence 1 / alpha
in place of 1 + 1 / alpha. The script therefore compares what the fitted items
are good for: held-out users are folded in by the same exact solve on all sides,
and the recall of their hidden items must agree.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
import scipy.sparse
import threadpoolctl
from jaxtyping import Float

from experiments import script
from experiments.benchmarks import inputs, machine, measure, peers
from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import sources, splits
from hyperrec.evaluation import ranking
from hyperrec.systems.factors import ials, least_squares

Comparison = measure.Comparison
Interactions = interactions_lib.Interactions
METRIC = 'recall@20'
EPOCHS = 8
STEPS = 3
# exponent=0: implicit has no other form of the penalty.
CONFIG = ials.IalsConfig(
  dim=64, l2=3.0, unobserved=0.1, exponent=0.0, epochs=EPOCHS
)
# Recall may differ by this from that of hyperrec's exact fit: all start at
# random.
TOLERANCE = 0.02


def main(argv):
  """Measures every size and writes the results."""
  del argv
  measure.record('ials_fit', run)


def run(skipped: list[str]) -> list[Comparison]:
  """Returns the comparisons on every data set."""
  made = [
    inputs.skewed(5 * num_items, num_items)
    for num_items in measure.catalogues((3_000, 10_000))
  ]
  try:
    # Users with preferences, so that recall means something.
    made.insert(0, sources.load('movielens_small', min_user_interactions=5))
  except interactions_lib.DataError as error:
    skipped.append(str(error))
    print(error)
  names = [name for name in ('implicit', 'irspack') if peers.has(name)]
  skipped += [
    measure.skip(name) for name in ('implicit', 'irspack') if name not in names
  ]
  repeats = min(3, measure.repeats())
  return [c for data in made for c in compare(data, names, repeats)]


def compare(data: Interactions, names, repeats: int) -> list[Comparison]:
  """Compares the time of a fit; a fifth of each user's items is held out.

  Raises:
    AssertionError: the recall of another library's items is too different.
  """
  held = splits.fold_in(data, seed=0)
  train = held.histories.by_user_and_time()
  sides = {
    name: fit
    for name, fit in fits(train).items()
    if name.library in ('hyperrec', *names)
  }
  check_agreement(
    {name: recall(fit(), train, held.targets) for name, fit in sides.items()}
  )
  seconds = measure.interleave(sides, repeats)
  case = f'{inputs.describe(train)}, {CONFIG.dim} factors, {EPOCHS} epochs'
  return [
    Comparison(
      case,
      f'fit, {name.solver}',
      name.library,
      's',
      seconds[Side('hyperrec', name.solver)],
      found,
      '>= 1',
    )
    for name, found in seconds.items()
    if name.library != 'hyperrec'
  ]


class Side(NamedTuple):
  """A library and how it solves: 'Cholesky' or '3 CG steps'."""

  library: str
  solver: str

  def __str__(self) -> str:
    return f'{self.library} ({self.solver})'


def fits(
  data: Interactions,
) -> dict[Side, Callable[[], Float[np.ndarray, 'V D']]]:
  """Functions that fit and return the factors of the items."""
  x, key = data.csr(), jax.random.key(0)
  exact, steps = (
    ials.ials(**dataclasses.asdict(CONFIG) | {'cg_steps': cg_steps})
    for cg_steps in (0, STEPS)
  )
  of_steps = f'{STEPS} CG steps'
  return {
    Side('hyperrec', 'Cholesky'): lambda: exact.fit(data, key).state.items,
    Side('hyperrec', of_steps): lambda: steps.fit(data, key).state.items,
    Side('implicit', 'Cholesky'): lambda: _implicit(x, use_cg=False),
    Side('implicit', of_steps): lambda: _implicit(x, use_cg=True),
    Side('irspack', 'Cholesky'): lambda: _irspack(x, 'CHOLESKY'),
    Side('irspack', of_steps): lambda: _irspack(x, 'CG'),
  }


def _implicit(x, *, use_cg: bool) -> np.ndarray:
  from implicit.cpu import als

  # It asks for one thread of BLAS, since it has threads of its own.
  with threadpoolctl.threadpool_limits(1, user_api='blas'):
    model = als.AlternatingLeastSquares(
      factors=CONFIG.dim,
      regularization=CONFIG.l2 / CONFIG.unobserved,
      alpha=1 / CONFIG.unobserved,
      iterations=EPOCHS,
      use_cg=use_cg,
      num_threads=machine.threads()['cores'],
      random_state=0,
    )
    model.fit(scipy.sparse.csr_matrix(x), show_progress=False)
  return model.item_factors


def _irspack(x, solver: str) -> np.ndarray:
  from irspack.recommenders import ials as irspack_ials

  trainer = irspack_ials.IALSTrainer(
    x,
    n_components=CONFIG.dim,
    alpha0=CONFIG.unobserved,
    reg=CONFIG.l2,
    nu=CONFIG.exponent,
    init_std=CONFIG.deviation,
    solver_type=irspack_ials.str_to_solver_type(solver),
    max_cg_steps=STEPS,
    ialspp_subspace_dimension=CONFIG.dim,
    loss_type=irspack_ials.str_to_loss_type('IALSPP'),
    random_seed=0,
    n_threads=machine.threads()['cores'],
    prediction_time_max_cg_steps=5,
    prediction_time_ialspp_iteration=1,
  )
  for _ in range(EPOCHS):
    trainer.run_epoch()
  return trainer.core_trainer.item


def recall(
  items: Float[np.ndarray, 'V D'], train: Interactions, targets: Interactions
) -> float:
  """Recall of held-out items, with users who are folded in exactly."""
  state = ials.Factors(
    items, least_squares.gram(items, CONFIG.unobserved), len(items)
  )
  found = ranking.evaluate(
    lambda users: ials.score(
      CONFIG, state, method_lib.Histories.of(train, users)
    ),
    train.csr(),
    targets.csr(),
    metrics=(METRIC,),
    batch_size=512,
  )
  return found.mean(METRIC)


def check_agreement(recalls: Mapping[Side, float]) -> None:
  """Raises AssertionError if a recall differs too much from the exact fit's."""
  for name, value in recalls.items():
    print(f'{name}: {METRIC} {value:.4f}')
  ours = recalls[Side('hyperrec', 'Cholesky')]
  if max(abs(value - ours) for value in recalls.values()) > TOLERANCE:
    raise AssertionError(
      f'{METRIC} differs by more than {TOLERANCE}: {recalls}'
    )


if __name__ == '__main__':
  script.run(main)

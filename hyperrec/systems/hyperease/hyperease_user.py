"""HyperEASE for users: EASE plus a correction generated for each user.

EASE has one B for all users, and its ridge suits long histories: for users with
one item, EASE is worse than popularity. Here a generator reads a user's history
and changes B in a low rank (`user_correction`). It starts exactly at EASE. It
is trained on source users of whom a random part of the items is shown, against
an EASE that was fitted without them.

EASE's scores are linear in what was taken up together, while a likelihood asks
for logarithms. With short histories this matters most. So the logarithm of the
co-occurrences with the history is added, and its weight for a user is
generated, too; it starts at 0.

Several generators are trained, each with other users held out, and the mean of
their corrections counts. Of the correction only as much is kept as gains on
held-out users, by the length of the history (`caution`).

The EASE may be one on users stacked with item features (CEASE), and popularity
may be added to its scores (`popularity`). A user who is left out takes only the
own row away, so the training is the same.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.sparse
from jaxtyping import Array, Bool, Float, Int

from hyperrec import config as config_lib
from hyperrec import method as method_lib
from hyperrec import padding
from hyperrec import program as program_lib
from hyperrec.cost import counts
from hyperrec.data import interactions as interactions_lib
from hyperrec.systems.hyperease import (
  caution,
  simulated_users,
  user_correction,
)
from hyperrec.systems.linear import (
  item_kernel,
  linear_autoencoder,
  weights_program,
)
from hyperrec.systems.mult_vae import variational_autoencoder
from hyperrec.training import loop
from hyperrec.training import step as step_lib

CannotServe = method_lib.CannotServe
Cost = method_lib.Cost
Csr = scipy.sparse.csr_matrix
Features = method_lib.Features
Histories = method_lib.Histories
Interactions = interactions_lib.Interactions
Model = method_lib.Model
Outcome = method_lib.Outcome
Program = method_lib.Program

Simulate = Callable[[Int[np.ndarray, ' B'], Any], simulated_users.Batch]

# The logit of items in the history, which are never targets.
_NEVER = -1e9
# Number of simulated users who stop a training, and of those who judge it. Each
# held-out user is repeated to reach it, but at most 8 times.
_HELDOUT = 512
_DRAWS = 8
_STRANGERS = 256
# Whatever share is held out, one of four users judges, one stops a training,
# and two are left to be trained on; their factors need two.
_FEWEST_USERS = 4


@dataclasses.dataclass(frozen=True)
class UserConfig:
  """Hyperparameters of HyperEASE for users.

  Attributes:
    l2: Ridge of EASE.
    alpha: Scale of the feature rows that are stacked under the users, as in
      CEASE; 0 reads no features.
    sharpness: Of the kernel between the items' features whose factor is stacked
      in their place (`item_kernel.factor`); 0 stacks the features.
    popularity: Factor of the popularity that is added to the scores of EASE, as
      in `added_popularity`.
    together: Whether the logarithm of co-occurrences is added, too.
    conditioning: Input of the generator, one of
      `user_correction.CONDITIONINGS`; all but 'history' are controls.
    rank: Rank of the correction.
    z_dim: Width of the user's encoding.
    hidden_dim: Width of the encoder's hidden layer.
    dropout: Share of the factors, and of the items in them, that is dropped.
    steps: Number of training steps; the parameters with the lowest validation
      loss are kept.
    batch_size: Users per step; all users if there are fewer.
    lr: Learning rate of AdamW, after a warm-up over a tenth of the steps.
    weight_decay: Weight decay of AdamW; it pulls towards EASE.
    max_norm: Norm to which larger gradients are clipped.
    heldout_share: Share of the users on whom a generator is not trained. One
      half of them tells when to stop; the other half, the same one for all
      generators, how much of the correction to keep. EASE is fitted on all
      users.
    evaluate_every: Steps between two validations.
    members: Number of generators; each has other users held out.
    caution: Number of standard errors by which a correction has to gain on
      held-out users.
  """

  l2: float = config_lib.field(300.0, above=0)
  alpha: float = config_lib.field(0.0, least=0)
  sharpness: float = config_lib.field(0.0, least=0)
  popularity: float = config_lib.field(0.0, least=0)
  together: bool = True
  conditioning: str = config_lib.field(
    'history', choices=user_correction.CONDITIONINGS
  )
  rank: int = config_lib.field(32, least=1)
  z_dim: int = config_lib.field(32, least=1)
  hidden_dim: int = config_lib.field(64, least=1)
  dropout: float = config_lib.field(0.5, least=0, below=1)
  steps: int = config_lib.field(500, least=0)
  batch_size: int = config_lib.field(100, least=1)
  lr: float = config_lib.field(1e-3, above=0)
  weight_decay: float = config_lib.field(1e-2, least=0)
  max_norm: float = config_lib.field(1.0, above=0)
  heldout_share: float = config_lib.field(0.2, least=0, below=1)
  evaluate_every: int = config_lib.field(50, least=1)
  members: int = config_lib.field(3, least=1)
  caution: float = config_lib.field(1.0, least=0)

  def __post_init__(self):
    config_lib.check(self)


class Params(NamedTuple):
  """Trained parameters: the items' factors and the generator's weights."""

  factors: user_correction.Factors
  generator: Any


class Generators(NamedTuple):
  """What makes a user's correction.

  Attributes:
    members: parameters of each trained generator.
    kept: the part of the correction that is kept; see `caution.kept_parts`.
    strangers: bool [S, V], histories for the control 'shuffled'.
  """

  members: tuple[Params, ...]
  kept: Float[Array, ' 3']
  strangers: Bool[Array, 'S V']


class UserState(NamedTuple):
  """EASE and its generators over one catalogue.

  Attributes:
    weights: B.
    added: what popularity adds to the scores.
    together: X'X, how many users took up two items; None if it is not read.
    generators: the trained generators.
  """

  weights: linear_autoencoder.Weights
  added: Float[np.ndarray, ' V']
  together: Float[np.ndarray, 'V V'] | None
  generators: Generators


def hyperease_user(
  features: Features | None = None, **hyperparameters: Any
) -> Model:
  """EASE with a generated correction for each user.

  New users need only the pass that generates and scores. Users with empty
  histories get generated popularity scores.

  Args:
    features: gives the item features; needed if `alpha` is above 0.
    **hyperparameters: fields of `UserConfig`.

  Raises:
    DataError: the conditioning is unknown or a number is out of its range.
  """
  config = UserConfig(**hyperparameters)

  def fit_to(data, key, start=None, run=None):
    del start
    return fit(config, features, data, key, run or loop.Run())

  def generate(state, data, key):
    del key
    user_1xV = jax.ShapeDtypeStruct((1, data.num_items), jnp.float32)
    operations = counts.program(
      functools.partial(corrections, _network(config)),
      state.generators,
      user_1xV,
      user_1xV,
    )
    if config.together:
      length = len(data) / max(1, data.num_users)
      operations += counts.matmul(1, data.num_items, length)
    return Outcome(state, Cost(per_user=operations))

  return Model(
    'hyperease_user',
    config,
    fit_to,
    functools.partial(score, config),
    generate=generate,
    program=functools.partial(program, config),
  )


def _network(config: UserConfig) -> UserConfig:
  """The configuration without what no compiled program depends on.

  Trials that differ only there share what is compiled.
  """
  return dataclasses.replace(
    config,
    l2=1.0,
    alpha=0.0,
    sharpness=0.0,
    popularity=0.0,
    together=False,
    heldout_share=0.0,
    evaluate_every=1,
    members=1,
    caution=0.0,
  )


def fit(
  config: UserConfig,
  features: Features | None,
  data: Interactions,
  key: jax.Array,
  run: loop.Run = loop.Run(),
) -> Outcome:
  """Fits EASE, then trains its generators.

  Each generator is saved in a folder of its own in the workdir of `run`.

  Raises:
    CannotServe: fewer than four users have items, there is only one item, or
      `alpha` is above 0 and there are no features.
  """
  if config.alpha and features is None:
    raise CannotServe(
      f'alpha={config.alpha} reads item features, and none are given: give '
      'features, or alpha=0'
    )
  x_UxV = data.csr()
  active = np.flatnonzero(x_UxV.getnnz(axis=1))
  if len(active) < _FEWEST_USERS or data.num_items < 2:
    raise CannotServe(
      f'HyperEASE for users needs at least {_FEWEST_USERS} users with items, '
      f'and 2 items; {data.name or "the source"} has {len(active)} and '
      f'{data.num_items}: give more, or take EASE'
    )
  rows_FxV, operations = None, 0.0
  if config.alpha:
    rows_FxV, operations = _rows(config, features(data))
  base = _fit_base(x_UxV, config.l2, rows_FxV)
  together, operations = None, operations + base.operations
  if config.together:
    together = linear_autoencoder.gram(x_UxV)
    operations += counts.gram(x_UxV.getnnz(axis=1))
  x_UxV = x_UxV[active]
  if config.popularity:
    operations += float(len(data) + 2 * data.num_items)
  added_V = config.popularity / len(active) * x_UxV.getnnz(axis=0)
  strangers = _strangers(config, x_UxV, key)
  simulate = functools.partial(
    simulated_users.simulate,
    simulated_users.of(x_UxV, base.precision, together, config.popularity),
  )
  judging, others = _divide(config, np.arange(len(active)), key)
  members = []
  for number, member_key in enumerate(jax.random.split(key, config.members)):
    params, spent = _train(
      config,
      x_UxV,
      others,
      simulate,
      strangers,
      key=member_key,
      run=run.part(f'member_{number}'),
    )
    members.append(params)
    operations += spent
  generators = Generators(tuple(members), caution.all_kept(), strangers)
  judged = simulate(judging, _seed(key))
  added_BxV = corrections(
    _network(config), generators, judged.shown, judged.together
  )
  kept = caution.kept_parts(
    judging, judged, np.asarray(added_BxV), config.caution
  )
  operations += simulated_users.simulate_flops(x_UxV, len(judging))
  operations += caution.flops(*judged.shown.shape)
  generators = generators._replace(kept=kept)
  state = UserState(base.weights, np.float32(added_V), together, generators)
  return Outcome(state, Cost(operations))


def _divide(
  config: UserConfig, users: Int[np.ndarray, ' U'], key: jax.Array
) -> tuple[Int[np.ndarray, ' H'], Int[np.ndarray, ' R']]:
  """Half of the share that is held out, each user repeated; and the others."""
  order = np.random.default_rng(_seed(key)).permutation(users)
  cut = max(1, min(_HELDOUT, int(config.heldout_share / 2 * len(users))))
  heldout = np.resize(order[:cut], min(_HELDOUT, _DRAWS * cut))
  return heldout, order[cut:]


def _seed(key: jax.Array) -> int:
  return int(jax.random.bits(key))


def _rows(
  config: UserConfig, table_VxF: Float[np.ndarray, 'V F']
) -> tuple[Float[np.ndarray, 'F V'], float]:
  """The rows that are stacked under the users, and what they cost."""
  if not config.sharpness:
    return config.alpha * table_VxF.T, 0.0
  factor_VxV, operations = item_kernel.factor(table_VxF, config.sharpness)
  return config.alpha * factor_VxV.T, operations


class _Base(NamedTuple):
  """EASE or CEASE, the P from which it comes, and the operations."""

  weights: linear_autoencoder.Weights
  precision: Float[np.ndarray, 'V V']
  operations: float


def _fit_base(
  x_UxV: Csr, l2: float, rows_FxV: Float[np.ndarray, 'F V'] | None = None
) -> _Base:
  """Fits EASE on users, or on users and rows of features."""
  rows_U, num_items = x_UxV.getnnz(axis=1), x_UxV.shape[1]
  ridge = linear_autoencoder.denoising_ridge(x_UxV.getnnz(axis=0), l2)
  if rows_FxV is None:
    weights = linear_autoencoder.solve(x_UxV, ridge)
    precision = linear_autoencoder.precision_cheapest(x_UxV, ridge)
    operations = linear_autoencoder.solve_flops(rows_U, num_items)
    operations += linear_autoencoder.precision_flops(rows_U, num_items)
    return _Base(weights, precision, operations)
  precision = linear_autoencoder.precision(x_UxV, ridge, stacked=rows_FxV)
  weights = linear_autoencoder.weights_from_precision(precision.copy())
  operations = linear_autoencoder.solve_flops(rows_U, num_items, primal=True)
  operations += counts.matmul(num_items, num_items, len(rows_FxV))
  return _Base(weights, precision, operations)


def init(config: UserConfig, x: Csr, key: jax.Array) -> Params:
  """Factors of X [U, V] and a generator whose output is 0."""
  factors = user_correction.init_factors(x, config.rank)
  shown_V = jnp.zeros(x.shape[1])
  told = user_correction.read(factors.left, shown_V)
  generator = _generator(config, factors).init(key, told, shown_V.sum())
  return Params(factors, generator['params'])


def coefficients(
  config: UserConfig,
  params: Params,
  shown_BxV: Float[Array, 'B V'],
  strangers_SxV: Bool[Array, 'S V'],
) -> user_correction.Coefficients:
  """Generates `Coefficients` [B, ...] for B users."""
  told_BxT = user_correction.tell(
    config.conditioning, params.factors.left, shown_BxV, strangers_SxV
  )
  apply = _generator(config, params.factors).apply
  generate = functools.partial(apply, {'params': params.generator})
  return jax.vmap(generate)(told_BxT, shown_BxV.sum(axis=1))


def score(
  config: UserConfig, state: UserState, histories: Histories
) -> np.ndarray:
  """Scores [B, V]: the sum of EASE's scores and each user's correction.

  Rows are padded to a power of two, so that few shapes are compiled.
  """
  x_BxV = histories.csr()
  more = padding.power_of_two(x_BxV.shape[0]) - x_BxV.shape[0]
  shown_BxV = np.pad(x_BxV.toarray(), ((0, more), (0, 0)))
  together_BxV = np.zeros_like(shown_BxV)
  if state.together is not None:
    found_BxV = simulated_users.log_together(state.together, x_BxV)
    together_BxV[: len(found_BxV)] = found_BxV
  added_BxV = corrections(
    _network(config), state.generators, shown_BxV, together_BxV
  )
  base_BxV = linear_autoencoder.scores(x_BxV, state.weights) + state.added
  return base_BxV + np.asarray(added_BxV)[: len(base_BxV)]


def program(config: UserConfig, state: UserState) -> Program:
  """The same scores as one function; EASE's part is a program of its own."""
  base = weights_program.of_weights(state.weights)
  num_items = len(state.generators.members[0].factors.left)
  params = {
    'base': base.params,
    'added': state.added,
    'generators': state.generators,
  }
  if state.together is not None:
    params['together'] = state.together

  def score_histories(params, items_BxL, mask_BxL):
    shown_BxV = program_lib.multi_hot(items_BxL, mask_BxL, num_items)
    together_BxV = jnp.zeros_like(shown_BxV)
    if 'together' in params:
      counts_BxV = program_lib.sum_rows(params['together'], items_BxL, mask_BxL)
      together_BxV = jnp.log1p(jnp.maximum(counts_BxV, 0))
    added_BxV = corrections(
      _network(config), params['generators'], shown_BxV, together_BxV
    )
    base_BxV = base.score(params['base'], items_BxL, mask_BxL)
    return base_BxV + params['added'][None] + added_BxV

  return Program(params, score_histories, platforms=base.platforms)


@functools.partial(jax.jit, static_argnames='config')
def corrections(
  config: UserConfig,
  generators: Generators,
  shown_BxV: Float[Array, 'B V'],
  together_BxV: Float[Array, 'B V'],
) -> Float[Array, 'B V']:
  """The mean of the generated corrections, as scores to add to EASE's.

  Args:
    config: hyperparameters.
    generators: the trained generators.
    shown_BxV: histories.
    together_BxV: see `simulated_users.Batch`.
  """
  added = []
  for params in generators.members:
    c = coefficients(config, params, shown_BxV, generators.strangers)
    added.append(_correct(params.factors, shown_BxV, together_BxV, c))
  part_B = caution.part_of(generators.kept, shown_BxV.sum(axis=1))
  return part_B[:, None] * sum(added) / len(added)


_correct = jax.vmap(user_correction.correction, in_axes=(None, 0, 0, 0))
_correct_others = jax.vmap(
  user_correction.correction_of_others, in_axes=(None, 0, 0, 0)
)


def _train(
  config: UserConfig,
  x: Csr,
  users: Int[np.ndarray, ' U'],
  simulate: Simulate,
  strangers: np.ndarray,
  *,
  key: jax.Array,
  run: loop.Run,
) -> tuple[Params, float]:
  """Returns the generator best on held-out users, and the operations."""
  draw_key, init_key, noise_key = jax.random.split(key, 3)
  seed = _seed(draw_key)
  heldout, trained = _divide(config, users, draw_key)
  judged = simulate(heldout, seed), strangers
  x = x[trained]
  size = min(config.batch_size, x.shape[0])

  def batch_at(step):
    rows = loop.batch_rows(step, size, len(trained), seed)
    return simulate(trained[rows], (seed, step)), strangers

  params = init(config, x, init_key)
  step_fn, tx, mean_loss = train_step(_network(config))
  state = step_lib.init_state(params, tx, noise_key)
  every = config.evaluate_every
  result = loop.train(
    step_fn,
    state,
    batch_at,
    config.steps,
    dataclasses.replace(
      run,
      evaluate=lambda found: {'likelihood': -mean_loss(found, judged)},
      best_metric='likelihood',
      evaluate_every=every,
    ),
  )
  if result.best.step > 0:
    params = result.best.params
  draws = config.steps * size + len(heldout)
  operations = simulated_users.simulate_flops(x, draws)
  operations += config.steps * counts.program(step_fn, state, batch_at(0))
  looks = -(-config.steps // every)
  operations += looks * counts.program(mean_loss, params, judged)
  return jax.device_get(params), operations


@functools.lru_cache(maxsize=16)
def train_step(config: UserConfig):
  """The step, its optimizer, and the loss without dropout; cached."""
  warmup = max(1, config.steps // 10)
  lr = optax.schedules.linear_schedule(0.0, config.lr, warmup)
  tx = optax.chain(
    optax.clip_by_global_norm(config.max_norm),
    optax.adamw(lr, weight_decay=config.weight_decay),
  )

  def loss_fn(params, batch, key, step):
    del step
    return _loss(config, params, batch, key), {}

  mean_loss = jax.jit(functools.partial(_loss, config))
  return step_lib.make_train_step(loss_fn, tx), tx, mean_loss


def _loss(
  config: UserConfig, params: Params, batch, key: jax.Array | None = None
):
  """Multinomial loss per target item; every user has the same weight.

  Args:
    config: hyperparameters.
    params: trained parameters.
    batch: simulated users, and strangers.
    key: key for dropout; None means no dropout.
  """
  users, strangers_SxV = batch
  c = coefficients(config, params, users.shown, strangers_SxV)
  factors = params.factors
  if key is not None:
    item_key, factor_key = jax.random.split(key)
    keep = functools.partial(_keep, config.dropout)
    items_Vx1 = keep(item_key, (len(factors.left), 1))
    factors = factors._replace(left=factors.left * items_Vx1)
    c = c._replace(factors=c.factors * keep(factor_key, c.factors.shape))
  added_BxV = _correct_others(factors, users.shown, users.together, c)
  scores_BxV = users.base + added_BxV
  logits_BxV = scores_BxV * c.temperature[:, None]
  nll_B = variational_autoencoder.multinomial_nll(
    jnp.where(users.shown > 0, _NEVER, logits_BxV), users.asked
  )
  return (nll_B / jnp.maximum(users.asked.sum(axis=1), 1.0)).mean()


def _keep(rate: float, key: jax.Array, shape: tuple[int, ...]):
  """Random factors for inverted dropout."""
  return jax.random.bernoulli(key, 1 - rate, shape) / (1 - rate)


def _generator(config: UserConfig, factors: user_correction.Factors):
  return user_correction.Generator(
    rank=factors.left.shape[1],
    z_dim=config.z_dim,
    hidden_dim=config.hidden_dim,
  )


def _strangers(config: UserConfig, x: Csr, key: jax.Array) -> np.ndarray:
  """Other users' histories for the control 'shuffled'; otherwise no rows."""
  if config.conditioning != 'shuffled':
    return np.zeros((0, x.shape[1]), bool)
  random = np.random.default_rng((_seed(key), 1))
  rows = random.choice(x.shape[0], min(_STRANGERS, x.shape[0]), replace=False)
  return simulated_users.shown_part(x[rows], random).toarray() > 0

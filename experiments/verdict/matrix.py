"""The matrix of the verdict: who is compared, on which data, with what flags.

A method or a data set stands here before its first run. Every method of a
regime runs on every data set of that regime, with every budget and seed, so
there are no holes in it: what cannot be run in reasonable time is left out for
all, and named in `LEFT_OUT`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from experiments import arm_names
from hyperrec import regimes

SEEDS = 5
# A data set counts from this many seeds on.
FEWEST_SEEDS = 3
# Seeds of the methods that only the experiment of their regime shows.
FURTHER_SEEDS = 3
# Hyperparameter settings that each tuned method tries, of its own grid.
TRIALS = 5
_SHARED = (
  '--min_user_interactions=5',
  '--min_item_interactions=5',
  '--text_encoder=both',
  f'--trials={TRIALS}',
  '--validate',
  '--repeats=1',
  '--max_seconds=0.2',
)


class Set(NamedTuple):
  """A data set.

  Attributes:
    role: whether methods were developed on it. Nothing was developed on the
      untouched ones, but for what `note` says.
    num_heldout: number of users of validation and of a test.
    flags: further flags that read it.
    note: what a reader should know.
  """

  role: Literal['development', 'untouched']
  num_heldout: int = 200
  flags: tuple[str, ...] = ()
  note: str = ''


_SEEN_ONCE = 'closed forms were seen on its new items once, before this matrix'
SETS = {
  'movielens_small': Set(
    'development', 100, ('--min_rating=4',), 'ratings of 4 and more'
  ),
  'lastfm': Set('development'),
  'online_retail': Set('development'),
  'office': Set('development'),
  'msweb': Set(
    'development', note='285 items; its new users were added with steam'
  ),
  'steam': Set(
    'development', note='added when rows of the others had been seen'
  ),
  'restaurants': Set('untouched', note=_SEEN_ONCE),
  'scientific': Set(
    'untouched', note='with Scientific.item2index, see experiments/vqrec'
  ),
  'recipes': Set('untouched', note=_SEEN_ONCE),
}


class Part(NamedTuple):
  """One regime of the matrix.

  Attributes:
    budgets: amounts of evidence.
    methods: those that are compared.
    sets: keys of `SETS`.
    num_heldout: number of held-out users where half of those who can be judged
      is the limit anyway; None takes that of the data set.
    flags: further flags.
    further: methods with fewer seeds, which the experiment of the regime shows
      and from which the verdict does not choose. An oracle arm is tuned on
      validation users of the target.
  """

  budgets: tuple[int, ...]
  methods: tuple[str, ...]
  sets: tuple[str, ...]
  num_heldout: int | None = None
  flags: tuple[str, ...] = ()
  further: tuple[str, ...] = ()


# Trained generators are in it with a control that is told nothing of what it
# generates for, and closed forms with an ablation.
PARTS = {
  'new_items': Part(
    budgets=(0, 1, 5, 20),
    methods=(
      'content_knn', 'ease:retrain', 'cease', 'l3ae', 'l3ae:kernel', 'marec',
      'ials_features', 'ials_features:retrain', 'alpharec', 'two_tower',
      'dropoutnet', 'vqrec_lookup', 'p5', 'hyperease_item',
      'hyperease_item:no_weights', 'hyperease_item_trained',
      'hyperease_item_trained:constant',
    ),
    sets=(
      'msweb', 'restaurants', 'office', 'movielens_small', 'recipes', 'lastfm',
      'online_retail', 'scientific', 'steam',
    ),
    num_heldout=300,
    further=(
      'random', 'popularity', 'ease', 'p5:long', 'l3ae:kernel:no_popularity',
      'hyperease_item:no_update', 'hyperease_item:local',
      'hyperease_item_trained:shuffled',
    ),
  ),
  'new_users': Part(
    budgets=(1, 5, 20),
    methods=(
      'popularity', 'ease', 'ease:unconstrained', 'ease:popularity',
      'ease_dynamic', 'ease:retrain', 'cease', 'cease:popularity',
      'cease:retrain', 'cease:vae', 'l3ae:kernel', 'l3ae:kernel:retrain',
      'ials', 'mult_vae', 'mult_vae_finetune', 'mult_vae:retrain', 'sasrec',
      'pref', 'p5:long', 'hyperease_user', 'hyperease_user:text',
      'hyperease_user:kernel', 'hyperease_user:vae', 'hyperease_user:text:size',
      'hyperease_user:text:constant',
    ),
    sets=(
      'restaurants', 'office', 'movielens_small', 'lastfm', 'msweb', 'steam',
      'online_retail', 'scientific',
    ),
    further=('p5', 'hyperease_user:text:shuffled'),
  ),
  'new_catalogue': Part(
    budgets=(0, 20, 200),
    methods=(
      'popularity', 'ease', 'ease:unconstrained', 'cease', 'l3ae',
      'l3ae:kernel', 'marec', 'mult_vae', 'vqrec_finetune', 'p5', 'hyperease',
      'hyperease:unconstrained',
    ),
    sets=(
      'restaurants', 'office', 'movielens_small', 'lastfm', 'steam',
      'online_retail', 'scientific',
    ),
    flags=('--evidence_folds=3',),
    further=('p5:long', 'l3ae:kernel:no_popularity', 'l3ae:kernel:oracle'),
  ),
  'drift': Part(
    budgets=(1, 3),
    methods=(
      'popularity', 'ease', 'ease:unconstrained', 'ease:retrain',
      'ease_dynamic', 'l3ae:retrain', 'l3ae:kernel', 'mult_vae_finetune',
      'mult_vae:retrain', 'sasrec', 'p5:long', 'hyperease', 'hyperease_user',
    ),
    sets=('movielens_small', 'online_retail'),
    num_heldout=300,
  ),
  'new_domain': Part(
    budgets=(0, 20, 200),
    methods=(
      'popularity', 'ease', 'ease:unconstrained', 'cease', 'l3ae',
      'l3ae:kernel', 'marec', 'vqrec_lookup', 'p5:long',
      'hyperease', 'hyperease:unconstrained',
    ),
    sets=('office', 'restaurants', 'movielens_small', 'steam', 'scientific'),
    flags=('--evidence_folds=3',),
    further=('l3ae:kernel:oracle',),
  ),
}  # fmt: skip
# Regimes, a method, the same without a part, and what the part is.
PAIRS = (
  (('new_items',), 'hyperease_item_trained', 'hyperease_item',
   'training, beside a closed form'),
  (('new_items',), 'hyperease_item_trained', 'hyperease_item_trained:constant',
   'what the network is told of an item'),
  (('new_items',), 'hyperease_item', 'hyperease_item:no_weights',
   'the weights of the old catalogue'),
  (('new_users',), 'hyperease_user:text', 'cease:popularity',
   'the correction of a user'),
  (('new_users',), 'hyperease_user:text', 'hyperease_user:text:size',
   'what the network is told beside the length of a history'),
  (('new_users',), 'hyperease_user:text', 'hyperease_user:text:constant',
   'what the network is told of a user'),
  (('new_users',), 'hyperease_user:vae', 'cease:vae',
   'the correction of a user, in a blend with Mult-VAE'),
  (('new_catalogue', 'new_domain'), 'hyperease', 'l3ae:kernel',
   'what the source teaches'),
  (('new_users', 'new_catalogue', 'new_domain'), 'ease', 'ease:unconstrained',
   'the zero diagonal of EASE'),
  (('drift',), 'ease:retrain', 'ease:unconstrained',
   'the zero diagonal of EASE, with time'),
  (('new_catalogue', 'new_domain'), 'hyperease', 'hyperease:unconstrained',
   'the zero diagonal of HyperEASE'),
)  # fmt: skip
# Domains that the regime new_domain learns from, without its target.
_SOURCES = ('lastfm', 'online_retail', 'office', 'movielens_small')

LEFT_OUT = (
  'SASRec is no rival where items are new, since its items are numbers; '
  'VQ-Rec and PReF have no form for some regimes (see the catalogue).',
  'SASRec is neither trained again nor fine-tuned with what new users show, '
  'which would take the longest of all. Mult-VAE stands for networks there.',
  'AlphaRec, DropoutNet, VQ-Rec, P5 and the two-tower model are not retrained '
  'where items arrive. The first two read the text and the known interactions '
  'of a new item; the other three read its text alone.',
  'GF-CF, ChebyCF, Turbo-CF, DAN and SLIM read no text. The first four stand '
  'beside EASE on a public split (experiments/graph).',
  'The generator of catalogues has an experiment of its own '
  '(experiments/catalogues).',
  'Beauty, Sports, Toys, games, anime and citeulike_a have 7,000 items and '
  'more, where all methods would take days of two cores. Some of them are in '
  'experiments/catalogues, and citeulike_a has its public cold split '
  '(experiments/new_items).',
  'Drift needs times that can be compared between users, which only '
  'movielens_small and online_retail have.',
)


def asked(names: Sequence[str]) -> list[tuple[str, str]]:
  """Pairs of regime and data set of names such as "drift:online_retail".

  Without names, they are those of the whole matrix.

  Raises:
    ValueError: a name is not in the matrix.
  """
  every = [(r, name) for r, part in PARTS.items() for name in part.sets]
  if not names:
    return every
  known = {f'{regime}:{data}': (regime, data) for regime, data in every}
  for name in names:
    if name not in known:
      raise ValueError(f'--only={name} is unknown; use {list(known)}')
  return [known[name] for name in names]


def runs(
  regime: str, methods: Sequence[str] = (), seeds: int = SEEDS
) -> list[tuple[list[str], int]]:
  """Methods of a regime that run together, with their number of seeds.

  Oracle arms have a run of their own.

  Args:
    regime: a key of `PARTS`.
    methods: some of its methods; by default all.
    seeds: the most seeds.

  Raises:
    ValueError: none of the methods is in the regime.
  """
  part = PARTS[regime]
  oracles = [name for name in part.further if arm_names.is_oracle(name)]
  others = [name for name in part.further if name not in oracles]
  found = [
    ([name for name in names if not methods or name in methods], most)
    for names, most in (
      (part.methods, SEEDS),
      (others, FURTHER_SEEDS),
      (oracles, FURTHER_SEEDS),
    )
  ]
  found = [(names, min(most, seeds)) for names, most in found if names]
  if not found:
    raise ValueError(
      f'--methods={",".join(methods)}: none of them is in {regime}; use '
      f'{[*part.methods, *part.further]}'
    )
  return found


def flags_of(regime: str, data: str, methods: Sequence[str]) -> list[str]:
  """The flags of `experiments.adaptation.run` for a regime on a data set.

  Args:
    regime: a key of `PARTS`.
    data: one of its data sets.
    methods: names of its methods; either all of them are oracle arms, or none.
  """
  part, about = PARTS[regime], SETS[data]
  heldout = part.num_heldout or about.num_heldout
  found = [
    f'--source={data}',
    f'--regimes={regime}',
    f'--methods={",".join(arm_names.plain(m) for m in methods)}',
    '--oracle' if arm_names.is_oracle(methods[0]) else '--nooracle',
    f'--{regimes.find(regime).flag}={",".join(map(str, part.budgets))}',
    f'--num_heldout={heldout}',
    *_SHARED,
    *about.flags,
    *part.flags,
  ]
  if regime == 'new_domain':
    found.append(f'--domains={",".join(s for s in _SOURCES if s != data)}')
  return found

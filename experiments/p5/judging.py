"""Evaluates P5 and its baselines on the held-out rows of each prompt family."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hyperrec.data import interactions, splits
from hyperrec.evaluation import ranking, text_metrics
from hyperrec.systems.p5 import decoding, item_ids, p5, prompt_tasks, prompts
from hyperrec.systems.p5 import tokenizer as tokenizer_lib

METRICS = ('hr@5', 'ndcg@5', 'hr@10', 'ndcg@10')
# Fields of templates that are not evaluated: yes-or-no questions, and choices
# from a list of candidates.
_NOT_JUDGED = frozenset(['liked', 'taken', 'candidates'])
_BATCH_SIZE = 64
# Number of training answers among which the most common one is searched for.
_MANY = 2000


class Judged(NamedTuple):
  """The model to evaluate, and the data that fill its prompts.

  Attributes:
    config: hyperparameters.
    state: parameters, tokenizer and item names.
    tasks: training rows.
  """

  config: p5.P5Config
  state: p5.P5State
  tasks: prompt_tasks.Tasks

  @property
  def writer(self) -> prompts.Writer:
    """Writer that fills in templates."""
    return self.config.writer(self.state.tokenizer)


class Asked(NamedTuple):
  """One template, filled in for each of N held-out rows.

  Attributes:
    sources: tokens of the N prompts.
    answers: tokens of the N right answers.
    users: int [N], the user of each row.
  """

  sources: list[prompts.Tokens]
  answers: list[prompts.Tokens]
  users: np.ndarray


def ask(
  judged: Judged, template: prompts.Template, held: splits.HeldOut, seed: int
) -> Asked:
  """Fills in a template for each held-out row.

  Args:
    judged: the model, and the data that fill its prompts.
    template: the template.
    held: histories, which the prompts show, and the rows to be found.
    seed: seed of the template's random fields.
  """
  shown = held.histories.by_user_and_time()
  ends = np.cumsum(shown.user_counts())
  starts = ends - shown.user_counts()
  random = np.random.default_rng(seed)
  asked = Asked([], [], held.targets.users)
  for row, user in enumerate(held.targets.users):
    history = shown.items[starts[user] : ends[user]].tolist()
    values = judged.tasks.values(row, history, random, data=held.targets)
    asked.sources.append(judged.writer.source(template, values))
    asked.answers.append(judged.writer.target(template, values))
  return asked


def judge(
  judged: Judged,
  template: prompts.Template,
  held: splits.HeldOut,
  *,
  seed: int = 0,
  metrics: tuple[str, ...] = METRICS,
) -> dict[str, float] | None:
  """Evaluates the answers to one template.

  Ratings are evaluated by the RMSE and MAE of the written number, items by a
  full ranking without the seen items, and texts by the BLEU and ROUGE of the
  written text.

  Args:
    judged: the model, and the data that fill its prompts.
    template: the template.
    held: histories, and the rows to be found.
    seed: seed of the template's random fields.
    metrics: metrics of the ranking.

  Returns:
    Maps each metric to its value; None for templates that are not evaluated.
  """
  if template.fields & _NOT_JUDGED:
    return None
  asked = ask(judged, template, held, seed)
  if template.target == '{item}':
    return rank(judged, asked, held, metrics)
  written = write(judged, asked.sources)
  if template.target == '{rating}':
    mean = float(judged.tasks.data.ratings.mean())
    errors = text_metrics.rating_errors(
      written, held.targets.ratings, default=mean
    )
    return errors._asdict()
  decode = judged.state.tokenizer.decode
  return text_metrics.text_overlap(written, list(map(decode, asked.answers)))


def rank(
  judged: Judged,
  asked: Asked,
  held: splits.HeldOut,
  metrics: tuple[str, ...] = METRICS,
) -> dict[str, float]:
  """Evaluates the full ranking of items by the probabilities of their names.

  Args:
    judged: the model, and the data that fill its prompts.
    asked: prompts of the held-out rows, one for each user.
    held: histories, and the rows to be found.
    metrics: names of the metrics.
  """
  row_of = np.zeros(held.targets.num_users, np.int64)
  row_of[asked.users] = np.arange(len(asked.users))

  def score(users):
    sources = [asked.sources[row_of[user]] for user in users]
    return p5.score_sources(judged.config, judged.state, judged.writer, sources)

  return ranked(score, held, metrics)


def ranked(score, held: splits.HeldOut, metrics=METRICS) -> dict[str, float]:
  """Evaluates the full ranking of a score function, without the seen items.

  Args:
    score: maps users [B] to scores [B, V].
    held: histories, and the rows to be found.
    metrics: names of the metrics.
  """
  found = ranking.evaluate(
    score, held.histories.csr(), held.targets.csr(), metrics=metrics
  )
  return {name: found.mean(name) for name in metrics}


def write(judged: Judged, sources: Sequence[prompts.Tokens]) -> list[str]:
  """Writes the model's answer to each prompt, by greedy decoding."""
  tokenizer = judged.state.tokenizer
  texts = []
  for first in range(0, len(sources), _BATCH_SIZE):
    part = list(sources[first : first + _BATCH_SIZE])
    padded = [*part, *[part[0]] * (_BATCH_SIZE - len(part))]
    tokens = decoding.greedy(
      judged.state.params,
      judged.writer.batch(padded).source,
      config=judged.config.t5(tokenizer.vocab_size),
      length=judged.config.target_length,
      end=tokenizer_lib.EOS,
    )
    texts += map(tokenizer.decode, np.asarray(tokens)[: len(part)])
  return texts


def common_answer(
  judged: Judged, template: prompts.Template, held: splits.HeldOut
) -> dict[str, float] | None:
  """Evaluates a baseline that always answers the most common training text.

  Returns:
    Maps each metric of text overlap to its value; None for templates that do
    not ask for a text.
  """
  is_judged = not template.fields & _NOT_JUDGED
  if not is_judged or template.target in ('{item}', '{rating}'):
    return None
  drawn = prompt_tasks.draw_prompts(
    judged.tasks,
    judged.writer,
    [template._replace(seen=True)],
    _MANY,
    np.random.default_rng(0),
  )
  counts = collections.Counter(tuple(answer) for _, answer in drawn)
  decode = judged.state.tokenizer.decode
  common = decode(counts.most_common(1)[0][0])
  answers = list(map(decode, ask(judged, template, held, 0).answers))
  return text_metrics.text_overlap([common] * len(answers), answers)


def mean_rating(
  train: interactions.Interactions, held: splits.HeldOut
) -> dict[str, float] | None:
  """Evaluates a baseline that always answers the mean training rating.

  Returns:
    RMSE and MAE; None without ratings.
  """
  if train.ratings is None:
    return None
  errors = text_metrics.constant_errors(
    held.targets.ratings, float(train.ratings.mean())
  )
  return errors._asdict()


def popularity(
  train: interactions.Interactions, held: splits.HeldOut
) -> dict[str, float]:
  """Evaluates a baseline that ranks items by their number of training rows."""
  counts = train.item_counts().astype(np.float32)
  return ranked(lambda users: np.tile(counts, (len(users), 1)), held)


def number_rule(
  numbers: np.ndarray, held: splits.HeldOut, histories
) -> dict[str, float]:
  """Evaluates the rule that ranks items by their numbers alone.

  The rule is `item_ids.next_number_scores`. It learns nothing, so its metrics
  show how much the item numbers leak.

  Args:
    numbers: [V] numbers of the items.
    held: histories, and the rows to be found.
    histories: maps users [B] to their `Histories`.
  """

  def score(users):
    shown = histories(users)
    return item_ids.next_number_scores(numbers, shown.items, shown.mask)

  return ranked(score, held)

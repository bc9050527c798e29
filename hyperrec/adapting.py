"""Policies: how a model is adapted. A model under a policy is a method.

    frozen      fitted once; its parameters serve as they are
    retrained   fitted anew on all data at hand
    finetuned   fitted once; training continues on the evidence
    updated     fitted once; an exact update takes the evidence in
    generated   learned once to generate; a pass generates the parameters

A catalogue may be known, may have grown (it has all items that are known, and
new ones), or may be another one. This module alone asks which of these it is,
whether there is evidence, and whether the source is one domain or several; so
all models refuse alike.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hyperrec import method as method_lib
from hyperrec.data import interactions as interactions_lib
from hyperrec.data import joining

CannotServe = method_lib.CannotServe
Interactions = interactions_lib.Interactions
Method = method_lib.Method
Model = method_lib.Model
Outcome = method_lib.Outcome
Source = method_lib.Source
# Of a known catalogue: (source, evidence) -> the data that an adaptation uses.
Data = Callable[[Interactions, Interactions], Interactions]


class Shared(NamedTuple):
  """What a policy keeps of the source.

  Attributes:
    state: the model's; None where nothing was fitted.
    source: the data of the source, or a tuple of domains. Of a tuple, even of a
      single domain, only the domain of the evidence's name can be its own.
  """

  state: Any
  source: Source


def evidence_alone(
  source: Interactions, evidence: Interactions
) -> Interactions:
  """The evidence."""
  del source
  return evidence


# The rows of the source and of the evidence.
everything = joining.join_users
# The users who have evidence, with all of their rows.
changed_users = joining.grown_users


def evidence_users(
  source: Interactions, evidence: Interactions
) -> Interactions:
  """All users of the evidence in its order, with all of their rows."""
  both = joining.join_users(source, evidence)
  number = {name: i for i, name in enumerate(both.user_ids.tolist())}
  users = [number[name] for name in evidence.user_ids.tolist()]
  return both.take_users(np.array(users, np.int64))


def frozen(model: Model) -> Method:
  """Fitted once; an adaptation trains nothing.

  The state serves its own catalogue. It serves another one where the model can
  look it up (`Model.look_up`). Otherwise it refuses, or serves a grown
  catalogue by its old items alone.
  """

  def adapt(shared, evidence, key):
    del key
    source = _own(shared.source, evidence)
    if source is not None:
      _check_history(model, source, evidence)
      return Outcome(shared.state)
    grown = _grown(shared.source, evidence)
    if grown is not None:
      if model.look_up is None:
        return Outcome(method_lib.Part(shared.state, grown.known))
      data = everything(grown.source, evidence)
      return model.look_up(shared.state, data)
    if model.look_up is None:
      raise _unknown(model, 'retrain or fine-tune it')
    _check_interactions(model, evidence)
    return model.look_up(shared.state, evidence)

  return _method(model, 'frozen', adapt)


def retrained(model: Model) -> Method:
  """Nothing is learned before; an adaptation fits all data at hand.

  These are source and evidence where the catalogue is known or has grown, and
  the evidence on another catalogue.
  """

  def prepare(source, key):
    del key
    return Outcome(Shared(None, source))

  def adapt(shared, evidence, key):
    source = _known(shared.source, evidence)
    if source is None:
      data = _on_other_catalogue(shared.source, evidence, everything)
      _check_interactions(model, data)
      _check_arrived(model, data, evidence)
      return model.fit(data, key)
    _check_history(model, source, evidence)
    return model.fit(everything(source, evidence), key)

  return Method(f'{model.name}, retrained', model, prepare, adapt)


def finetuned(model: Model, on: Data = evidence_alone) -> Method:
  """Fitted once; training continues.

  On another catalogue it continues from what the state carries over
  (`Model.carry`); models that carry nothing refuse.

  Args:
    model: what is adapted.
    on: what it is trained on where the catalogue is known or has grown.
  """

  def adapt(shared, evidence, key):
    source = _own(shared.source, evidence)
    if source is None:
      if model.carry is None:
        raise _unknown(model, 'retrain it')
      data = _on_other_catalogue(shared.source, evidence, on)
      _check_interactions(model, data)
      _check_arrived(model, data, evidence)
      start = model.carry(shared.state, data, key)
      fitted = model.fit(data, key, start.state)
      return Outcome(fitted.state, start.cost + fitted.cost)
    _check_history(model, source, evidence)
    if len(evidence) == 0:
      return Outcome(shared.state)
    return model.fit(on(source, evidence), key, shared.state)

  return _method(model, 'fine-tuned', adapt)


def updated(model: Model) -> Method:
  """Fitted once; the evidence is taken in by an exact update.

  A catalogue that has grown is served where the model can take new items in
  (`Model.grow`).
  """

  def adapt(shared, evidence, key):
    del key
    source = _known(shared.source, evidence)
    if source is None:
      grown = _grown(shared.source, evidence)
      if grown is not None and model.grow is not None:
        data = everything(grown.source, evidence)
        return model.grow(shared.state, data, grown.known)
      raise _unknown(model, 'there is nothing to update: retrain it')
    _check_history(model, source, evidence)
    return model.update(shared.state, source, evidence)

  return _method(model, 'updated', adapt)


def generated(model: Model, on: Data = evidence_alone) -> Method:
  """Learned once to generate; an adaptation generates parameters.

  Args:
    model: a generator.
    on: what parameters are generated from where the catalogue is known, or
      has grown and the model generates whole catalogues.
  """

  def adapt(shared, evidence, key):
    source = _known(shared.source, evidence)
    if source is not None:
      _check_history(model, source, evidence)
      if model.generate is None:  # it generates new items, and there are none
        return Outcome(shared.state)
      return model.generate(shared.state, on(source, evidence), key)
    grown = _grown(shared.source, evidence)
    if grown is not None and model.grow is not None:
      data = everything(grown.source, evidence)
      return model.grow(shared.state, data, grown.known)
    if not model.generates_catalogues:
      raise _unknown(model, 'train its generator there')
    data = _on_other_catalogue(shared.source, evidence, on)
    _check_interactions(model, data)
    return model.generate(shared.state, data, key)

  return _method(model, 'generated', adapt)


def _method(model: Model, policy: str, adapt: Callable) -> Method:
  def prepare(source, key):
    if not isinstance(source, Interactions) and not model.takes_domains:
      if len(source) > 1:
        raise CannotServe(
          f'{model.name} has one catalogue; the source is {len(source)} domains'
        )
      (source,) = source
    fitted = model.fit(source, key)
    return Outcome(Shared(fitted.state, source), fitted.cost)

  return Method(f'{model.name}, {policy}', model, prepare, adapt)


def _known(source: Source, evidence: Interactions) -> Interactions | None:
  """The source data of the evidence's own catalogue, if there are such.

  Item ids are mere numbers in many data sets, so of several domains only the
  one of the same name can have the same catalogue.
  """
  if isinstance(source, Interactions):
    domains = (source,)
  else:
    domains = tuple(d for d in source if d.name == evidence.name)
  for domain in domains:
    if np.array_equal(domain.item_ids, evidence.item_ids):
      return domain
  return None


def _own(source: Source, evidence: Interactions) -> Interactions | None:
  """The source data, where a state fitted on them serves the evidence as it is.

  A state that was fitted on several domains serves none of their catalogues
  before it is adapted to it.
  """
  if not isinstance(source, Interactions) and len(source) > 1:
    return None
  return _known(source, evidence)


class _Grown(NamedTuple):
  """A source whose catalogue has grown.

  Attributes:
    source: its rows over the grown catalogue.
    known: int [V_known], its items there, in its own order.
  """

  source: Interactions
  known: np.ndarray


def _grown(source: Source, evidence: Interactions) -> _Grown | None:
  """The source, where the evidence's catalogue has all of its items and more.

  Item ids are mere numbers in many data sets, so that only a source of the
  same name can have grown.
  """
  if not isinstance(source, Interactions):
    if len(source) > 1:
      return None
    (source,) = source
  if source.name != evidence.name:
    return None
  if source.num_items >= evidence.num_items:
    return None
  moved = joining.over_catalogue(source, evidence)
  if moved is None:
    return None
  place = {name: i for i, name in enumerate(evidence.item_ids.tolist())}
  known = np.array([place[name] for name in source.item_ids.tolist()])
  return _Grown(moved, known)


def _on_other_catalogue(
  source: Source, evidence: Interactions, on: Data
) -> Interactions:
  """The data to use on a catalogue that is not the source's own.

  Where the source's catalogue has grown its rows count, too.
  """
  grown = _grown(source, evidence)
  return evidence if grown is None else on(grown.source, evidence)


def _check_history(
  model: Model, source: Interactions, evidence: Interactions
) -> None:
  """Refuses users who have shown nothing, neither before nor now."""
  if not model.needs_history or len(evidence):
    return
  known = source.user_ids[np.unique(source.users)].tolist()
  if set(known).isdisjoint(evidence.user_ids.tolist()):
    raise CannotServe(f'{model.name} cannot score users with empty histories')


def _check_interactions(model: Model, evidence: Interactions) -> None:
  if model.needs_interactions and len(evidence) == 0:
    raise CannotServe(
      f'{model.name} has no weights for a catalogue without interactions'
    )


def _check_arrived(
  model: Model, data: Interactions, evidence: Interactions
) -> None:
  """Refuses new items of which the model can know nothing."""
  knows_nothing = model.needs_interactions and not model.scores_new_items
  if knows_nothing and data is not evidence and len(evidence) == 0:
    raise CannotServe(
      f'{model.name} has no weights for new items without interactions'
    )


def _unknown(model: Model, remedy: str) -> CannotServe:
  return CannotServe(
    f'{model.name} knows only the items that it was fitted on, and this '
    f'catalogue is another one: {remedy}'
  )

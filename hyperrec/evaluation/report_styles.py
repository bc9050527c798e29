"""One fixed colour and marker for each method, in all figures."""

from hyperrec.evaluation import report_arms as arms

# Okabe & Ito's palette: a colour is a kind of method, a marker a member.
_GREY, _BLUE, _SKY, _GREEN = '#8a8a8a', '#2a7fc0', '#56b4e9', '#009e73'
_PINK, _BROWN, _ORANGE, _RED = '#cc79a7', '#a07a4f', '#e69f00', '#d55e00'
STYLES = {
  'popularity': (_GREY, 's'),
  'itemknn': (_GREY, 'v'),
  'ease': (_BLUE, 'o'),
  'ease_dynamic': (_BLUE, 'D'),
  'slim': (_BLUE, '^'),
  'esler': (_SKY, 'o'),
  'elsa': (_SKY, 's'),
  'l3ae': (_GREEN, 'o'),
  'cease': (_GREEN, '^'),
  'ridge_map': (_GREEN, 's'),
  'mult_vae': (_PINK, 'o'),
  'mult_vae_finetune': (_PINK, 'D'),
  'sasrec': (_BROWN, 'o'),
  'sasrec_finetune': (_BROWN, 'D'),
  'vqrec_lookup': (_ORANGE, 'o'),
  'vqrec_finetune': (_ORANGE, 'D'),
  'pref': (_ORANGE, '^'),
  'p5': (_ORANGE, 's'),
  'hyperease': (_RED, '*'),
  'hyperease_zero': (_RED, 'v'),
  'hyperease_user': (_RED, '^'),
  'generated_head': (_RED, 's'),
}
_OTHERS = ('#7d6bd0', '#8aa02c', '#b0506a', '#3d8f86')


def style(method: str) -> tuple[str, str]:
  """Colour and marker of a method; full retraining is a plus of its colour."""
  family = arms.family(method)
  other = _OTHERS[sum(map(ord, family)) % len(_OTHERS)], 'h'
  colour, marker = STYLES.get(family, other)
  return colour, 'P' if 'retrain' in arms.suffixes(method) else marker

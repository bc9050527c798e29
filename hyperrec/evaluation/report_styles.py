"""How figures look: one colour and marker for each method in all of them."""

import matplotlib.figure
import matplotlib.lines
import matplotlib.transforms

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
# Written into the figure for "the colour of the text around it".
INK = '#010203'
SMALL = 8


def style(method: str) -> tuple[str, str]:
  """Colour and marker of a method; full retraining is a plus of its colour."""
  family = arms.family(method)
  other = _OTHERS[sum(map(ord, family)) % len(_OTHERS)], 'h'
  colour, marker = STYLES.get(family, other)
  return colour, 'P' if 'retrain' in arms.suffixes(method) else marker


def axes(
  figure: matplotlib.figure.Figure, place: tuple[float, float, float, float]
):
  """Axes in the style of the report, at (left, bottom, width, height)."""
  made = figure.add_axes(place)
  made.patch.set_alpha(0)
  made.grid(visible=True, color=INK, alpha=0.12, lw=0.6)
  made.set_axisbelow(True)
  for side, spine in made.spines.items():
    spine.set_visible(side in ('left', 'bottom'))
    spine.set_color(INK)
    spine.set_alpha(0.4)
  made.tick_params(which='both', color=INK, labelcolor=INK, labelsize=8)
  for label in (made.xaxis.label, made.yaxis.label):
    label.set_color(INK)
    label.set_size(8.5)
  return made


def page_line(axes, x, y, **look) -> None:
  """A line in points of the page, wherever the axes end."""
  axes.add_artist(
    matplotlib.lines.Line2D(x, y, transform=_page(axes), clip_on=False, **look)
  )


def page_text(axes, x: float, y: float, text: str, **look) -> None:
  """A small text at points of the page."""
  axes.text(
    x, y, text, transform=_page(axes), size=SMALL, color=INK, va='center',
    parse_math=False, **look,
  )  # fmt: skip


def _page(axes) -> matplotlib.transforms.Transform:
  """From points, which are pixels at 72 dpi, to whatever is drawn on."""
  to_inches = matplotlib.transforms.Affine2D().scale(1 / 72)
  return to_inches + axes.figure.dpi_scale_trans

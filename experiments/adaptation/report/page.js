// Shows the chosen sections, and describes points of figures. Without this
// script the page shows all sections, and points have plain titles.
const fields = [...document.querySelectorAll('.chooser select')];

// '#regime=drift&dataset=steam' is a choice; other fragments are anchors.
const read = () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (place || fields.some((f) => asked.has(f.dataset.field))) {
    for (const f of fields) {
      f.value = place ? '' : asked.get(f.dataset.field) ?? '';
      if (f.selectedIndex < 0) f.value = '';
    }
  }
  choose();
  if (place) place.scrollIntoView();
};

const choose = () => {
  const fits = (part) => fields.every(
    (f) => !f.value || part.dataset[f.dataset.field] === f.value);
  for (const part of document.querySelectorAll('[data-regime]')) {
    part.hidden = !fits(part);
  }
  const shown = document.querySelectorAll('section:not([hidden])').length;
  for (const told of document.querySelectorAll('.chooser output')) {
    told.value = shown ? `${shown} shown` : 'no results for this choice';
  }
};

const keep = () => {
  const asked = new URLSearchParams(
    fields.filter((f) => f.value).map((f) => [f.dataset.field, f.value]));
  history.replaceState(null, '', `#${asked}`);
  choose();
};

if (fields.length) {
  fields.forEach((f) => f.addEventListener('change', keep));
  addEventListener('hashchange', read);
  document.querySelector('.chooser').hidden = false;
  read();
}

// The pointer selects the nearest point, Tab the first point of a figure, and
// the arrow keys the next ones. The description is set as text, not as HTML, so
// that names in the data cannot inject code.
const tip = document.createElement('div');
tip.className = 'tip';
tip.setAttribute('role', 'tooltip');
tip.hidden = true;
document.body.append(tip);

const middle = (point) => {
  const box = point.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
};

const show = (point) => {
  const [x, y] = middle(point);
  document.querySelectorAll('.near').forEach((p) => p.classList.remove('near'));
  point.classList.add('near');
  tip.textContent = point.getAttribute('aria-label');
  tip.hidden = false;
  const left = Math.min(x + 12, innerWidth - tip.offsetWidth - 8);
  const above = y - tip.offsetHeight - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above < 8 ? y + 14 : above}px`;
};

const hide = () => {
  tip.hidden = true;
  document.querySelectorAll('.near').forEach((p) => p.classList.remove('near'));
};

const nearest = (points, event) => {
  let best = null;
  let least = 24;
  for (const point of points) {
    const [x, y] = middle(point);
    const far = Math.hypot(x - event.clientX, y - event.clientY);
    if (far < least) [best, least] = [point, far];
  }
  return best;
};

for (const figure of document.querySelectorAll('figure svg')) {
  const points = [...figure.querySelectorAll('g.point')];
  points.forEach((point, index) => {
    point.setAttribute('role', 'img');
    point.setAttribute('tabindex', index ? -1 : 0);
    point.setAttribute('aria-label', point.querySelector('title').textContent);
    point.querySelector('title').remove();
    point.addEventListener('focus', () => show(point));
    point.addEventListener('blur', hide);
    point.addEventListener('keydown', (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (event.key === 'Escape') hide();
      if (!(event.key in steps)) return;
      event.preventDefault();
      const place = index + steps[event.key] + points.length;
      const next = points[place % points.length];
      next.focus();
      show(next);  // In a window that is not active, focus() tells nobody.
    });
  });
  if (!points.length) continue;
  figure.removeAttribute('role');
  figure.setAttribute('role', 'group');
  for (const name of ['pointermove', 'pointerdown']) {
    figure.addEventListener(name, (event) => {
      const point = nearest(points, event);
      point ? show(point) : hide();
    });
  }
  figure.addEventListener('pointerleave', hide);
}
addEventListener('scroll', hide, { passive: true });

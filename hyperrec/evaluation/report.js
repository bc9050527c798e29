// Shows the sections of the chosen regime and data set; without it all stand.
addEventListener('DOMContentLoaded', () => {
  const chooser = document.querySelector('.chooser');
  const boxes = [...chooser.querySelectorAll('select')];
  const choose = () => {
    for (const section of document.querySelectorAll('section')) {
      section.hidden = boxes.some(
        (box) => box.value && section.dataset[box.dataset.field] !== box.value);
    }
  };
  boxes.forEach((box) => box.addEventListener('change', choose));
  chooser.hidden = false;
  choose();
});

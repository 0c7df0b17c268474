/* The API page: finding an operation, and the answer in view. It works without. */

for (const input of document.querySelectorAll('[data-filter]')) {
  const place = document.getElementById(input.dataset.filter);
  input.closest('label').hidden = false;
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const item of place.querySelectorAll('li')) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  });
}

/** Scrolls the list to what is chosen, and the page to its answer where it has one; without, the page begins at its top. */
const chosen = document.querySelector('.api-list [aria-current]');
chosen?.scrollIntoView({ block: 'nearest' });
if (chosen !== null) window.scrollTo(0, 0);
document.getElementById('result')?.scrollIntoView();

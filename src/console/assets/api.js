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

document.querySelector('.api-list [aria-current]')?.scrollIntoView({ block: 'nearest' });
(document.getElementById('result') ?? document.querySelector('h1'))?.scrollIntoView();

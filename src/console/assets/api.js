/* The API and Registration pages: copying a text, finding an operation. Both pages work without it. */
/* global document, navigator */

for (const button of document.querySelectorAll('[data-copy]')) {
  const text = document.getElementById(button.dataset.copy);
  const name = button.textContent;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = 'Copied';
    button.addEventListener('blur', () => (button.textContent = name), { once: true });
  });
}

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

document.getElementById('result')?.scrollIntoView();

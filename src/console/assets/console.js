// What a page can do beyond a plain page: nothing here is needed to read or to ask.

/** Elements with data-live: their content is kept as the server's events have it. Forms never are: nobody loses a focus. */
const live = document.querySelector('[data-live]');
if (live !== null) {
  const events = new EventSource(live.getAttribute('data-live'));
  const shown = new Map();
  events.addEventListener('message', ({ data }) => {
    for (const [id, content] of Object.entries(JSON.parse(data))) {
      const element = document.getElementById(id);
      if (element === null || shown.get(id) === content) continue;
      shown.set(id, content);
      const isOpen = element.querySelector('details')?.open === true;
      element.innerHTML = content;
      const details = element.querySelector('details');
      if (details !== null) details.open = isOpen;
    }
  });
  // The run began or ended: buttons and verdicts are others now.
  events.addEventListener('changed', () => {
    events.close();
    window.location.reload();
  });
  // Closed for good: the session is over, and the page says how to come back.
  events.addEventListener('error', () => {
    if (events.readyState === EventSource.CLOSED) window.location.reload();
  });
}

/** Forms that ask first. */
for (const form of document.querySelectorAll('form[data-confirm]')) {
  form.addEventListener('submit', (event) => {
    if (!window.confirm(form.getAttribute('data-confirm'))) event.preventDefault();
  });
}

/** Copies what stands in the element that data-copy names. */
for (const button of document.querySelectorAll('button[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const text = document.getElementById(button.getAttribute('data-copy')).textContent;
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  });
}

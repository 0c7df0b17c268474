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

/** Sends a chosen file as it is, and goes on to what became of it. */
for (const form of document.querySelectorAll('form[data-upload]')) {
  const status = form.querySelector('[data-upload-status]');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const [file] = form.querySelector('input[type=file]').files;
    if (file === undefined) return;
    const button = form.querySelector('button');
    button.disabled = true;
    status.textContent = `Sending and checking ${file.name} (${Math.ceil(file.size / 1e6)} MB) ...`;
    try {
      const to = `${form.getAttribute('data-upload')}?name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(to, {
        method: 'POST',
        headers: {
          'x-csrf-token': form.querySelector('input[name=csrf]').value,
          'content-type': 'application/x-ndjson',
          accept: 'application/json',
        },
        body: file,
      });
      const told = await answer.json();
      if (answer.ok) window.location.assign(told.href);
      else status.textContent = `${told.error.message}. ${told.error.hint}`;
    } catch {
      status.textContent = 'It did not arrive: the console is gone, or the session is over.';
    }
    button.disabled = false;
  });
}

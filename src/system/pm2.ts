/** Tells whoever started this process (PM2, `wait_ready`) that there is nothing more to wait for. */
export function sayReady(): void {
  process.send?.('ready');
}

/**
 * The same of a process that serves: from now on PM2's message `shutdown` stands for the signal that cannot be caught on
 * Windows (`shutdown_with_message`).
 */
export function serveUnderPm2(): void {
  if (process.send === undefined) return;
  process.on('message', (message) => {
    if (message === 'shutdown') process.emit('SIGINT');
  });
  sayReady();
}

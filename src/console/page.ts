import type { Ask } from './exchange.ts';
import { html, type Html, type HtmlValue } from './html.ts';

/** The console's places, as its navigation shows them. */
export type Place = 'overview' | 'runs' | 'data' | 'sql' | 'registration' | 'api';

const PLACES: readonly { readonly place: Place; readonly href: string; readonly name: string }[] = [
  { place: 'overview', href: '/', name: 'Overview' },
  { place: 'runs', href: '/runs', name: 'Runs' },
  { place: 'data', href: '/data', name: 'Data' },
  { place: 'sql', href: '/sql', name: 'SQL' },
  { place: 'registration', href: '/registration', name: 'Registration' },
  { place: 'api', href: '/api', name: 'API' },
];

/** Style sheets and scripts of src/console/assets that every page has. */
const STYLES = ['console.css', 'records.css', 'api.css'];
const SCRIPTS = ['console.js', 'api.js'];

/**
 * A whole page. `main` is what the page is about, below its one <h1>; `trail` leads back: [text, href], outermost first.
 */
export function page(
  ask: Pick<Ask, 'session'>,
  content: {
    readonly title: string;
    readonly place: Place | undefined;
    readonly trail?: readonly (readonly [string, string])[];
    /** Beside the title: buttons, a badge. */
    readonly aside?: HtmlValue;
    readonly main: HtmlValue;
  },
): Html {
  const { title, place, trail = [], aside, main } = content;
  return html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <title>${title} · fhir-rounds</title>
      <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
      ${STYLES.map((name) => html`<link rel="stylesheet" href="/assets/${name}" /> `)}${SCRIPTS.map(
        (name) => html`<script type="module" src="/assets/${name}"></script> `,
      )}
    </head>
    <body>
      <a class="skip" href="#main">To the content</a>
      <header class="top">
        <a class="brand" href="/">fhir-rounds</a> ${
          ask.session !== undefined &&
          html`<nav aria-label="Places">
              <ul>
                ${PLACES.map(
                  (one) =>
                    html`<li>
                      <a href="${one.href}" ${one.place === place && html` aria-current="page"`}
                        >${one.name}</a
                      >
                    </li>`,
                )}
              </ul>
            </nav>
            <form method="post" action="/logout">
              ${csrfField(ask)}<button class="quiet">Log out</button>
            </form>`
        }
      </header>
      <main id="main" tabindex="-1">
        ${
          trail.length > 0 &&
          html`<nav class="trail" aria-label="Where you are">
            <ol>
              ${trail.map(([text, href]) => html`<li><a href="${href}">${text}</a></li>`)}
            </ol>
          </nav>`
        }
        <div class="title">
          <h1>${title}</h1>
          ${aside}
        </div>
        ${main}
      </main>
    </body>
  </html>`;
}

/** To stand in every form that is sent with POST. */
export function csrfField({ session }: Pick<Ask, 'session'>): Html {
  return html`<input type="hidden" name="csrf" value="${session?.csrfToken}" />`;
}

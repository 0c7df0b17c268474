/**
 * The report's look. LIGHT stands inline at each element, because several mail clients drop style blocks;
 * DARK_AND_NARROW is the one block, and overrides it by class. Contrast is at least 4.5:1 in both (WCAG 1.4.3),
 * and no state is told by colour alone: its word stands beside it.
 */

const INK = '#1d252c';
const MUTED = '#57626c';
const LINE = '#e3e7ea';
const SANS = "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

export const LIGHT = {
  tone: { ok: '#1f6b50', partial: '#8a5300', failed: '#9f2a2a', abandoned: '#4d5761' },
  body: `margin:0;padding:24px 12px;background:#eef1f3;color:${INK};font:15px/1.5 ${SANS};-webkit-text-size-adjust:100%`,
  sheet: 'width:100%;max-width:760px;background:#fff;border-radius:10px;overflow:hidden;text-align:left',
  band: 'padding:26px 32px 24px;color:#fff;',
  word: 'margin:0;font-size:13px;font-weight:700;letter-spacing:.12em',
  headline: 'margin:4px 0 0;font-size:24px;line-height:1.25;font-weight:600;letter-spacing:-.01em',
  inside: 'padding:24px 32px 28px',
  lead: 'margin:0 0 6px;font-size:17px;line-height:1.45',
  paragraph: 'margin:0 0 6px',
  facts: 'margin:20px 0 0 -4px;font-size:14px;line-height:1.4',
  factLabel: `font-weight:400;color:${MUTED};white-space:nowrap;padding-right:18px`,
  factValue: 'overflow-wrap:anywhere',
  heading: 'margin:32px 0 8px;font-size:17px;line-height:1.3;font-weight:600',
  table:
    'width:100%;border-collapse:collapse;font-size:13px;line-height:1.35;text-align:right;font-variant-numeric:tabular-nums',
  head: `color:${MUTED};font-size:12px;vertical-align:bottom`,
  row: `border-top:1px solid ${LINE}`,
  total: `border-top:2px solid ${MUTED};font-weight:700`,
  gap: 'color:#8a5300;font-weight:700',
  failed: 'color:#a32020;font-weight:700',
  marks: `margin:18px 0 0;border-radius:8px;background:#fff6e5`,
  marksInside: 'padding:12px 16px 12px;border-left:4px solid #c27b00;border-radius:8px',
  marksHeading: 'margin:0 0 4px;font-size:15px;line-height:1.35;font-weight:700;color:#8a5300',
  markList: 'margin:0;padding-left:18px;font-size:14px',
  mark: 'margin:0 0 2px',
  strip: 'margin:22px 0 0;border-collapse:separate;width:100%;max-width:420px;table-layout:fixed',
  bar: `height:36px;padding:0 2px 0 0`,
  barFill: 'border-radius:2px 2px 0 0;font-size:0;line-height:0;',
  barTone: { complete: '#8fbfad', partial: '#c27b00', failed: '#b33a3a', abandoned: '#8b959e' },
  barText: { complete: MUTED, partial: '#8a5300', failed: '#a32020', abandoned: MUTED },
  barLetter: 'padding:1px 2px 0 0;text-align:center;font-size:11px;line-height:14px;font-weight:700;',
  hint: `font-weight:400;color:${MUTED}`,
  causes:
    'width:100%;border-collapse:collapse;font-size:13px;line-height:1.45;overflow-wrap:anywhere;font-variant-numeric:tabular-nums',
  list: 'margin:0;padding-left:20px;font-size:14px',
  small: `margin:8px 0 0;font-size:12px;color:${MUTED}`,
  code: `padding:2px 6px;border-radius:4px;background:#eef1f3;font:13px ui-monospace,Consolas,Menlo,monospace`,
  narrowNote: `display:none;margin:0;font-size:12px;color:${MUTED}`,
  footer: `margin:32px 0 0;padding-top:14px;border-top:1px solid ${LINE};font-size:12px;color:${MUTED}`,
} as const;

export const DARK_AND_NARROW = `
:root{color-scheme:light dark}
.t th,.t td{padding:5px 4px}
.t th{font-weight:500}
.t .z th{font-weight:700}
.c th{font-weight:500}
.c .r th{padding-top:10px}
.c tbody tr:last-child td,.c tbody tr:last-child th{padding-bottom:8px}
.t th:first-child{padding-left:0;overflow-wrap:anywhere}
.t td:last-child,.t th:last-child{padding-right:0}
@media (prefers-color-scheme:dark){
.b{background:#0f1316!important;color:#e4e8eb!important}
.s{background:#191f24!important}
.m{color:#a3aeb8!important;border-color:#333c44!important}
.r{border-color:#2b333a!important}
.z{border-color:#a3aeb8!important}
.k{background:#2b333a!important}
.g{color:#f0b45b!important}
.x{color:#ff8f86!important}
.a{background:#33290f!important}
.ic{background:#3f6f5f!important}
.it{background:#7cc4a8!important}
.ip{background:#d08a1c!important}
.if{background:#d9605a!important}
.ia{background:#7b868f!important}
}
@media (max-width:560px){
.b{padding:0!important}
.s{border-radius:0!important}
.p{padding:20px 16px!important}
.p h1{font-size:20px!important}
.w{display:none!important}
.n{display:block!important}
.f,.f tbody,.f tr,.f th,.f td{display:block!important}
.f th{padding:6px 4px 0!important}
.f td{padding:0 4px!important}
}
@media (max-width:420px){
.v{display:none!important}
.t{font-size:12px!important}
.t th:first-child{hyphens:auto}
}
`;

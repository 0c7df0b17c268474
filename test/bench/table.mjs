// How results are shown.
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';
import process from 'node:process';

/** What it was measured on. */
export function machine() {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryMb: Math.round(totalmem() / 2 ** 20),
    platform: `${platform()} ${arch()}`,
    node: process.version,
    loadBefore: loadavg()[0],
  };
}

const COLUMNS = [
  ['wall', 'wallS', 2],
  ['raw', 'rawWallS', 2],
  ['ratio', 'ratio', 2],
  ['CPU', 'cpuS', 2],
  ['raw', 'rawCpuS', 2],
  ['peak MB', 'rssMb', 0],
  ['raw', 'rawRssMb', 0],
];
const NAME_WIDTH = 20;
const WIDTH = 8;
const IN_COLUMNS = new Set(COLUMNS.map(([, figure]) => figure));

export function headOf({ cores, cpu, memoryMb, platform: system, node, loadBefore }, rounds, small) {
  const titles = COLUMNS.map(([title]) => title.padStart(WIDTH)).join('');
  return [
    `${cores} cores (${cpu}), ${memoryMb} MB, ${system}, Node ${node}, load before ${loadBefore.toFixed(1)}`,
    `medians of ${rounds} rounds; wall and CPU in seconds${small ? '; --small: says nothing of the targets' : ''}`,
    '',
    `${'row'.padEnd(NAME_WIDTH)}${titles}`,
  ].join('\n');
}

export function rowText({ name, what, error, medians, targets }) {
  if (error !== undefined)
    return `${name.padEnd(NAME_WIDTH)} not measured: ${error.trim().split('\n').join('\n    ')}`;
  const cells = COLUMNS.map(([, figure, places]) => cellOf(medians[figure], places)).join('');
  const others = Object.entries(medians)
    .filter(([figure]) => !IN_COLUMNS.has(figure))
    .map(([figure, value]) => `${figure} ${shown(value)}`);
  return [
    `${name.padEnd(NAME_WIDTH)}${cells}`,
    `    ${what}`,
    ...(others.length > 0 ? [`    ${others.join(', ')}`] : []),
    ...targets.map(
      ({ figure, atMost, met }) =>
        `    ${met ? 'met   ' : 'MISSED'} ${figure} ${shown(medians[figure])}, at most ${atMost}`,
    ),
  ].join('\n');
}

function cellOf(value, places) {
  return (value === undefined ? '-' : value.toFixed(places)).padStart(WIDTH);
}

function shown(value) {
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
}

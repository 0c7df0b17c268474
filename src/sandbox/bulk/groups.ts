import type { Population } from '../population/types.ts';
import type { ExportLevel } from './kickoffRequest.ts';
import type { BulkSettings } from './options.ts';

/** The patients that an export is about. */
export interface Members {
  has(patientId: string): boolean;
  ids(): Iterable<string>;
}

/** The members of a level: all patients, or a group's. Undefined for a group that is not there. */
export function membersOf(
  population: Population,
  settings: BulkSettings,
): (level: ExportLevel, groupId: string | undefined) => Members | undefined {
  const everyone: Members = {
    has: (patientId) => population.standing(patientId) !== undefined,
    ids: () => population.patientIds(),
  };
  return (level, groupId) => {
    if (level !== 'group') return everyone;
    if (groupId === undefined || !Object.hasOwn(settings.groups, groupId)) return undefined;
    const listed = settings.groups[groupId] ?? [];
    if (listed === 'all') return everyone;
    const ids = new Set(
      listed.flatMap((member) => {
        const patientId = typeof member === 'number' ? population.patientIdAt(member) : member;
        return patientId === undefined ? [] : [patientId];
      }),
    );
    return { has: (patientId) => ids.has(patientId), ids: () => ids };
  };
}

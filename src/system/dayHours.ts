export interface HourRange {
  /** Minutes after midnight. */
  readonly fromMinute: number;
  /** Minutes after midnight, exclusive; below `fromMinute` when the range passes midnight. */
  readonly toMinute: number;
}

/** The ranges of a text such as `19:00-07:00, 12:00-13:00`; undefined when it is malformed. */
export function parseHours(text: string): readonly HourRange[] | undefined {
  const ranges: HourRange[] = [];
  for (const word of text.split(',').map((one) => one.trim())) {
    if (word === '') continue;
    const match = /^(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$/.exec(word);
    if (match === null) return undefined;
    const [fromHour, fromMinute, toHour, toMinute] = match.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
    ];
    if (fromHour > 23 || fromMinute > 59 || toHour > 24 || toMinute > 59 || toHour * 60 + toMinute > 1440)
      return undefined;
    const range = { fromMinute: fromHour * 60 + fromMinute, toMinute: toHour * 60 + toMinute };
    if (range.fromMinute === range.toMinute) return undefined;
    ranges.push(range);
  }
  return ranges.length === 0 ? undefined : ranges;
}

/** Whether a minute of the day lies in one of the ranges. */
export function isInHours(ranges: readonly HourRange[], minute: number): boolean {
  return ranges.some(({ fromMinute, toMinute }) =>
    fromMinute < toMinute
      ? minute >= fromMinute && minute < toMinute
      : minute >= fromMinute || minute < toMinute,
  );
}

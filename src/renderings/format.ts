const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** A number of bytes for people, in PostgreSQL's units (1 kB is 1024 bytes): `24.1 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // What would be rounded to 1024.0 belongs to the next unit.
  while (unit < units.length - 1 && value >= (unit === 0 ? 1024 : 1023.95)) {
    value /= 1024
    unit++
  }
  if (unit === 0) return formatCount(value, 'byte')
  return `${value.toFixed(1)} ${units[unit] ?? ''}`
}

/** `1 file`, `970 files`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** A duration for people: `0.21 s`, `754 s`. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 100 ? 2 : 0)} s`
}

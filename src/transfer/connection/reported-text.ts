/**
 * Of what the other side says so much is looked at, in characters. A message of PostgreSQL's own is shorter by far, and one
 * that is not must not keep us busy.
 */
const MOST_CHARACTERS = 16_384

/** The lines of a text of the other side, without blank ones. */
export function reportedLines(text: string): string[] {
  const beginning = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)} ...` : text
  const lines = beginning.split(/[\r\n]/).map((line) => line.trim())
  return lines.filter((line) => line !== '')
}

/** The same on one line, as all messages are. */
export function onOneLine(text: string): string {
  return reportedLines(text).join(' ')
}

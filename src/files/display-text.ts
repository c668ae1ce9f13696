/**
 * Text that somebody else made up (a name, what a server says), as a person may see it. A terminal obeys control
 * characters, and bidirectional or invisible ones have a line say what it does not.
 */

/** What is seen of a text that is repeated in a message, in characters. */
const MAX_SHOWN = 1024

// Line breaks are in it; what Unicode lets a reader leave out (joiners, fillers, variation selectors, tags) is, too. Of
// half surrogate pairs, those that stand for a byte: see `pathname.ts`.
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\udc80-\udcff]/gu
const hiddenWithinLines = new RegExp(`(?![\\n\\t])${hidden.source}`, 'gu')
const plain = /^[ -~]*$/

/** What the text may have escaped itself, cut. */
const cutEscape = /\\(?:[xu][0-9a-f]{0,3})?$/i

/**
 * A text on one line, whatever it holds: each byte of a character that is not to be seen, or of none, becomes `\xNN`. What
 * was displayed stays as it is.
 */
export function displayText(text: string): string {
  return plain.test(text) ? text : text.replaceAll(hidden, escapeBytes)
}

/** The same for a text of several lines, which stay lines. */
export function displayLines(text: string): string {
  return plain.test(text) ? text : text.replaceAll(hiddenWithinLines, escapeBytes)
}

/** The same for JSON, whose strings have an escape of their own: `\uNNNN`. The document means what it meant. */
export function displayJson(json: string): string {
  return plain.test(json) ? json : json.replaceAll(hiddenWithinLines, escapeUnits)
}

/**
 * The beginning of a text that is too long to be repeated, and how long it is. No character is split, and no escape that is
 * in it. To be called before the text is displayed.
 */
export function shortenText(text: string, maxCharacters: number = MAX_SHOWN): string {
  if (text.length <= maxCharacters) return text
  let shown = ''
  let count = 0
  for (const character of text) {
    if (count < maxCharacters) shown += character
    count++
  }
  return count <= maxCharacters ? text : `${shown.replace(cutEscape, '')}... (${count} characters)`
}

function escapeBytes(character: string): string {
  const code = character.charCodeAt(0)
  const isByte = character.length === 1 && code >= 0xdc80 && code <= 0xdcff
  const bytes = isByte ? Buffer.of(code - 0xdc00) : Buffer.from(character)
  return bytes.toString('hex').replaceAll(/../g, String.raw`\x$&`)
}

function escapeUnits(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}

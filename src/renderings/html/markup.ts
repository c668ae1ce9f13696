import { displayText } from '../../files/display-text.js'

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text that is markup already. Only what this file makes is taken for it. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | Markup | readonly Value[] | false | undefined

/**
 * Markup with values in it: each text is escaped, so that a name is text wherever it stands, in an attribute too. What nobody would see is
 * written out before.
 */
export function markup(strings: TemplateStringsArray, ...values: readonly Value[]): Markup {
  let text = strings[0] ?? ''
  for (const [index, value] of values.entries()) text += escapeValue(value) + (strings[index + 1] ?? '')
  return new Markup(text)
}

function escapeValue(value: Value): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(escapeValue).join('')
  return shown(String(value)).replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}

/** A text from elsewhere as it may be seen. */
export function shown(text: string): string {
  return displayText(text).toWellFormed()
}

/** Data for the script of a page, as the text of its element: nothing in it ends that. */
export function jsonMarkup(value: unknown): Markup {
  return new Markup(JSON.stringify(value).replaceAll('<', String.raw`\u003c`))
}

import { PbManifestError } from '../../errors.js'

/** A command that is not one. Its message is in the words of PostgreSQL's own parser. */
export class CommandSyntaxError extends PbManifestError {
  /** Where in the text, counted in characters from 1, as a server counts it. */
  readonly position: number

  /** @param offset - where in the text, counted in code units from 0 */
  constructor(message: string, text: string, offset: number, hint?: string) {
    const position = countCharacters(text, offset) + 1
    super('USAGE', message, {
      details: [`this is at character ${position} of the command`],
      ...(hint === undefined ? {} : { hint }),
    })
    this.position = position
  }
}

function countCharacters(text: string, end: number): number {
  let count = 0
  for (let at = 0; at < end; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) count++
  return count
}

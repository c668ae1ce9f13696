import { PbManifestError } from '../../errors.js'

/** A command that is not one. Its message is in the words of PostgreSQL's own parser. */
export class CommandSyntaxError extends PbManifestError {
  /** Where in the text, counted in characters from 1, as a server counts it. */
  readonly position: number

  /** @param offset - where in the text, counted in code units from 0 */
  constructor(message: string, text: string, offset: number, hint?: string) {
    const position = Array.from(text.slice(0, offset)).length + 1
    super('USAGE', message, {
      details: [`this is at character ${position} of the command`],
      ...(hint === undefined ? {} : { hint }),
    })
    this.position = position
  }
}

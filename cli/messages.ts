import { displayJson, displayLines, displayText } from '../src/files/display-text.js'

/** Where messages go: standard error, or a stand-in. */
export interface MessageOutput {
  readonly isTTY?: boolean | undefined
  /** How wide the terminal is now; it may become another one. */
  readonly columns?: number | undefined
  write(text: string): unknown
}

// The colours of PostgreSQL's own programs. @see src/common/logging.c
const colors = { error: '01;31', warning: '01;35', detail: '01;36', hint: '01;36' } as const

type Severity = keyof typeof colors

/**
 * The lines that a person reads on standard error, in the form of PostgreSQL's programs: `pbmanifest: error: ...`.
 *
 * Each message is one line whatever it holds, with nothing in it that a terminal obeys or does not show. At most one line is unfinished, a progress line on a terminal; it is
 * wiped before anything else is written.
 */
export class Messages {
  hasColor: boolean
  readonly #output: MessageOutput
  readonly #program: string
  #unfinished = 0

  /** @param program - in whose name messages are; default `pbmanifest` */
  constructor(output: MessageOutput, hasColor: boolean, program = 'pbmanifest') {
    this.#output = output
    this.hasColor = hasColor
    this.#program = program
  }

  get isTerminal(): boolean {
    return this.#output.isTTY === true
  }

  error(text: string): void {
    this.#say('error', text)
  }

  warning(text: string): void {
    this.#say('warning', text)
  }

  detail(text: string): void {
    this.#say('detail', text)
  }

  hint(text: string): void {
    this.#say('hint', text)
  }

  /** A line that is neither an error nor about one. */
  note(text: string): void {
    this.#writeLine(`${this.#program}: ${displayText(text)}`)
  }

  /** Text with lines of its own, for example a stack. */
  lines(text: string): void {
    this.#writeLine(displayLines(text))
  }

  /** A JSON document. */
  json(text: string): void {
    this.#writeLine(displayJson(text))
  }

  /**
   * A line that the next one replaces, where that is possible: on a terminal, which it must not be wider than, since a line
   * that was broken cannot be replaced.
   *
   * @param addition - what follows it on a terminal, if there is room
   */
  progress(text: string, isLast: boolean, addition = ''): void {
    const line = displayText(text)
    if (!this.isTerminal || isLast) return this.#writeLine(line)
    this.#wipe()
    const room = this.#room()
    const whole = line + displayText(addition)
    const shown = whole.length <= room ? whole : line.slice(0, room)
    this.#unfinished = shown.length
    this.#output.write(`${shown}\r`)
  }

  #say(severity: Severity, text: string): void {
    const word = this.hasColor ? `\u001b[${colors[severity]}m${severity}:\u001b[0m` : `${severity}:`
    this.#writeLine(`${this.#program}: ${word} ${displayText(text)}`)
  }

  #writeLine(line: string): void {
    this.#wipe()
    this.#output.write(`${line}\n`)
  }

  /** How many characters fit a line. In the last column, some terminals go on in the next line. */
  #room(): number {
    const { columns = 0 } = this.#output
    return columns > 0 ? columns - 1 : Number.POSITIVE_INFINITY
  }

  // Blanks, not an escape sequence, which a dumb terminal would print.
  #wipe(): void {
    const blanks = Math.min(this.#unfinished, this.#room())
    if (blanks > 0) this.#output.write(`${' '.repeat(blanks)}\r`)
    this.#unfinished = 0
  }
}

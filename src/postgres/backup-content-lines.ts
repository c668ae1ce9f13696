import { badFile } from './bad-file.js'
import { parseLsn } from './lsn.js'
import { parsePositiveUnsignedInt32 } from './unsigned-int.js'

/** A place in the WAL as a backup's files give it. */
export interface BackupWalLocation {
  readonly lsn: bigint
  /** The segment that holds it: 24 hexadecimal digits. */
  readonly segmentName: string
  /** The first 8 of them. */
  readonly timeline: number
}

const walLocation = /^([0-9A-Fa-f/]+) \(file (([0-9A-F]{8})[0-9A-F]{16})\)$/

/**
 * The lines of a backup_label or backup history file, to be taken from the top and from the bottom.
 *
 * From the bottom, because the label that the user gave stands in the middle without any escaping: one of several lines
 * may hold lines that look like those that follow it. Only the last ones are the server's.
 */
export class BackupContentLines {
  /** Each with its LF; the file's last may lack it. */
  readonly #lines: string[]
  readonly #name: string

  constructor(text: string, name: string) {
    this.#lines = text.split(/(?<=\n)/)
    this.#name = name
  }

  /** Takes `<key>: <LSN> (file <segment>)` and its LF from the top; nothing else may stand there. */
  takeWalLocation(key: string): BackupWalLocation {
    const [, lsnText = '', segmentName = '', timelineText = ''] =
      walLocation.exec(this.#takeWholeLine(key)) ?? []
    const lsn = parseLsn(lsnText)
    const timeline = Number.parseInt(timelineText, 16)
    if (lsn === undefined || timeline === 0) throw this.invalid(`expected line "${key}: LSN (file SEGMENT)"`)
    return { lsn, segmentName, timeline }
  }

  /** Takes `<key>: <LSN>` and its LF from the top; nothing else may stand there. */
  takeLsn(key: string): bigint {
    const lsn = parseLsn(this.#takeWholeLine(key))
    if (lsn === undefined) throw this.invalid(`expected line "${key}: LSN"`)
    return lsn
  }

  /** Takes the value of `<key>: <value>` from the top, if that is the next line. Blanks at its end do not count. */
  takeFirst(key: string): string | undefined {
    return this.#takeFirstVerbatim(key)?.trimEnd()
  }

  /** Takes the value of `<key>: <value>` from the bottom, if that is the last line. Blanks at its end do not count. */
  takeLast(key: string): string | undefined {
    this.#dropBlankLinesAtTheEnd()
    const value = valueOf(this.#lines.at(-1), key)
    if (value !== undefined) this.#lines.pop()
    return value?.trimEnd()
  }

  /** Takes `<key>: <timeline>` from the bottom, if that is the last line. */
  takeLastTimeline(key: string): number | undefined {
    const value = this.takeLast(key)
    if (value === undefined) return undefined
    const timeline = parsePositiveUnsignedInt32(value)
    if (timeline === undefined) throw this.invalid(`expected line "${key}: TIMELINE"`)
    return timeline
  }

  /** Takes `<key>: <LSN>` from the bottom, if that is the last line. */
  takeLastLsn(key: string): bigint | undefined {
    const value = this.takeLast(key)
    if (value === undefined) return undefined
    const lsn = parseLsn(value)
    if (lsn === undefined) throw this.invalid(`expected line "${key}: LSN"`)
    return lsn
  }

  /** Takes `<key>: <text>` where the text goes on to the end of what is left, if that is the next line. */
  takeRest(key: string): string | undefined {
    const rest = this.#lines.splice(0).join('')
    return valueOf(rest, key)
  }

  /** Throws when a timeline that is there is not that of the segment in `location`. */
  requireTimeline(timeline: number | undefined, location: BackupWalLocation): void {
    if (timeline === undefined || timeline === location.timeline) return
    throw this.invalid(`timeline ID parsed is ${timeline}, but expected ${location.timeline}`)
  }

  /** Makes the error for content that the server does not write, in the words of its reader. */
  invalid(what: string): Error {
    return badFile(this.#name, `invalid data in file: ${what}`)
  }

  #takeWholeLine(key: string): string {
    const hasLineFeed = this.#lines[0]?.endsWith('\n') === true
    return (hasLineFeed ? this.#takeFirstVerbatim(key) : undefined) ?? ''
  }

  #takeFirstVerbatim(key: string): string | undefined {
    const value = valueOf(this.#lines[0], key)
    if (value !== undefined) this.#lines.shift()
    return value
  }

  #dropBlankLinesAtTheEnd(): void {
    while (this.#lines.at(-1)?.trim() === '') this.#lines.pop()
  }
}

function valueOf(line: string | undefined, key: string): string | undefined {
  const start = `${key}: `
  return line?.startsWith(start) ? line.slice(start.length).replace(/\n$/, '') : undefined
}

import { isUtf8 } from 'node:buffer'
import { parseCommand } from '../commands/commands.js'
import type { ReplicationCommand } from '../commands/replication-command.js'
import { WireError } from '../wire/wire-error.js'
import { sqlstates } from './wire-error-data.js'
import type { WireCopy, WireReply } from '../wire/wire-handler.js'
import { unpackRows } from './thread/packed-rows.js'
import type { StreamPart } from './thread/stream-sender.js'
import type { StreamedAnswer } from './thread/session-thread.js'

/** Writes what comes out of a session's thread as the response to one query. */
export class AnswerWriter {
  readonly #reply: WireReply
  readonly #tag: string
  readonly #pieces: readonly Buffer[]
  #copy: WireCopy | undefined
  #isEmpty = true

  /**
   * @param tag - of results that have none of their own: the command's name
   * @param pieces - the memory that the answers are about
   */
  constructor(reply: WireReply, tag: string, pieces: readonly Buffer[]) {
    this.#reply = reply
    this.#tag = tag
    this.#pieces = pieces
  }

  /** Resolves when the answer's memory may be used again. */
  async write(answer: StreamedAnswer): Promise<void> {
    this.#isEmpty = false
    switch (answer.type) {
      case 'rows':
        return await this.#reply.rows(answer.columns, unpackRows(answer.rows), this.#tag)
      case 'stream':
        return await this.#writeParts(answer.parts, this.#pieces[answer.piece] ?? Buffer.alloc(0))
      default:
        answer satisfies never
    }
  }

  /** The command is done. */
  async finish(): Promise<void> {
    if (this.#isEmpty) await this.#reply.complete(this.#tag)
  }

  async #writeParts(parts: readonly StreamPart[], piece: Buffer): Promise<void> {
    let at = 0
    for (const part of parts) {
      switch (part.type) {
        case 'begin':
          this.#copy = this.#reply.copyOut()
          break
        case 'bytes':
          await this.#copy?.write(piece.subarray(at, at + part.length))
          at += part.length
          break
        case 'end':
          await this.#copy?.end(part.tag)
          break
        case 'nothing':
          await this.#reply.complete(part.tag)
          break
        default:
          part satisfies never
      }
    }
  }
}

/**
 * Reads a query. A name that is not UTF-8 stands in it as an escape string; bytes that are not UTF-8 are refused, as by a
 * server whose encoding is UTF-8.
 *
 * @throws {@link WireError} or {@link CommandSyntaxError}
 */
export function parseQuery(bytes: Buffer): ReplicationCommand {
  if (!isUtf8(bytes)) {
    throw new WireError(sqlstates.badEncoding, 'invalid byte sequence for encoding "UTF8"', {
      hint: String.raw`Write bytes that are no text as E'\xNN'.`,
    })
  }
  return parseCommand(bytes.toString('utf8'))
}

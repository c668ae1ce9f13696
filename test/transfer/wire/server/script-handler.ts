import { once } from 'node:events'
import { WireError } from '../../../../src/transfer/wire/wire-error.js'
import type {
  WireClose,
  WireHandler,
  WireReply,
  WireClient,
} from '../../../../src/transfer/wire/wire-handler.js'

/** Does what the query says: each word of it is a thing to answer. */
export class ScriptHandler implements WireHandler {
  readonly session: WireClient
  readonly queries: Buffer[] = []
  mayIdle = false
  /** The most rows or bytes that a query gets. */
  maxCount = 99_999_999
  /** Queries that are under way. */
  running = 0
  readonly #onClose: (how: WireClose) => void

  constructor(session: WireClient, onClose: (how: WireClose) => void) {
    this.session = session
    this.#onClose = onClose
  }

  async query(text: Buffer, reply: WireReply, signal: AbortSignal): Promise<void> {
    this.queries.push(text)
    this.running++
    try {
      for (const word of text.toString('latin1').split(/\s+/)) await this.#act(word, text, reply, signal)
    } finally {
      this.running--
    }
  }

  async close(how: WireClose): Promise<void> {
    if (this.running > 0) throw new Error('closed while a query runs')
    this.#onClose(how)
    await Promise.resolve()
  }

  mayStayIdle(): boolean {
    return this.mayIdle
  }

  async #act(word: string, text: Buffer, reply: WireReply, signal: AbortSignal): Promise<void> {
    const [action, count = '0'] = word.split('=')
    if (!/^[0-9]{1,8}$/.test(count) || Number(count) > this.maxCount)
      throw new WireError('22023', 'not a count')
    switch (action) {
      case 'who': {
        const { user, database, isEncrypted, parameters } = this.session
        const row = [user, database, isEncrypted ? 't' : 'f', parameters.get('replication') ?? null]
        const columns = [
          { name: 'user' },
          { name: 'db' },
          { name: 'tls', type: 'bool' },
          { name: 'replication' },
        ] as const
        return await reply.rows(columns, [row], 'WHO 1')
      }
      case 'bytes':
        return await reply.rows([{ name: 'text', type: 'text' }], [[text], [null], ['']], 'BYTES 3')
      case 'rows':
        return await reply.rows(
          [{ name: 'n', type: 'int8' }, { name: 't' }],
          numbers(Number(count)),
          `ROWS ${count}`,
        )
      case 'copy':
        return await copy(reply, Number(count))
      case 'tag':
        return await reply.complete(`TAG ${count}`)
      case 'notice':
        return reply.notice({ severity: 'WARNING', message: 'beware', detail: 'Of this.', hint: 'Run.' })
      case 'wait':
        if (!signal.aborted) await once(signal, 'abort')
        throw new Error('waited until the end')
      case 'endless':
        return await endless(reply)
      case 'half':
        await reply.copyOut().write(Buffer.from('half of it'))
        throw new WireError('58030', 'could not read file "x"', { detail: 'D.', hint: 'H.', position: 3 })
      case 'fatal':
        throw new WireError('57P01', 'that was it', { severity: 'FATAL' })
      case 'open':
        reply.copyOut()
        return undefined
      case 'late':
        return await writeAfterEnd(reply)
      case 'bug':
        throw new TypeError('a secret of ours')
      case 'nothing':
      case '':
        return undefined
      default:
        if (word.startsWith("'")) return undefined
        throw new WireError('42601', 'not a word')
    }
  }
}

function* numbers(count: number): Generator<readonly string[]> {
  for (let n = 1; n <= count; n++) yield [String(n), 'x'.repeat(n % 100)]
}

/** Bytes that tell where they are; the buffer is used again, as it may be, and could be another thread's. */
async function copy(reply: WireReply, bytes: number): Promise<void> {
  const out = reply.copyOut()
  const buffer = Buffer.from(new SharedArrayBuffer(Math.min(3 << 20, bytes + 1)))
  for (let at = 0; at < bytes; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, bytes - at))
    piece.forEach((_, index) => (piece[index] = copyByte(at + index)))
    await out.write(piece)
  }
  await out.end(`COPY ${String(bytes)}`)
}

async function writeAfterEnd(reply: WireReply): Promise<void> {
  const out = reply.copyOut()
  await out.end('COPY 0')
  await out.write(Buffer.from('more'))
}

async function endless(reply: WireReply): Promise<void> {
  const out = reply.copyOut()
  const piece = Buffer.alloc(1 << 20)
  for (;;) await out.write(piece)
}

/** What stands at this place of every COPY. */
export function copyByte(at: number): number {
  return (at * 7 + (at >> 8) * 13) & 0xff
}

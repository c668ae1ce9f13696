import { gssencRequest, query, sslRequest, startup, typed } from '../test/transfer/wire/raw-client.js'
import type { Mutator } from '../test/transfer/wire/server/mutator.js'

const clientHello = Buffer.from('160301004a010000460303', 'hex')

/** What a client of an agent may send, before it is mutated. */
export class AgentCommands {
  readonly #mutator: Mutator
  /** Of backups that ran when they were last asked for; some still do. */
  knownIds: readonly string[] = []

  constructor(mutator: Mutator) {
    this.#mutator = mutator
  }

  /** A conversation: the messages of one connection, in their order. */
  conversation(): Buffer[] {
    const { below, pick } = this.#bound()
    const user = startup({
      user: pick(['joe', '', 'x'.repeat(3000)]),
      replication: pick(['1', 'on', 'database', 'x']),
    })
    const texts =
      below(4) === 0 ? this.#wholeBackup() : Array.from({ length: 1 + below(6) }, () => this.#command())
    const messages = [user, ...texts.map(query)]
    if (below(3) === 0) messages.push(typed('X'))
    return messages.map((message, index) => this.#mutate(message, index === 0))
  }

  /** What comes over the network before anybody is let in. */
  knock(): Buffer[] {
    const { pick } = this.#bound()
    const user = startup({ user: pick(['backup', 'nobody', '\u202e']), replication: '1' })
    const first = typed('p', 'SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd')
    const final = typed('p', `c=biws,r=abcd,p=${Buffer.alloc(32).toString('base64')}`)
    const messages = pick([
      [user, first, final],
      [user, query('LIST_BACKUPS'), first],
      [sslRequest, clientHello, user],
      [sslRequest, user, first],
      [gssencRequest, sslRequest, user],
      [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      [],
    ])
    return messages.map((message) => this.#mutate(message, true))
  }

  /** As a client that means well takes one, but that it does not know its id. */
  #wholeBackup(): string[] {
    const { pick } = this.#bound()
    const files = [`SEND_FILE ('PG_VERSION', 'base/1/1259')`, this.#sendFile(), 'LIST_FILES', 'LIST_BACKUPS']
    return [
      'START_BACKUP FAST',
      pick(files),
      pick(files),
      'STOP_BACKUP NOWAIT',
      `BUILD_MANIFEST '${this.#id()}'`,
    ]
  }

  #command(): string {
    const { pick } = this.#bound()
    const id = this.#id()
    return pick([
      'IDENTIFY_CLUSTER',
      `START_BACKUP LABEL 'it''s' FAST MAX_RATE 8192 MANIFEST 'force-encode'`,
      `START_BACKUP FAST MANIFEST 'no'`,
      `START_BACKUP FAST MANIFEST_CHECKSUMS 'sha512'`,
      `JOIN_BACKUP '${id}'`,
      // All of them come for the same place.
      `JOIN_BACKUP '${id}' SESSION '${'5'.repeat(32)}' RECEIVED ${pick([0, 1, 2, 999_999])}`,
      'LIST_TABLESPACES PROGRESS',
      'LIST_FILES',
      `LIST_FILES '1663'`,
      `LIST_WAL_FILES START_WAL_LOCATION '0/0' END_WAL_LOCATION 'FFFFFFFF/FFFFFFFF'`,
      this.#sendFile(),
      this.#sendFile(),
      'STOP_BACKUP NOWAIT',
      `BUILD_MANIFEST '${id}'`,
      'LEAVE_BACKUP',
      'ABORT_BACKUP',
      'LIST_BACKUPS',
      ...costlyCommands(1 << (6 + this.#mutator.below(12))),
    ])
  }

  #sendFile(): string {
    const { below, pick } = this.#bound()
    const names = Array.from({ length: 1 + below(20) }, () =>
      pick([
        `'PG_VERSION'`,
        `'base/1/1259'`,
        `'global/pg_control'`,
        `'global/1262'`,
        `'pg_wal/000000010000000000000001'`,
        `'../../etc/passwd'`,
        `'/etc/passwd'`,
        `'base/1/../1/1259'`,
        `'pg_tblspc/1/x'`,
        `'postmaster.pid'`,
        String.raw`E'base/\xff\x00'`,
        String.raw`E'base/\xff'`,
        `'\u202e\u001b[2J'`,
      ]),
    )
    return `SEND_FILE (${names.join(', ')})${pick(['', ' NOVERIFY_CHECKSUMS'])}`
  }

  #id(): string {
    const { below, pick } = this.#bound()
    return this.knownIds.length > 0 && below(3) > 0 ? pick(this.knownIds) : '0123456789abcdef'.repeat(2)
  }

  #mutate(message: Buffer, isStartup: boolean): Buffer {
    const { below } = this.#bound()
    switch (below(6)) {
      case 0:
        return this.#mutator.mutate(message)
      case 1:
        return isStartup ? message : this.#mutator.mutatePayload(message)
      default:
        return message
    }
  }

  #bound(): { below: (limit: number) => number; pick: <Item>(items: readonly Item[]) => Item } {
    const mutator = this.#mutator
    return { below: (limit) => mutator.below(limit), pick: (items) => mutator.pick(items) }
  }
}

/** Commands of about so many bytes, each of which could cost more than its length says. */
export function costlyCommands(bytes: number): string[] {
  const repeat = (text: string): string => text.repeat(Math.ceil(bytes / text.length))
  return [
    `SEND_FILE ('${repeat('a/')}b')`,
    `SEND_FILE ('${repeat('x')}')`,
    `SEND_FILE (${repeat(`'${'a/'.repeat(2000)}b', `)}'x')`,
    `SEND_FILE (${repeat(`'${'../'.repeat(1000)}b', `)}'x')`,
    `SEND_FILE (${repeat(`'missing', `)}'x')`,
    `SEND_FILE (${repeat(String.raw`E'\xff\\', `)}'x')`,
    `SEND_FILE (E'${repeat(String.raw`\xc3`)}')`,
    `SEND_FILE ('${repeat("''")}`,
    `SEND_FILE ('${repeat('pg_tblspc/1/')}')`,
    `JOIN_BACKUP '${repeat('0')}'`,
    `START_BACKUP LABEL '${repeat('\u202e')}'`,
    `START_BACKUP MAX_RATE ${repeat('9')}`,
    `START_BACKUP ${repeat('FAST ')}`,
    `START_BACKUP MANIFEST_CHECKSUMS '${repeat('x')}'`,
    `LIST_WAL_FILES START_WAL_LOCATION '${repeat('0')}/0'`,
    `LIST_FILES '${repeat('1')}'`,
    repeat(' \t\n;'),
    repeat('x'),
    repeat('('),
    repeat('\u{1f418}'),
    `LIST_BACKUPS${repeat(';')}`,
  ]
}

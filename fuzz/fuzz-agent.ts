import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { formatScramVerifier, makeScramVerifier } from '../test/helpers/scram-verifiers.js'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { poll } from '../test/helpers/poll.js'
import { debianPostgres, embeddedPostgres } from '../test/helpers/postgres-programs.js'
import { AgentProgram, isInBackupMode } from '../test/transfer/agent/agent-program.js'
import { makeCertificate } from '../test/transfer/agent/make-certificate.js'
import { rowsOf, startBackup } from '../test/transfer/agent/rows.js'
import { query, RawClient, startup } from '../test/transfer/wire/raw-client.js'
import { AgentCommands, costlyCommands } from './agent-commands.js'
import type { Mutator } from '../test/transfer/wire/server/mutator.js'

/** Clients at once. */
const CLIENTS = 8
/** Conversations between two looks at what is left of them. */
const ROUND = 200
/** A client that has said all, and waits for the end of the connection, waits no longer than this. Generous: what hangs, hangs. */
const WATCHDOG_MS = 60_000
/** What the agent may hold when nobody is there, beyond what it held after the first round. */
const MAX_GROWTH_BYTES = 400 * 1024 * 1024
const MAX_MORE_DESCRIPTORS = 8
/** Of the commands whose work is measured. */
const PROBE_BYTES = 1 << 18
/** They may cost so many times what a list of as many bytes of short names does, and so many seconds more. */
const MAX_COST_RATIO = 4
const SLACK_SECONDS = 2

/**
 * Sends a real agent, beside a real server, what clients send and mutations of it. It must not crash, hang, grow, keep a
 * backup running or leave files, and each command's work must be bounded by its length.
 */
export async function fuzzAgent(mutator: Mutator, milliseconds: number): Promise<string> {
  const programs = debianPostgres() ?? (await embeddedPostgres())
  const cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
  const verifier = formatScramVerifier(await makeScramVerifier('secret'))
  const users = join(cluster.scratch.path, 'users')
  writeFileSync(users, `backup:${verifier}\n`, { mode: 0o600 })
  const { cert, key } = await makeCertificate(cluster.scratch.path, 'agent')
  const network = ['--listen=127.0.0.1:0', `--users-file=${users}`, `--tls-cert=${cert}`, `--tls-key=${key}`]
  const agent = await AgentProgram.start(cluster, ['--max-backups=4', '--max-connections=16', ...network])
  try {
    return await new AgentFuzz(cluster, agent, mutator, await agent.networkPort()).run(milliseconds)
  } finally {
    await agent.stop('SIGKILL')
    await cluster.remove()
  }
}

class AgentFuzz {
  readonly #cluster: Cluster
  readonly #agent: AgentProgram
  readonly #mutator: Mutator
  readonly #commands: AgentCommands
  /** Of the network. */
  readonly #port: number
  #conversations = 0
  /** After the first round. */
  #before: { readonly bytes: number; readonly descriptors: readonly string[] } | undefined

  constructor(cluster: Cluster, agent: AgentProgram, mutator: Mutator, port: number) {
    this.#cluster = cluster
    this.#port = port
    this.#agent = agent
    this.#mutator = mutator
    this.#commands = new AgentCommands(mutator)
  }

  async run(milliseconds: number): Promise<string> {
    await this.#measureWork()
    // Start-up and measuring do not count: on a slow machine, nothing else would be done.
    const endsAt = Date.now() + milliseconds
    while (Date.now() < endsAt) await this.#runRound(endsAt)
    const { bytes } = this.#resources()
    return `${this.#conversations} conversations; the agent holds ${Math.round(bytes / 1024 / 1024)} MB`
  }

  /** One client means well and leads a backup, which others may know and join. */
  async #runRound(endsAt: number): Promise<void> {
    const leader = await this.#enter()
    const id = await startBackup(leader)
    this.#commands.knownIds = [id]
    const end = this.#conversations + ROUND
    await Promise.all(Array.from({ length: CLIENTS }, () => this.#converseUntil(end, endsAt)))
    const running = await rowsOf(leader, 'LIST_BACKUPS')
    if (!running.some((row) => row['backup_id'] === id)) throw new Error('a backup was ended by others')
    await leader.end()
    await this.#requireQuiet()
  }

  async #converseUntil(end: number, endsAt: number): Promise<void> {
    while (this.#conversations < end && Date.now() < endsAt) {
      this.#conversations++
      if (this.#mutator.below(4) > 0)
        await this.#converse(await this.#connect(), this.#commands.conversation())
      else await this.#converse(await this.#connectOverNetwork(), this.#commands.knock())
    }
  }

  async #converse(client: RawClient, messages: readonly Buffer[]): Promise<void> {
    const manner = this.#mutator.below(10)
    if (manner === 0) client.socket.pause()
    for (const message of messages) {
      if (client.socket.destroyed) break
      // Cut anywhere: the socket's other end reads what there is.
      const at = this.#mutator.below(message.length + 1)
      client.send(message.subarray(0, at)).send(message.subarray(at))
      if (manner < 5) await sleep(this.#mutator.below(20))
    }
    if (manner < 2) client.socket.destroy()
    else client.socket.end()
    await this.#untilClosed(client, messages)
  }

  async #untilClosed(client: RawClient, messages: readonly Buffer[]): Promise<void> {
    const watchdog = new AbortController()
    const hung = sleep(WATCHDOG_MS, 'hung', { signal: watchdog.signal }).catch(() => 'over')
    const how = await Promise.race([client.drained().then(() => 'over'), hung])
    watchdog.abort()
    client.socket.destroy()
    if (how === 'over') return
    const said = messages.map((message) => message.toString('latin1').slice(0, 200))
    throw new Error(
      `the agent did not end a connection after ${WATCHDOG_MS} ms; it was told ${JSON.stringify(said)}`,
    )
  }

  /** Everybody has gone: nothing is left of them. */
  async #requireQuiet(): Promise<void> {
    this.#requireAlive()
    const client = await this.#enter()
    await poll('all backups to have ended', async () => (await rowsOf(client, 'LIST_BACKUPS')).length === 0)
    await client.end()
    await poll('the server to be out of backup mode', async () => !(await isInBackupMode(this.#cluster)))
    await poll('the fragments to be gone', () => Promise.resolve(this.#agent.fragments().length === 0))
    await this.#requireClosedDescriptors()
    const { bytes } = this.#resources()
    this.#before ??= this.#resources()
    if (bytes > this.#before.bytes + MAX_GROWTH_BYTES) {
      throw new Error(`the agent has grown from ${this.#before.bytes} to ${bytes} bytes`)
    }
  }

  /** The sessions of those who were here before may still be ending, and have their places. */
  async #enter(): Promise<Client> {
    return await poll('a place', async () => await this.#agent.connect().catch(() => undefined))
  }

  #requireAlive(): void {
    const { process, stderr } = this.#agent
    if (process.exitCode !== null || process.signalCode !== null)
      throw new Error(`the agent has ended: ${stderr.slice(-2000)}`)
    const bug = stderr.indexOf('"event":"internal-error"')
    if (bug !== -1) throw new Error(`a fault of ours: ${stderr.slice(bug, bug + 4000)}`)
  }

  async #requireClosedDescriptors(): Promise<void> {
    const areClosed = (): boolean =>
      this.#before === undefined ||
      this.#resources().descriptors.length <= this.#before.descriptors.length + MAX_MORE_DESCRIPTORS
    try {
      await poll('the descriptors to be closed', () => Promise.resolve(areClosed()))
    } catch (error) {
      const [before, now] = [this.#before?.descriptors ?? [], this.#resources().descriptors]
      throw new Error(`${now.length} descriptors after ${before.length}: ${now.join(' ')}`, { cause: error })
    }
  }

  /** What each costly command costs a leader's session, beside a plain one of its length. */
  async #measureWork(): Promise<void> {
    const client = await this.#connect()
    await client.send(startup({ user: 'joe', replication: '1' })).until('Z')
    await client.send(query('START_BACKUP FAST')).until('Z')
    const plain = await this.#secondsOf(client, `SEND_FILE (${`'missing', `.repeat(PROBE_BYTES / 11)}'x')`)
    const limit = plain * MAX_COST_RATIO + SLACK_SECONDS
    for (const command of costlyCommands(PROBE_BYTES)) {
      const seconds = await this.#secondsOf(client, command)
      if (seconds <= limit) continue
      const shown = command.slice(0, 60)
      throw new Error(
        `${command.length} bytes cost ${seconds} s, where ${limit} s would be much: ${shown}...`,
      )
    }
    client.socket.destroy()
    this.#requireAlive()
  }

  /** Processor time of the agent until a command is answered. */
  async #secondsOf(client: RawClient, command: string): Promise<number> {
    const before = this.#processorSeconds()
    await client.send(query(command)).until('Z')
    return this.#processorSeconds() - before
  }

  async #connect(): Promise<RawClient> {
    return await RawClient.connect({ path: join(this.#agent.socketDirectory, '.s.PGSQL.5433') })
  }

  async #connectOverNetwork(): Promise<RawClient> {
    return await RawClient.connect({ host: '127.0.0.1', port: this.#port })
  }

  #processorSeconds(): number {
    const stat = readFileSync(`/proc/${this.#agent.process.pid}/stat`, 'latin1')
    // Behind the name, which may have blanks, user and system time are the 12th and 13th field, in hundredths.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  #resources(): { readonly bytes: number; readonly descriptors: readonly string[] } {
    const directory = `/proc/${this.#agent.process.pid}`
    const [, kilobytes = '0'] =
      /^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`${directory}/status`, 'latin1')) ?? []
    return { bytes: Number(kilobytes) * 1024, descriptors: this.#descriptors(`${directory}/fd`) }
  }

  /** What each is of. One may be closed in the meantime. */
  #descriptors(directory: string): string[] {
    return readdirSync(directory).flatMap((name) => {
      try {
        return [readlinkSync(join(directory, name))]
      } catch {
        return []
      }
    })
  }
}

import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isPbManifestError } from '../src/errors.js'
import { createScratchDirectory } from '../test/helpers/scratch-directory.js'
import type { Mutator } from '../test/transfer/wire/server/mutator.js'
import { type Recording, ReplayingPeer } from './replaying-peer.js'
import { recordSubjects, type Subject } from './client-subjects.js'

/** Backups at the same time. */
const AT_ONCE = 12
/** What takes longer hangs, in milliseconds. Generous. */
const WATCHDOG_MS = 60_000
/** What this process may hold beyond what it held after the first backups. */
const MAX_GROWTH_BYTES = 600 * 1024 * 1024

/**
 * Takes backups from a peer that says what real servers and agents said, and mutations of it. Whatever it says, the client
 * ends, with an error of ours or with none, holds no memory, and writes nothing outside of its directory.
 *
 * @param milliseconds - beside those in which servers are made and recorded
 */
export async function fuzzClient(mutator: Mutator, milliseconds: number): Promise<string> {
  const subjects = await recordSubjects()
  return await new ClientFuzz(subjects, mutator).run(Date.now() + milliseconds)
}

class ClientFuzz {
  readonly #subjects: readonly Subject[]
  readonly #mutator: Mutator
  /** What nobody caught. */
  readonly #stray: unknown[] = []
  #streams = 0
  #failures = 0
  #bytesBefore: number | undefined
  #hasFound = false

  constructor(subjects: readonly Subject[], mutator: Mutator) {
    this.#subjects = subjects
    this.#mutator = mutator
  }

  async run(endsAt: number): Promise<string> {
    const note = (error: unknown): void => void this.#stray.push(error)
    process.on('unhandledRejection', note)
    process.on('uncaughtException', note)
    const scratch = createScratchDirectory()
    try {
      for (const subject of this.#subjects)
        await this.#attempt(subject, subject.recordings, scratch.path, 'whole')
      const work = async (worker: number): Promise<void> => {
        while (Date.now() < endsAt && !this.#hasFound) {
          const subject = this.#mutator.pick(this.#subjects)
          await this.#attempt(subject, this.#mutate(subject.recordings), scratch.path, `${worker}`)
        }
      }
      const works = Array.from({ length: AT_ONCE }, (_, worker) => work(worker))
      // They write in the directory that is removed.
      await Promise.allSettled(works)
      await Promise.all(works)
    } finally {
      process.off('unhandledRejection', note)
      process.off('uncaughtException', note)
      scratch.remove()
    }
    return `${this.#streams} streams, ${this.#failures} of which were refused`
  }

  /** One answer of one connection is damaged, or comes again and again, or is the last. */
  #mutate(recordings: readonly Recording[]): readonly Recording[] {
    const mutator = this.#mutator
    const connection = mutator.below(recordings.length)
    const answers = [...(recordings[connection] ?? [])]
    const place = mutator.below(answers.length)
    const messages = splitMessages(answers[place] ?? Buffer.alloc(0))
    const victim = mutator.below(messages.length)
    const original = messages[victim] ?? Buffer.alloc(0)
    switch (mutator.below(6)) {
      case 0:
        messages.splice(victim, 1)
        break
      case 1:
        messages.splice(victim, 0, ...Array.from({ length: 1 + mutator.below(200) }, () => original))
        break
      case 2:
        messages[victim] = mutator.mutate(original)
        break
      case 3:
        messages[victim] = mutator.pick(messages)
        break
      default:
        messages[victim] = original.length < 5 ? original : mutator.mutatePayload(original)
    }
    answers[place] = Buffer.concat(messages)
    return recordings.map((recording, index) => (index === connection ? answers : recording))
  }

  async #attempt(
    subject: Subject,
    recordings: readonly Recording[],
    scratch: string,
    worker: string,
  ): Promise<void> {
    this.#streams++
    const place = join(scratch, worker)
    const target = join(place, 'inside/target')
    mkdirSync(target, { recursive: true })
    const damaged = recordings.flatMap((recording, index) =>
      recording.filter((answer, place) => answer !== subject.recordings[index]?.[place]),
    )[0]
    const peer = await ReplayingPeer.listen(place, subject.port, {
      recordings,
      ...(damaged && { damaged }),
    })
    const watchdog = new AbortController()
    try {
      const hung = sleep(WATCHDOG_MS, 'hung', { signal: watchdog.signal }).catch(() => 'over')
      const how = await Promise.race([this.#runOnce(subject, place, target), hung])
      if (how === 'hung')
        throw this.#finding(subject, recordings, new Error(`no end after ${WATCHDOG_MS} ms`))
      if (worker === 'whole' && how !== 'done') throw this.#finding(subject, recordings, how)
      this.#judge(subject, recordings, how, place)
    } finally {
      watchdog.abort()
      await peer.close()
      rmSync(place, { recursive: true, force: true })
    }
  }

  /** @returns `done`, or what it was refused with */
  async #runOnce(subject: Subject, place: string, target: string): Promise<unknown> {
    try {
      await subject.run(place, target)
      return 'done'
    } catch (error) {
      this.#failures++
      return error
    }
  }

  #judge(subject: Subject, recordings: readonly Recording[], how: unknown, place: string): void {
    if (how !== 'done' && !isPbManifestError(how)) throw this.#finding(subject, recordings, how)
    if (this.#stray.length > 0) throw this.#finding(subject, recordings, this.#stray[0])
    const left = readdirSync(place).filter((name) => !name.startsWith('.s.PGSQL'))
    if (left.join() !== 'inside' || readdirSync(join(place, 'inside')).join() !== 'target') {
      throw this.#finding(subject, recordings, new Error(`written outside: ${left.join()}`))
    }
    if (this.#streams % 100 !== 0) return
    const bytes = process.memoryUsage.rss()
    if (this.#streams > 500) this.#bytesBefore ??= bytes
    if (bytes > (this.#bytesBefore ?? bytes) + MAX_GROWTH_BYTES) {
      throw this.#finding(subject, recordings, new Error(`memory has grown to ${bytes} bytes`))
    }
  }

  /** The streams are kept, so that one can look at what it was. */
  #finding(
    { name, recordings: originals }: Subject,
    recordings: readonly Recording[],
    cause: unknown,
  ): Error {
    this.#hasFound = true
    const damaged = recordings.flatMap((recording, connection) =>
      recording.flatMap((answer, place) => {
        const original = originals[connection]?.[place]
        return original === answer
          ? []
          : [`connection ${connection}, answer ${place}: ${show(answer)}\nit was ${show(original)}`]
      }),
    )
    return new Error(
      `the client of ${name}, stream ${this.#streams}, told\n${damaged.join('\n')}\n${describe(cause)}`,
      { cause },
    )
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}

function show(answer: Buffer | undefined): string {
  return JSON.stringify(answer?.toString('latin1', 0, 2000))
}

function splitMessages(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return messages
}

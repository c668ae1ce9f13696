import type { FirstFailure } from './first-failure.js'
import type { BackupOptions } from './options.js'
import type { PrestartedWorkers } from './prestarted-workers.js'
import type { CommandResults, SessionCommand, SessionCommandName } from '../commands/replication-command.js'
import type { BackupSession } from '../session/backup-session.js'

/** What a run goes by, and where it registers what is to be undone. */
export interface RunContext {
  readonly options: BackupOptions & { readonly jobs: number }
  /** What the workers are made of. */
  readonly workers: PrestartedWorkers
  readonly failure: FirstFailure
  readonly cleanUp: CleanUp
}

/** Sends one command to a session, and waits for its result; no longer than until something fails elsewhere. */
export async function runCommand<Name extends SessionCommandName>(
  session: BackupSession,
  failure: FirstFailure,
  command: SessionCommand<Name>,
): Promise<CommandResults[Name]> {
  return await failure.waitFor(session.run(command, failure.signal))
}

/** Undoes one thing. Never throws. */
type Undo = () => Promise<void>

/** What has to be undone when a backup fails, the latest first. */
export class CleanUp {
  readonly #undos: Undo[] = []
  #keepsFiles: boolean

  /** @param keepsFiles - whether files stay where they are */
  constructor(keepsFiles: boolean) {
    this.#keepsFiles = keepsFiles
  }

  add(undo: Undo): void {
    this.#undos.push(undo)
  }

  /** Adds one that removes files. */
  addRemoval(undo: Undo): void {
    this.add(async () => {
      if (!this.#keepsFiles) await undo()
    })
  }

  /** From now on, files stay. */
  keepFiles(): void {
    this.#keepsFiles = true
  }

  async run(): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) await undo()
  }
}

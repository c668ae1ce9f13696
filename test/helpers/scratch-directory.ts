import { spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './at-exit.js'
import { canReach } from './can-reach.js'
import { unprivilegedUser } from './unprivileged-user.js'

/** A temporary directory that the user of the PostgreSQL programs owns. */
export interface ScratchDirectory {
  readonly path: string
  /** Removes it with all that is in it. It is removed at the end of the process in any case. */
  remove(): void
}

// 107 bytes are left for the name of a Unix socket; the rest is for our own components.
const longestParent = 60

/** Makes an empty {@link ScratchDirectory}, mode 0700, at a path short enough to hold a Unix socket. */
export function createScratchDirectory(): ScratchDirectory {
  const user = unprivilegedUser()
  const path = mkdtempSync(join(parentDirectory(), 'pbmanifest-'))
  if (user !== undefined) chownSync(path, user.uid, user.gid)
  const forget = atExit(() => removeTree(path))
  return {
    path,
    remove: () => {
      removeTree(path)
      forget()
    },
  }
}

/** Removes a directory with its contents, also when some directories in it forbid that. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  } catch {
    spawnSync('chmod', ['-R', 'u+rwX', path])
    rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}

// By what the system says is for temporary files. Asked once for each: it takes a program, and as long as all the rest.
const parents = new Map<string, string>()

function parentDirectory(): string {
  const directory = tmpdir()
  const parent = parents.get(directory) ?? findParent(directory)
  parents.set(directory, parent)
  return parent
}

function findParent(directory: string): string {
  const preferred = realpathSync(directory)
  const usable = Buffer.byteLength(preferred) <= longestParent && canReach(unprivilegedUser(), preferred)
  return usable ? preferred : realpathSync('/tmp')
}

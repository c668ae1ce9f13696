/** Something to undo, without waiting for anything: it runs while the process ends. */
export type CleanUp = () => void

const cleanUps = new Set<CleanUp>()
let installed = false

/**
 * Runs `cleanUp` when this process ends: by itself, by SIGINT, SIGTERM or SIGHUP, or because the parent that forked it
 * is gone. The latest registered runs first.
 *
 * @returns A function that takes the registration back.
 */
export function atExit(cleanUp: CleanUp): () => void {
  install()
  cleanUps.add(cleanUp)
  return () => {
    cleanUps.delete(cleanUp)
  }
}

const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

function install(): void {
  if (installed) return
  installed = true
  process.on('exit', runCleanUps)
  for (const [signal, status] of Object.entries(signals)) process.on(signal, () => process.exit(status))
  // A test worker whose parent was killed loses its channel and must not outlive it.
  if (process.channel !== undefined) process.on('disconnect', () => process.exit(1))
}

/** Does now what is left to do at the end of the process. */
export function runCleanUps(): void {
  for (const cleanUp of [...cleanUps].toReversed()) {
    cleanUps.delete(cleanUp)
    try {
      cleanUp()
    } catch (error) {
      process.stderr.write(`clean-up failed: ${String(error)}\n`)
    }
  }
}

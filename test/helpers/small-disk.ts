import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { atExit } from './at-exit.js'

/**
 * Makes a directory with a small file system in memory, which can be full, or read only.
 *
 * @param options - of mount, for example `size=8m`
 * @returns A function that takes it away, with all that is on it; `undefined` when we may not mount.
 */
export function mountSmallDisk(path: string, options: string): (() => void) | undefined {
  mkdirSync(path, { recursive: true })
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status !== 0) return undefined
  // Whatever happens: what is mounted cannot be removed.
  const forget = atExit(() => spawnSync('umount', ['--lazy', path]))
  return () => {
    const { status, stderr } = spawnSync('umount', [path], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    forget()
  }
}

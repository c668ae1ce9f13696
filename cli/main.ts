#!/usr/bin/env node
import { closeSync, realpathSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'
import { displayLines } from '../src/files/display-text.js'
import { describeSystemError } from '../src/files/system-error.js'
import { describeBug } from './describe-bug.js'
import { exitStatus } from './exit-status.js'
import { bugAddress, standInVersion, version } from '../src/version.js'

/** `pg_basebackup`, `pbmanifest-basebackup`, and with a version as some systems name them: `pg_basebackup-18`. */
const standInNames = /^(?:pg_|pbmanifest-)?(basebackup|verifybackup)(?:-?[0-9.]+)?$/

const { argv, env, stdin, stdout, stderr } = process
const args = argv.slice(2)
const standIn = findStandIn(argv[1] ?? '')

// Node's own status for an exception is 1, which would say that a backup has problems.
process.on('uncaughtException', (error) => {
  const bug = describeBug(error, args.includes('--debug') || Boolean(env['PBMANIFEST_DEBUG']), bugAddress)
  stderr.write(`${displayLines(bug)}\n`)
  process.exit(exitStatus.bug)
})
watchOutput()
process.on('exit', closeDeadTerminals)

void runProgram()

async function runProgram(): Promise<void> {
  // Node ends when there is nothing left to wait for, whether or not we are done.
  let isDone = false
  process.on('exit', (status) => {
    if (!isDone && status === exitStatus.done) process.exitCode = exitStatus.bug
  })
  if (standIn !== undefined && (args[0] === '--version' || args[0] === '-V')) {
    const { PBMANIFEST_PG_VERSION: claimed = standInVersion } = env
    stdout.write(`${standIn.peer} (PostgreSQL) ${claimed} (pbmanifest ${version})\n`)
  } else if (args[0] === '--version' || args[0] === '-V') {
    stdout.write(`pbmanifest ${version}\n`)
    if (args.includes('--verbose')) stdout.write(await describeEngines())
  } else {
    const [{ run }, { watchSignals }] = await Promise.all([import('./run.js'), import('./signals.js')])
    const isOnTerminal = [stdin, stdout, stderr].some((stream) => stream.isTTY)
    const status = await run({
      args,
      env,
      stdin,
      stdout,
      stderr,
      signals: watchSignals(process, isOnTerminal),
      standIn,
    })
    // Not process.exit(): what was written may still be on its way. A failed write may have set a status already.
    process.exitCode = status === exitStatus.done ? (process.exitCode ?? status) : status
  }
  isDone = true
}

/** By the name that we were called by, or else by that of the file that is run: a link to it may have any name. */
function findStandIn(path: string): { peer: 'pg_basebackup' | 'pg_verifybackup'; name: string } | undefined {
  const name = basename(path, '.js')
  const [, program] = standInNames.exec(name) ?? standInNames.exec(basename(realPathOf(path), '.js')) ?? []
  return program === undefined ? undefined : { peer: `pg_${program}` as 'pg_basebackup', name }
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return ''
  }
}

/**
 * Decides what happens when our output cannot be written. A reader that went away (`| head`, or a terminal that was
 * closed) is not our failure and not worth a word; a disk that is full is.
 */
function watchOutput(): void {
  stderr.on('error', () => {})
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || (error.code === 'EIO' && stdout.isTTY)) return
    const reason = describeSystemError(error)?.message ?? error.message
    stderr.write(`pbmanifest: error: could not write to standard output: ${reason}\n`)
    // For Nagios, 5 is out of bounds, and 3 is UNKNOWN.
    process.exitCode ||= isForNagios() ? exitStatusForNagios : exitStatus.inputOutput
  })
}

const exitStatusForNagios = 3

/** Whether `--output=nagios`, or its beginning, is what was asked for. */
function isForNagios(): boolean {
  return args.some((arg, index) => {
    const [name = '', value = args[index + 1]] = arg.split('=', 2)
    return /^--out?p?u?t?$/.test(name) && value === 'nagios'
  })
}

/**
 * Node gives terminals their modes back when it exits, and aborts, with a core file, when one does not exist any more:
 * after a hang-up, say, that we cleaned up after. One that is closed it leaves alone.
 */
function closeDeadTerminals(): void {
  for (const { isTTY, fd } of [stdin, stdout, stderr]) {
    if (isTTY && !isatty(fd)) closeSync(fd)
  }
}

/** What computes checksums here, a line each. */
async function describeEngines(): Promise<string> {
  const { createFileHasher } = await import('../src/manifest/checksum/create-file-hasher.js')
  const lines = await Promise.all(
    (['CRC32C', 'SHA256'] as const).map(async (algorithm) => {
      const { engine } = await createFileHasher(algorithm)
      return `${algorithm}: ${engine}\n`
    }),
  )
  return `node ${process.version}\n${lines.join('')}`
}

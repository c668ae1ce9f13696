#!/usr/bin/env node
import { displayLines } from '../src/files/display-text.js'
import { closeDeadTerminals } from './dead-terminals.js'
import { describeBug } from './describe-bug.js'
import { exitStatus } from './exit-status.js'
import { bugAddress, version } from '../src/version.js'
import { watchOutput } from './watch-output.js'

const { argv, env, stdin, stdout, stderr } = process
const args = argv.slice(2)

// Node's own status for an exception is 1, which would say that a backup has problems.
process.on('uncaughtException', (error) => {
  const bug = describeBug(error, args.includes('--debug') || Boolean(env['PBMANIFEST_DEBUG']), bugAddress)
  stderr.write(`${displayLines(bug)}\n`)
  process.exit(exitStatus.bug)
})
watchOutput(process)
process.on('exit', () => closeDeadTerminals(process))

if (args[0] === '--version' || args[0] === '-V') {
  stdout.write(`pbmanifest ${version}\n`)
  if (args.includes('--verbose')) {
    const { describeEngines } = await import('./describe-engines.js')
    stdout.write(await describeEngines())
  }
} else {
  const [{ run }, { watchSignals }] = await Promise.all([import('./run.js'), import('./signals.js')])
  const isOnTerminal = [stdin, stdout, stderr].some((stream) => stream.isTTY)
  const status = await run({ args, env, stdin, stdout, stderr, signals: watchSignals(process, isOnTerminal) })
  // Not process.exit(): what was written may still be on its way. A failed write may have set a status already.
  process.exitCode = status === exitStatus.done ? (process.exitCode ?? status) : status
}

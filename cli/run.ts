import type { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { isPbManifestError, PbManifestError } from '../src/errors.js'
import { displayJson, displayLines } from '../src/files/display-text.js'
import { explainShortage } from '../src/files/system-error.js'
import { wantsColor } from './color.js'
import { program } from './command-table.js'
import { describeBug } from './describe-bug.js'
import {
  type ExitStatus,
  exitStatus,
  exitStatusOfError,
  exitStatusOfSignal,
  type StopSignal,
} from './exit-status.js'
import { describeErrorAsJson, outputAskedFor } from './json-error.js'
import { type MessageOutput, Messages } from './messages.js'
import { commandNameOf, parseCommandLine, type Request } from './parse-command-line.js'
import type { Command, CommandContext } from './commands/command.js'
import type { StandInName } from './stand-ins/stand-in.js'
import type { ServerNotice } from '../src/transfer/connection/server-error.js'
import { type Signals, stopSignalOf } from './signals.js'
import { bugAddress } from '../src/version.js'

/** All that the command line knows of its process. */
export interface Host {
  /** Without the names of the interpreter and the script. */
  readonly args: readonly string[]
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly stdin: Readable
  readonly stdout: { write(text: string | Uint8Array): unknown }
  readonly stderr: MessageOutput
  readonly signals: Signals
  /** When the program was called by the name of one of PostgreSQL, whose place it takes. */
  readonly standIn?: StandInName | undefined
}

/** Understands the command line, does what it says, and reports what went wrong. Never throws. */
export async function run(host: Host): Promise<ExitStatus> {
  if (host.standIn === undefined) return await runAs(host, pbmanifest(host.args))
  const { parseStandIn, standInContext, standInStatus } = await import('./stand-ins/stand-in.js')
  const { standIn, args, env } = host
  const status = await runAs(host, {
    name: standIn.name,
    parse: () => parseStandIn(standIn, args, env),
    help: `${standIn.name} --help`,
    output: undefined,
    command: undefined,
    adapt: (context, options) => standInContext(standIn, context, options),
  })
  return standInStatus(status)
}

/** As what the program runs: as itself, or in the place of another one. */
interface Role {
  /** In whose name messages are. */
  readonly name: string
  readonly parse: () => Promise<Request>
  /** What to try in order to learn how it is used. */
  readonly help: string
  /** What is asked for on standard output. */
  readonly output: string | undefined
  readonly command: string | undefined
  readonly adapt: (context: CommandContext, options: Readonly<Record<string, unknown>>) => CommandContext
}

function pbmanifest(args: readonly string[]): Role {
  const command = commandNameOf(args)
  return {
    name: 'pbmanifest',
    parse: () => parseCommandLine(args),
    help: `pbmanifest ${command === undefined ? '' : `${command} `}--help`,
    output: outputAskedFor(args, program),
    command,
    adapt: (context) => context,
  }
}

function tellNotice(messages: Messages, { severity, message, hint }: ServerNotice): void {
  if (severity === 'WARNING') messages.warning(message)
  else messages.note(message)
  if (hint !== undefined) messages.hint(hint)
}

async function runAs(host: Host, role: Role): Promise<ExitStatus> {
  const { env, stderr } = host
  const { output } = role
  const { stop: signal, onHangup, onSecondStop } = host.signals
  const isTerminal = stderr.isTTY === true
  const messages = new Messages(stderr, wantsColor(undefined, env, isTerminal), role.name)
  const print = (text: string): void => void host.stdout.write(`${displayLines(text)}\n`)
  const printBytes = (bytes: Uint8Array): void => void host.stdout.write(bytes)
  const printJson = (json: string | Iterable<string>): void => {
    for (const piece of typeof json === 'string' ? [json] : json) host.stdout.write(displayJson(piece))
    host.stdout.write('\n')
  }
  let wantsStack = Boolean(env['PBMANIFEST_DEBUG'])
  let endsBySignal = false
  const noteStop = (): void => {
    if (!endsBySignal && output !== 'nagios') messages.note(describeStop(signal))
  }
  signal.addEventListener('abort', noteStop, { once: true })

  let status: ExitStatus
  try {
    const request = await role.parse()
    if (request.kind === 'print') {
      print(request.text)
      return exitStatus.done
    }
    messages.hasColor = wantsColor(request.color, env, isTerminal)
    wantsStack ||= request.debug
    endsBySignal = isEndedBySignal(request.command, request.operands)
    const context = {
      print,
      printBytes,
      printJson,
      messages,
      tellNotice: (notice: ServerNotice) => tellNotice(messages, notice),
      stdin: host.stdin,
      env,
      signal,
      onHangup,
      onSecondStop,
      program,
    }
    status = await request.command.run(
      role.adapt(context, request.options),
      request.options,
      request.operands,
    )
    if (endsBySignal) return status
  } catch (thrown) {
    const error = isAbort(thrown, signal) ? abortError(signal, thrown) : explainShortage(thrown)
    const hint = hintFor(error, role.help)
    if (output === 'json') printJson(JSON.stringify(describeErrorAsJson(error, hint), null, 2))
    if (output === 'nagios') return await reportToNagios(error, print)
    // That we were told to stop was said when the signal came.
    if (!isAbort(thrown, signal)) reportError(error, hint, messages, wantsStack)
    status = exitStatusOfError(error, role.command)
  }
  const stopSignal = stopSignalOf(signal)
  return stopSignal === undefined ? status : exitStatusOfSignal(stopSignal)
}

function isEndedBySignal({ endsBySignal = [] }: Command, [action = '']: readonly string[]): boolean {
  return endsBySignal === true || endsBySignal.includes(action)
}

const wordOfStop: Readonly<Record<StopSignal, string>> = {
  SIGHUP: 'hung up',
  SIGINT: 'interrupted',
  SIGTERM: 'terminated',
}

function describeStop(signal: AbortSignal): string {
  return wordOfStop[stopSignalOf(signal) ?? 'SIGINT']
}

function abortError(signal: AbortSignal, cause: unknown): PbManifestError {
  return new PbManifestError('ABORTED', describeStop(signal), { cause })
}

// Node's own functions throw the reason of the abort, or an AbortError.
function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false
  if (isPbManifestError(error)) return error.code === 'ABORTED'
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

function hintFor(error: unknown, howToHelp: string): string | undefined {
  if (!isPbManifestError(error)) return undefined
  if (error.code !== 'USAGE') return error.hint
  const help = `Try "${howToHelp}" for more information.`
  return error.hint === undefined ? help : `${error.hint} ${help}`
}

/** Whoever runs plugins may take standard error for more of the one line, and knows four statuses. */
async function reportToNagios(error: unknown, print: (text: string) => void): Promise<ExitStatus> {
  const { formatNagiosLine, nagiosStates } = await import('../src/renderings/nagios.js')
  print(formatNagiosLine('unknown', error instanceof Error ? error.message : String(error)))
  return nagiosStates.unknown
}

function reportError(
  error: unknown,
  hint: string | undefined,
  messages: Messages,
  wantsStack: boolean,
): void {
  if (!isPbManifestError(error)) return messages.lines(describeBug(error, wantsStack, bugAddress))
  messages.error(error.message)
  for (const detail of error.details) messages.detail(detail)
  if (hint !== undefined) messages.hint(hint)
  if (wantsStack) messages.lines(inspect(error))
}

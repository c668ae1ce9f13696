import { PbManifestError } from '../../errors.js'
import type { WireColumn, WireRow } from '../wire/wire-handler.js'
import type { CommandName, CommandResults, ReplicationCommand } from './replication-command.js'
import type { CommandTokens } from './command-tokens.js'

/**
 * One command as two sides speak of it: its text, and what its result is between a session and whoever has asked. What writes
 * and what reads stand side by side.
 */
export interface CommandContract<Name extends CommandName> {
  /** Reads what follows the command's name. @throws {@link CommandSyntaxError} */
  readonly parse: (tokens: CommandTokens) => ReplicationCommand<Name>
  /** Writes what {@link parse} reads; what is as it is by default is left out. */
  readonly format: (command: ReplicationCommand<Name>) => readonly string[]
  readonly result: ResultFormat<CommandResults[Name], ReplicationCommand<Name>>
}

/** How a result is sent and received. The tag of a CommandComplete is the command's name, where nothing else is said. */
export interface ResultFormat<Result, Command = unknown> {
  /** @throws what `output` throws, and a result that is a stream */
  readonly encode: (result: Result, output: ResultOutput) => Promise<void>
  /** @throws {@link PbManifestError} `SERVER` when this is not what was agreed on; and what the answers throw */
  readonly decode: (answers: Answers, command: Command) => Result | Promise<Result>
}

/** Where an encoded result goes: `rows` once, or any number of `part`, or nothing. */
export interface ResultOutput {
  readonly rows: (columns: readonly WireColumn[], rows: Iterable<WireRow>) => void | Promise<void>
  /** Resolves when the next one may come; the bytes of this one may be used again then. */
  readonly part: (part: ResultPart) => Promise<void>
}

/** What a result consists of that is no rows. */
export type ResultPart =
  /** A COPY begins. */
  | { readonly type: 'begin' }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  /** The COPY is over. */
  | { readonly type: 'end'; readonly tag: string }
  /** A result without a COPY. */
  | { readonly type: 'nothing'; readonly tag: string }

/** A value of a row, in text format. Bytes that are no text come as a pathname's do (`files/pathname.ts`). */
export type Value = string | null

/** What comes in answer to a command. */
export type Answer =
  | { readonly type: 'columns'; readonly names: readonly string[] }
  | { readonly type: 'row'; readonly values: readonly Value[] }
  /** Data of a COPY, in pieces of any size. */
  | { readonly type: 'data'; readonly bytes: Buffer }
  /** A result has ended. */
  | { readonly type: 'complete'; readonly tag: string }

/** Answers in their order, as many at a time as are there. */
export type Answers = AsyncIterable<readonly Answer[]>

/** What an agent says is not what was agreed on. */
export function agentProtocolError(what: string): PbManifestError {
  return new PbManifestError('SERVER', `the agent does not keep to the protocol: ${what}`)
}

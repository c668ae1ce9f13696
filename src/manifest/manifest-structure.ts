import type { JsonEvents } from './json/json-events.js'
import { manifestParseError } from './manifest-error.js'
import type { ManifestFile, ManifestHeader, ManifestVersion, WalRange } from './model.js'
import { fileFields, parseManifestFile } from './manifest-parts.js'
import { parseWalRange, walRangeFields } from './manifest-parts.js'
import { parseWholeNumber } from './manifest-parts.js'
import { displayPathname } from '../files/pathname.js'
import { type PlainEntry, ServerLayoutReader, toManifestFile } from './server-layout.js'

/** What to do with each part of a manifest, in the order in which they are read. */
export interface ManifestHandler {
  readonly file: (file: ManifestFile) => void
  /** Takes entries as they stand, which costs no memory. Without it, `file` is told of them, too. */
  readonly plainFile?: (entry: PlainEntry) => void
  readonly walRange: (range: WalRange) => void
}

const VERSION = 'PostgreSQL-Backup-Manifest-Version'

type State =
  | 'document'
  | 'version key'
  | 'version'
  | 'top level'
  | 'system identifier'
  | 'files'
  | 'in files'
  | 'in file'
  | 'WAL ranges'
  | 'in WAL ranges'
  | 'in WAL range'
  | 'checksum'
  | 'after checksum'
  | 'end'

/** The order and the kinds of what a manifest may hold, as a state machine over JSON events. */
export class ManifestStructure implements JsonEvents {
  readonly #handler: ManifestHandler
  readonly #plainEntries: ServerLayoutReader
  #state: State = 'document'
  #version: ManifestVersion = 1
  #systemIdentifier: bigint | undefined
  #checksum = ''
  #lastValueOffset = 0
  #valueBeforeChecksum = 0
  readonly #topLevelFields = new Set<string>()
  #fields = new Map<string, string>()
  #field = ''

  constructor(handler: ManifestHandler) {
    this.#handler = handler
    const tell = handler.plainFile ?? ((entry: PlainEntry): void => handler.file(toManifestFile(entry)))
    this.#plainEntries = new ServerLayoutReader(tell)
  }

  objectStart(): void {
    switch (this.#state) {
      case 'document':
        this.#state = 'version key'
        return
      case 'in files':
      case 'in WAL ranges':
        this.#fields = new Map()
        this.#state = this.#state === 'in files' ? 'in file' : 'in WAL range'
        return
      default:
        throw manifestParseError('unexpected object start')
    }
  }

  objectEnd(offset: number): void {
    this.#lastValueOffset = offset
    switch (this.#state) {
      case 'in file':
        this.#handler.file(parseManifestFile(this.#fields as Parameters<typeof parseManifestFile>[0]))
        this.#state = 'in files'
        return
      case 'in WAL range':
        this.#handler.walRange(parseWalRange(this.#fields as Parameters<typeof parseWalRange>[0]))
        this.#state = 'in WAL ranges'
        return
      case 'after checksum':
        this.#state = 'end'
        return
      default:
        throw manifestParseError('unexpected object end')
    }
  }

  arrayStart(): void {
    if (this.#state === 'files') this.#state = 'in files'
    else if (this.#state === 'WAL ranges') this.#state = 'in WAL ranges'
    else throw manifestParseError('unexpected array start')
  }

  arrayEnd(offset: number): void {
    this.#lastValueOffset = offset
    if (this.#state !== 'in files' && this.#state !== 'in WAL ranges') {
      throw manifestParseError('unexpected array end')
    }
    this.#state = 'top level'
  }

  field(name: string): void {
    switch (this.#state) {
      case 'version key':
        if (name !== VERSION) throw manifestParseError('expected version indicator')
        this.#state = 'version'
        return
      case 'top level':
        return this.#topLevelField(name)
      case 'in file':
        return this.#openField(name, fileFields, 'unexpected file field')
      case 'in WAL range':
        return this.#openField(name, walRangeFields, 'unexpected WAL range field')
      default:
        throw manifestParseError('unexpected object field')
    }
  }

  scalar(text: string, offset: number): void {
    this.#lastValueOffset = offset
    switch (this.#state) {
      case 'version':
        this.#version = parseVersion(text)
        this.#state = 'top level'
        return
      case 'system identifier':
        this.#systemIdentifier = parseSystemIdentifier(text)
        this.#state = 'top level'
        return
      case 'in file':
      case 'in WAL range':
        this.#fields.set(this.#field, text)
        return
      case 'checksum':
        this.#checksum = text
        this.#state = 'after checksum'
        return
      default:
        throw manifestParseError('unexpected scalar')
    }
  }

  readElements(pending: Buffer, isFirst: boolean, offset: number): number {
    if (this.#state !== 'in files') return 0
    const length = this.#plainEntries.read(pending, isFirst)
    if (length > 0) this.#lastValueOffset = offset + length - 1
    return length
  }

  /** What the text said, when it ended where a manifest may end. */
  summary(): { header: ManifestHeader; expectedChecksum: string; valueBeforeChecksum: number } {
    if (this.#state !== 'end') throw manifestParseError('manifest ended unexpectedly')
    if (!this.#topLevelFields.has('Files')) throw manifestParseError('missing file list')
    if (this.#version !== 1 && this.#systemIdentifier === undefined) {
      throw manifestParseError('missing system identifier')
    }
    return {
      header: { version: this.#version, systemIdentifier: this.#systemIdentifier },
      expectedChecksum: this.#checksum,
      valueBeforeChecksum: this.#valueBeforeChecksum,
    }
  }

  #topLevelField(name: string): void {
    const state = this.#stateAfterField(name)
    // PostgreSQL takes a second list for more of the first, and the last of two identifiers.
    if (this.#topLevelFields.has(name)) throw manifestParseError(`duplicate top-level field "${name}"`)
    this.#topLevelFields.add(name)
    this.#state = state
  }

  #stateAfterField(name: string): State {
    switch (name) {
      case 'System-Identifier':
        if (this.#version === 1) break
        return 'system identifier'
      case 'Files':
        return 'files'
      case 'WAL-Ranges':
        return 'WAL ranges'
      case 'Manifest-Checksum':
        this.#valueBeforeChecksum = this.#lastValueOffset
        return 'checksum'
      default:
    }
    throw manifestParseError('unrecognized top-level field')
  }

  #openField(name: string, known: readonly string[], refusal: string): void {
    if (!known.includes(name)) throw manifestParseError(refusal)
    // PostgreSQL lets the last one win; another reader might take the first.
    if (this.#fields.has(name)) throw manifestParseError(`duplicate field "${displayPathname(name)}"`)
    this.#field = name
  }
}

function parseVersion(text: string): ManifestVersion {
  const version = parseWholeNumber(text)
  if (version === undefined) throw manifestParseError('manifest version not an integer')
  if (version !== 1n && version !== 2n) throw manifestParseError('unexpected manifest version')
  return version === 1n ? 1 : 2
}

function parseSystemIdentifier(text: string): bigint {
  const identifier = parseWholeNumber(text)
  if (identifier === undefined || identifier > 0xffff_ffff_ffff_ffffn) {
    throw manifestParseError('system identifier in manifest not an integer')
  }
  return identifier
}

import { findRelationFork } from '../data-page/page-files.js'
import { PAGE_SIZE, STOCK_SEGMENT_PAGES } from '../data-page/page-layout.js'
import { ChangedBlocks, type ChangedBlocksMemory } from './changed-blocks.js'
import { SharedRows } from './shared-rows.js'
import { type ForkAddress, NO_LIMIT } from './summary-file.js'

/** A file of a relation's fork. */
type RelationFile = ForkAddress & { readonly segment: number }

/** What an incremental backup has of a file: these of its blocks. */
export interface IncrementalContentPlan {
  /** Numbers within the file, ascending. */
  readonly blocks: Uint32Array
  /** See `IncrementalPreamble`. */
  readonly truncationBlockLength: number
  /** Whether the WAL says anything of it at all. */
  readonly isChanged: boolean
}

const FREE_SPACE_MAP = 1

/** A database as a whole stands where a relation without a number would. */
const WHOLE_DATABASE = { relationNumber: 0, fork: 0 } as const

/** {@link IncrementalPlan} as plain data and shared memory, which a message between threads carries. */
export interface IncrementalPlanMemory {
  readonly changes: ChangedBlocksMemory
  readonly priorFiles: SharedArrayBuffer
}

/** Of a file that a prior backup has: tablespace, database, relation, fork, segment. */
const FILE_WIDTH = 5

/** The files of relations that a prior backup has, whole or as their changes. */
export class PriorFiles {
  readonly #rows: number[][] = []

  /** @param pathname - as in its manifest */
  add(pathname: string): void {
    const file = findRelationFork(pathname)
    if (file === undefined) return
    this.#rows.push([file.tablespaceOid, file.databaseOid, file.relationNumber, file.fork, file.segment])
  }

  /** In memory that threads share. */
  finish(): SharedArrayBuffer {
    return SharedRows.of(this.#rows, FILE_WIDTH).memory
  }
}

/**
 * Says what an incremental backup has of each file, by the rules of a server.
 *
 * @see src/backend/backup/basebackup_incremental.c (`GetFileBackupMethod`)
 */
export class IncrementalPlan {
  readonly memory: IncrementalPlanMemory
  readonly #changes: ChangedBlocks
  readonly #priorFiles: SharedRows

  constructor(memory: IncrementalPlanMemory) {
    this.memory = memory
    this.#changes = new ChangedBlocks(memory.changes)
    this.#priorFiles = new SharedRows(memory.priorFiles, FILE_WIDTH)
  }

  /**
   * Plans a file when a server would take only its changes.
   *
   * @param pathname - of the whole file, relative to the data directory
   * @param size - in bytes
   * @returns `undefined`: all of it
   */
  plan(pathname: string, size: number): IncrementalContentPlan | undefined {
    if (size % PAGE_SIZE !== 0) return undefined
    const planned = this.planChanges(pathname, size)
    // A file that says that an empty one has not changed would be the larger.
    if (planned === undefined || (size === 0 && !planned.isChanged)) return undefined
    // To leave out a tenth is not worth the trouble.
    return planned.blocks.length * PAGE_SIZE > size * 0.9 ? undefined : planned
  }

  /**
   * Plans a file of which the changes are wanted, whether or not that is worth it.
   *
   * @returns `undefined` when the changes would not do, because nothing is known of what they are changes to
   */
  planChanges(pathname: string, size: number): IncrementalContentPlan | undefined {
    const file = findRelationFork(pathname)
    const pages = Math.floor(size / PAGE_SIZE)
    if (file === undefined || pages > STOCK_SEGMENT_PAGES || !this.#isKnownBefore(file)) return undefined
    const limitBlock = this.#changes.limitBlockOf(file)
    if (limitBlock === undefined) {
      return { blocks: new Uint32Array(), truncationBlockLength: pages, isChanged: false }
    }
    const first = file.segment * STOCK_SEGMENT_PAGES
    if (limitBlock <= first) return undefined
    const blocks = this.#changes.blocksOf(file, first, first + pages).map((block) => block - first)
    const kept = limitBlock === NO_LIMIT ? 0 : Math.min(limitBlock - first, STOCK_SEGMENT_PAGES)
    return { blocks, truncationBlockLength: Math.max(pages, kept), isChanged: true }
  }

  /** Whether its free space map, which is not in the WAL, its database, and the prior backup let its changes be enough. */
  #isKnownBefore(file: RelationFile): boolean {
    const { tablespaceOid, databaseOid, relationNumber, fork, segment } = file
    if (fork === FREE_SPACE_MAP) return false
    if (this.#priorFiles.find(tablespaceOid, databaseOid, relationNumber, fork, segment) === undefined) {
      return false
    }
    return this.#changes.limitBlockOf({ tablespaceOid, databaseOid, ...WHOLE_DATABASE }) === undefined
  }
}

import { hierarchy, treemap, treemapSquarify } from 'd3-hierarchy'
import { problemsOf } from '../../verify/make-report.js'
import { type VerifyReport, type VerifyStep, verifySteps } from '../../verify/report.js'
import { formatBytes, formatCount, formatSeconds } from '../format.js'
import { type BackupFiles, type FileFork, fileForks, type FileGroup } from './backup-files.js'
import { markup, type Markup } from './markup.js'

const WIDTH = 960
/** More leaves than these nobody sees. */
const MAX_GROUPS = 300
/** So many files with damaged blocks are drawn. */
const MAX_FILES = 50
const BLOCK_BYTES = 8192
/** Of a character, about. */
const CHARACTER_WIDTH = 6.6

/** A place in the map: a tablespace, a relation in it, a fork of that. */
interface MapNode {
  readonly name: string
  readonly fork?: FileFork
  readonly bytes?: number
  readonly children?: readonly MapNode[]
}

/** The bytes of a backup by tablespace, relation and fork, as areas. */
export function drawTreemap({ groups }: BackupFiles): Markup {
  const height = 460
  const root = treemap<MapNode>()
    .tile(treemapSquarify)
    .size([WIDTH, height])
    .paddingTop((node) => (node.depth === 1 ? 18 : 0))
    .paddingInner((node) => (node.depth === 0 ? 4 : 1))
    .round(true)(hierarchy(mapOf(groups)).sum(({ bytes = 0 }) => bytes))
  const shapes = root.descendants().flatMap((node) => {
    const [width, tall] = [node.x1 - node.x0, node.y1 - node.y0]
    if (node.depth === 0 || width <= 0 || tall <= 0) return []
    const place = node.ancestors().toReversed().slice(1)
    const title = `${place.map(({ data }) => data.name).join(', ')}: ${formatBytes(node.value ?? 0)}`
    if (node.depth === 1) {
      return [
        markup`<g
          ><title>${title}</title
          ><text class="small" x="${node.x0 + 3}" y="${node.y0 + 13}">${fitted(title, width - 6)}</text></g
        >`,
      ]
    }
    if (node.children !== undefined) return []
    const label = node.parent?.data.name ?? ''
    const text = tall < 16 ? '' : fitted(label, width - 6)
    return [
      markup`<g
        ><title>${title}</title
        ><rect
          class="${node.data.fork ?? 'other'}"
          x="${node.x0}"
          y="${node.y0}"
          width="${width}"
          height="${tall}"
        />${text !== '' && markup`<text class="small" x="${node.x0 + 3}" y="${node.y0 + 13}">${text}</text>`}</g
      >`,
    ]
  })
  const used = fileForks.filter((fork) => groups.some(({ bytes }) => bytes[fork] > 0))
  return markup`<svg
      viewBox="0 0 ${WIDTH} ${height}"
      role="img"
      aria-label="Bytes by tablespace, relation and fork, as areas; the largest are in the table below"
    >
      ${shapes.map((shape) => markup`${shape} `)}
    </svg>
    <ul class="legend">
      ${used.map(
        (fork) =>
          markup`<li>
            <svg viewBox="0 0 16 16" aria-hidden="true"><rect class="${fork}" width="16" height="16" /></svg>
            ${forkWords[fork]}
          </li>`,
      )}
    </ul>`
}

const forkWords: Readonly<Record<FileFork, string>> = {
  main: 'data',
  fsm: 'free space map',
  vm: 'visibility map',
  init: 'init fork',
  other: 'no relation',
}

function mapOf(groups: readonly FileGroup[]): MapNode {
  const tablespaces = new Map<string, MapNode[]>()
  const rest = new Map<string, { count: number; bytes: number }>()
  for (const [index, group] of groups.entries()) {
    if (index < MAX_GROUPS) {
      const forks = fileForks.filter((fork) => group.bytes[fork] > 0)
      const children = forks.map((fork) => ({ name: forkWords[fork], fork, bytes: group.bytes[fork] }))
      tablespaces.set(group.tablespace, [
        ...(tablespaces.get(group.tablespace) ?? []),
        { name: group.name, children },
      ])
    } else {
      const more = rest.get(group.tablespace) ?? { count: 0, bytes: 0 }
      rest.set(group.tablespace, { count: more.count + 1, bytes: more.bytes + group.total })
    }
  }
  for (const [tablespace, { count, bytes }] of rest) {
    const node: MapNode = { name: `${count} smaller`, children: [{ name: 'together', fork: 'other', bytes }] }
    tablespaces.set(tablespace, [...(tablespaces.get(tablespace) ?? []), node])
  }
  return { name: '', children: [...tablespaces].map(([name, children]) => ({ name, children })) }
}

function fitted(text: string, width: number): string {
  const room = Math.floor(width / CHARACTER_WIDTH)
  if (text.length <= room) return text
  return room < 4 ? '' : `${text.slice(0, room - 1)}…`
}

/** A file, and which of its blocks are damaged. */
interface DamagedFile {
  readonly pathname: string
  readonly blocks: Set<number>
  /** Damaged ones of which nobody kept where they are. */
  unknown: number
}

/** Where the damaged blocks of each file are; nothing when there are none. */
export function drawDamagedBlocks(report: VerifyReport, files: BackupFiles | undefined): Markup | undefined {
  const damaged = findDamagedBlocks(report)
  if (damaged.length === 0) return undefined
  const rows = damaged.slice(0, MAX_FILES).map((file) => drawFile(file, files?.sizeOf(file.pathname)))
  const more = damaged.length - rows.length
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Files with damaged blocks">
      <table>
        <caption>
          From the first block of a file on the left to its last on the right.
        </caption>
        <thead>
          <tr>
            <th scope="col">File</th>
            <th scope="col" class="number">Damaged blocks</th>
            <th scope="col">Where</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
    ${more > 0 && markup`<p>${formatCount(more, 'more file')} with damaged blocks.</p>`}`
}

function findDamagedBlocks(report: VerifyReport): DamagedFile[] {
  const files = new Map<string, DamagedFile>()
  for (const { path, block, blocks = [], furtherBlocks = 0 } of problemsOf(report)) {
    if (path === undefined || (block === undefined && furtherBlocks === 0)) continue
    const file = files.get(path) ?? { pathname: path, blocks: new Set<number>(), unknown: 0 }
    for (const number of blocks) file.blocks.add(number)
    if (block !== undefined) file.blocks.add(block)
    file.unknown += Math.max(0, furtherBlocks - blocks.length)
    files.set(path, file)
  }
  return [...files.values()].toSorted((one, other) => countOf(other) - countOf(one))
}

function countOf({ blocks, unknown }: DamagedFile): number {
  return blocks.size + unknown
}

function drawFile(file: DamagedFile, bytes: number | undefined): Markup {
  const last = Math.max(...file.blocks, 0)
  const all = Math.max(last + 1, Math.ceil((bytes ?? 0) / BLOCK_BYTES))
  const columns = Math.min(all, 480)
  const hit = new Set([...file.blocks].map((block) => Math.floor((block / all) * columns)))
  const width = 480 / columns
  const marks = [...hit].map(
    (column) =>
      markup`<rect
        class="damage"
        x="${(column * width).toFixed(2)}"
        y="0"
        width="${Math.max(width, 2).toFixed(2)}"
        height="20"
      />`,
  )
  const first = [...file.blocks].toSorted((one, other) => one - other).slice(0, 8)
  const listed = first.join(', ') + (countOf(file) > first.length ? ' …' : '')
  return markup`<tr>
    <td>${file.pathname}</td>
    <td class="number">${countOf(file)} of ${all}</td>
    <td>
      <svg viewBox="0 0 480 20" role="img" aria-label="Blocks ${listed} of ${all}">
        <rect class="track" width="480" height="20" />
        ${marks}</svg
      >${listed}
    </td>
  </tr> `
}

const stepWords: Readonly<Record<VerifyStep, string>> = {
  manifest: 'manifest',
  scan: 'scan',
  checksums: 'checksums',
  cluster: 'cluster',
  wal: 'WAL',
}

/** How long each step took, as bars, with the numbers beside them. */
export function drawTimes({ seconds }: VerifyReport): Markup {
  const longest = Math.max(...verifySteps.map((step) => seconds[step]), Number.EPSILON)
  const rows = verifySteps.map(
    (step) =>
      markup`<tr>
        <th scope="row">${stepWords[step]}</th>
        <td class="number">${formatSeconds(seconds[step])}</td>
        <td>
          <svg viewBox="0 0 480 14" aria-hidden="true">
            <rect class="bar" width="${((seconds[step] / longest) * 480).toFixed(1)}" height="14" />
          </svg>
        </td>
      </tr> `,
  )
  return markup`<table>
    <caption>
      Steps may overlap; all took ${formatSeconds(seconds.total)}.
    </caption>
    <thead>
      <tr>
        <th scope="col">Step</th>
        <th scope="col" class="number">Time</th>
        <th scope="col">Share of the longest</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`
}

import { parseFragmentLine } from '../../../src/manifest/fragment/fragment-lines.js'
import { type FragmentEnd, readFragment } from '../../../src/manifest/fragment/read-fragment.js'
import type { ManifestFile } from '../../../src/manifest/model.js'

/** What is found in a fragment, in this order: its files, then how it ends. */
export type FragmentItem =
  | { readonly type: 'file'; readonly file: ManifestFile; readonly line: Buffer; readonly pathname: Buffer }
  | FragmentEnd

/** Reads a fragment; each line is read again by the parser that takes every line. */
export async function readItems(path: string): Promise<FragmentItem[]> {
  const items: FragmentItem[] = []
  const end = await readFragment(path, {
    onLine: ({ bytes, start, end, pathnameBytes, pathnameStart, pathnameEnd, size }) => {
      const line = Buffer.from(bytes.subarray(start, end))
      const file = parseFragmentLine(line)
      if (typeof file === 'string' || file.size !== size)
        throw new Error(`read otherwise: ${line.toString()}`)
      const pathname = Buffer.from(pathnameBytes.subarray(pathnameStart, pathnameEnd))
      items.push({ type: 'file', file, line, pathname })
    },
  })
  return [...items, end]
}

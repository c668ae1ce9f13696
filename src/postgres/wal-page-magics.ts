/**
 * The magic number of WAL pages, by PostgreSQL major version. It changes with every change of the WAL format.
 *
 * @see src/include/access/xlog_internal.h (`XLOG_PAGE_MAGIC`)
 */
export const walPageMagics: ReadonlyMap<number, number> = new Map([
  [13, 0xd106],
  [14, 0xd10d],
  [15, 0xd110],
  [16, 0xd113],
  [17, 0xd116],
  [18, 0xd118],
])

const majors: ReadonlyMap<number, number> = new Map(
  Array.from(walPageMagics, ([major, magic]) => [magic, major] as const),
)

/** Gives the PostgreSQL major version that wrote a WAL page, or `undefined` for a magic number we do not know. */
export function postgresMajorOfWalPageMagic(magic: number): number | undefined {
  return majors.get(magic)
}

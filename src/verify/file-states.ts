/** What the scan of the directory said of each row of the table: 0 for a file that it did not meet. */
export type FileStates = Uint8Array

export const fileStates = { intact: 1, faulty: 2 } as const

/** Whether the file is there, is a file, and has its size. */
export function isIntact(states: FileStates, row: number): boolean {
  return states[row] === fileStates.intact
}

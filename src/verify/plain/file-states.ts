/** What is known of each row of the table: 0 for a file that the scan of the directory did not meet. */
export type FileStates = Uint8Array

/** `regular`: it is a regular file, and a thread that reads it will say whether it has its size. */
export const fileStates = { intact: 1, faulty: 2, regular: 3 } as const

/** Whether the file is there, is a file, and has its size. */
export function isIntact(states: FileStates, row: number): boolean {
  return states[row] === fileStates.intact
}

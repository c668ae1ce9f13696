/** Uint8: {@link PIECES} times {@link PIECE_BYTES}. */
export type PieceMemory = SharedArrayBuffer

/** So many pieces are filled and emptied in turn: while the socket takes one, the next is being read. */
export const PIECES = 4
export const PIECE_BYTES: number = 512 * 1024

export function allocatePieces(): PieceMemory {
  return new SharedArrayBuffer(PIECES * PIECE_BYTES)
}

/** The memory of each piece. */
export function piecesOf(memory: PieceMemory): Buffer[] {
  return Array.from({ length: PIECES }, (_, piece) => Buffer.from(memory, piece * PIECE_BYTES, PIECE_BYTES))
}

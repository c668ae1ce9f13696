/** Thrown out of the middle of a file whose result nobody waits for any more. */
export class Abandoned extends Error {}

/**
 * What is said about an exception that nobody meant: one line, and the stack when it is asked for.
 *
 * @param address - where to report it; `undefined` when the package does not say
 */
export function describeBug(error: unknown, wantsStack: boolean, address: string | undefined): string {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`
  const where = address === undefined ? 'to whoever you have it from' : `at ${address}`
  const line = `pbmanifest: error: this is a bug of pbmanifest, please report it ${where}: ${what}`
  const oneLine = line.replaceAll(/\s+/g, ' ')
  return wantsStack && error instanceof Error ? `${oneLine}\n${error.stack ?? ''}` : oneLine
}

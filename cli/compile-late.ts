import { setFlagsFromString } from 'node:v8'

/**
 * Has V8 optimize functions only after they have run 18 times as long, for commands that take a second or two. It spends up to a third of the
 * processor time of a small backup on that, for functions that are nearly done by then: see docs/performance.md. Node's manual warns of settings
 * of V8 that are changed after the start; this one is read each time a function has used up its budget, and only Node 20 is told, whose V8 is
 * the last of its line.
 */
export function compileLate(): void {
  if (process.versions.v8.startsWith('11.3.')) setFlagsFromString('--interrupt-budget=1200000')
}

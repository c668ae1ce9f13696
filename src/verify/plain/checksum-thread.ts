/** What the threads that check files run. */
export const checksumThread: URL = new URL('checksum-worker.js', import.meta.url)

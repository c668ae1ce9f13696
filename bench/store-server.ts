import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/**
 * A process that serves the files of a directory as the objects of a bucket, as far as reading needs it: listing, HEAD with the checksums of
 * the manifest, GET. It asks nobody who he is. `node store-server.js DIRECTORY MILLISECONDS` writes its port; each answer
 * comes so much later. `GET /counts` tells how many requests there were since it was asked last, and how many bytes they got.
 */

const [directory = '.', delay = '0'] = process.argv.slice(2)

interface StoredFile {
  readonly size: number
  /** Base64, the most significant byte first. */
  readonly checksum: string | undefined
}

const PAGE = 1000
const counts = { requests: 0, bytes: 0 }
const files = listFiles()
const keys = [...files.keys()].toSorted()

function listFiles(): ReadonlyMap<string, StoredFile> {
  const manifest = readFileSync(join(directory, 'backup_manifest'), 'latin1')
  const lines = manifest.matchAll(
    /"Path": "([^"]+)".*"Checksum-Algorithm": "CRC32C", "Checksum": "([0-9a-f]{8})"/g,
  )
  const checksums = new Map(
    Array.from(lines, ([, path = '', hex = '']) => [
      path,
      Buffer.from(Buffer.from(hex, 'hex').toReversed()).toString('base64'),
    ]),
  )
  const found = new Map<string, StoredFile>()
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const key = path.slice(directory.length + 1)
    found.set(key, { size: statSync(path).size, checksum: checksums.get(key) })
  }
  return found
}

function listPage(query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? ''
  const listed = prefix === '' ? keys : keys.filter((key) => key.startsWith(prefix))
  const after = query.get('start-after') ?? ''
  const first = listed.findIndex((key) => key > after)
  const start = Number(query.get('continuation-token') ?? (first === -1 ? listed.length : first))
  const contents = listed.slice(start, start + PAGE).map((key) => {
    const size = files.get(key)?.size ?? 0
    return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;${size}&quot;</ETag><Size>${size}</Size></Contents>`
  })
  const isTruncated = start + PAGE < listed.length
  const next = isTruncated ? `<NextContinuationToken>${start + PAGE}</NextContinuationToken>` : ''
  return `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`
}

function answer({ method, url = '/', headers }: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  if (searchParams.has('list-type')) {
    send(response, Buffer.from(listPage(searchParams)))
    return
  }
  // Behind the bucket.
  const key = decodeURIComponent(pathname.slice(pathname.indexOf('/', 1) + 1))
  const file = files.get(key)
  if (file === undefined) {
    response.writeHead(404).end()
    return
  }
  response.setHeader('etag', `"${file.size}"`)
  if (method === 'HEAD') {
    response.setHeader('content-length', file.size)
    if (file.checksum !== undefined) {
      response.setHeader('x-amz-checksum-crc32c', file.checksum)
      response.setHeader('x-amz-checksum-type', 'FULL_OBJECT')
    }
    response.end()
    return
  }
  const bytes = readFileSync(join(directory, key))
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')
  if (range === null) {
    send(response, bytes)
    return
  }
  const [start, last] = [Number(range[1]), Number(range[2])]
  response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${bytes.length}` })
  send(response, bytes.subarray(start, last + 1))
}

function send(response: ServerResponse, bytes: Buffer): void {
  counts.bytes += bytes.length
  if (!response.headersSent) response.setHeader('content-length', bytes.length)
  response.end(bytes)
}

const server = createServer((request, response) => {
  if (request.url === '/counts') {
    response.end(JSON.stringify(counts))
    Object.assign(counts, { requests: 0, bytes: 0 })
    return
  }
  counts.requests++
  if (delay === '0') answer(request, response)
  else setTimeout(() => answer(request, response), Number(delay))
})
server.listen(0, '127.0.0.1', 1024, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})

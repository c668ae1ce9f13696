import '../servers-only.js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { Agent } from 'node:https'
import { join } from 'node:path'
import {
  DeleteObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { startFauxqs } from 'fauxqs'
import { makeCertificate } from '../../transfer/agent/make-certificate.js'
import { createScratchDirectory } from '../scratch-directory.js'
import { StoreProxy } from './store-proxy.js'

/** The bucket that every store of the tests has. */
export const BUCKET = 'backups'

const keys = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

/** A real S3 server, and the proxy before it. */
export interface ObjectStore {
  readonly proxy: StoreProxy
  /** By which a program reaches it, through the proxy. */
  readonly env: Readonly<Record<string, string>>
  /** Behind the proxy, which does not hear of it. */
  put(key: string, bytes: Uint8Array | string): Promise<void>
  /** Through the proxy, with a checksum, in base64, that the store is to keep. */
  putWithChecksum(key: string, bytes: Uint8Array | string, checksum: ObjectChecksum): Promise<void>
  /** Puts all files of a directory, through links, each as an object. */
  putDirectory(directory: string, prefix: string): Promise<void>
  remove(key: string): Promise<void>
  close(): Promise<void>
}

type ObjectChecksum = Pick<PutObjectCommandInput, 'ChecksumCRC32C' | 'ChecksumSHA256'>

interface StoreServer {
  readonly url: string
  readonly close: () => Promise<void>
}

export type StoreName = 's3rver' | 'fauxqs'

const s3rverProgram = `
  const S3rver = require('@20minutes/s3rver')
  const directory = process.argv[1]
  const configureBuckets = [{ name: '${BUCKET}' }]
  new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets })
    .run()
    .then(({ port }) => console.log(port))
`

/** They have nothing in common. */
const servers: Readonly<Record<StoreName, () => Promise<StoreServer>>> = {
  /** Checks signatures; keeps objects in files. */
  s3rver: async () => {
    const scratch = createScratchDirectory()
    // Where a listing goes on, it hides by DES, which OpenSSL has only when it is asked for.
    const child = spawn(process.execPath, ['--openssl-legacy-provider', '-e', s3rverProgram, scratch.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    const close = async (): Promise<void> => {
      child.kill()
      await ended
      scratch.remove()
    }
    return { url: `http://127.0.0.1:${port.toString().trim()}`, close }
  },
  /** Takes any signature; keeps objects in memory. */
  fauxqs: async () => {
    const server = await startFauxqs({ port: 0, logger: false })
    server.createBucket(BUCKET)
    return { url: server.address, close: () => server.stop() }
  },
}

/** Starts a store; its owner closes it. */
export async function startStore(name: StoreName): Promise<ObjectStore> {
  const scratch = createScratchDirectory()
  const certificate = await makeCertificate(scratch.path, 'store')
  const server = await servers[name]()
  const proxy = await StoreProxy.start(server.url, certificate)
  const options: S3ClientConfig = {
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: keys,
    // A checksum at the end of a body is more than the servers of the tests know.
    requestChecksumCalculation: 'WHEN_REQUIRED',
  }
  const client = new S3Client({ ...options, endpoint: server.url })
  const httpsAgent = new Agent({ ca: readFileSync(certificate.cert), keepAlive: true })
  const throughProxy = new S3Client({ ...options, endpoint: proxy.url, requestHandler: { httpsAgent } })
  const put = async (key: string, bytes: Uint8Array | string): Promise<void> => {
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }))
  }
  return {
    proxy,
    env: {
      AWS_ACCESS_KEY_ID: keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
      AWS_ENDPOINT_URL: proxy.url,
      AWS_REGION: 'us-east-1',
      AWS_CA_BUNDLE: certificate.cert,
      AWS_CONFIG_FILE: join(scratch.path, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(scratch.path, 'credentials'),
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    put,
    putWithChecksum: async (key, bytes, checksum) => {
      await throughProxy.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes, ...checksum }))
    },
    putDirectory: async (directory, prefix) => {
      const files: string[] = []
      for await (const file of filesIn(directory, '')) files.push(file)
      const next = files.values()
      const lanes = Array.from({ length: 8 }, async () => {
        for (const file of next) await put(prefix + file, readFileSync(join(directory, file)))
      })
      await Promise.all(lanes)
    },
    remove: async (key) => {
      await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }))
    },
    close: async () => {
      client.destroy()
      throughProxy.destroy()
      await proxy.close()
      await server.close()
      scratch.remove()
    },
  }
}

async function* filesIn(directory: string, prefix: string): AsyncGenerator<string> {
  for (const name of await readdir(join(directory, prefix))) {
    // Keys are UTF-8: of names that are not, no program makes one.
    if (name.includes('\ufffd')) continue
    const path = `${prefix}${name}`
    if ((await stat(join(directory, path))).isDirectory()) yield* filesIn(directory, `${path}/`)
    else yield path
  }
}

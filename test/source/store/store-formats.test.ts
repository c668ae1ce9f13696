import { describe, expect, test } from 'vitest'
import { decodePathname } from '../../../src/files/pathname.js'
import { readXml, textOf } from '../../../src/source/store/read-xml.js'
import { parseProfiles } from '../../../src/source/store/find-credentials.js'
import { encodeKey, signRequest } from '../../../src/source/store/sign-request.js'
import { parseStoreAddress } from '../../../src/source/store/store-address.js'
import { settingsOf } from '../../../src/source/store/store-settings.js'

test.each([
  ['s3://b-1/a/b', { bucket: 'b-1', prefix: 'a/b/', shown: 's3://b-1/a/b' }],
  ['s3://b-1/a/b/', { bucket: 'b-1', prefix: 'a/b/', shown: 's3://b-1/a/b' }],
  ['s3://b-1', { bucket: 'b-1', prefix: '', shown: 's3://b-1' }],
  ['s3://b-1/', { bucket: 'b-1', prefix: '', shown: 's3://b-1' }],
])('%s is an address', (text, address) => {
  expect(parseStoreAddress(text)).toEqual(address)
})

test.each(['s3://', 's3:///a', 's3://a b/c', 's3://-a/c', 's3://a', 'S3://bucket/a', '/a'])(
  '%s is none',
  (text) => {
    expect(() => parseStoreAddress(text)).toThrow('invalid address')
  },
)

// The examples of "Authenticating Requests: Using the Authorization Header" in the API reference of S3.
describe('a signature is that of the examples of AWS', () => {
  const keys = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  }
  const host = 'examplebucket.s3.amazonaws.com'
  const now = new Date('2013-05-24T00:00:00Z')
  test.each([
    {
      what: 'a part of an object',
      asked: { path: '/test.txt', query: {}, headers: { range: 'bytes=0-9' } },
      signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    },
    {
      what: 'a setting of a bucket',
      asked: { path: '/', query: { lifecycle: '' }, headers: {} },
      signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    },
    {
      what: 'a listing',
      asked: { path: '/', query: { prefix: 'J', 'max-keys': '2' }, headers: {} },
      signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    },
  ])('$what', ({ asked, signature }) => {
    const { authorization } = signRequest({ method: 'GET', host, ...asked }, keys, 'us-east-1', now)
    expect(authorization).toMatch(new RegExp(`Signature=${signature}$`))
  })
})

test('every byte of a key is encoded that could mean something else', () => {
  expect(encodeKey('base/5/16384.1_fsm~-')).toBe('base/5/16384.1_fsm~-')
  expect(encodeKey("a/b c+d%e'f*(g)é~")).toBe('a/b%20c%2Bd%25e%27f%2A%28g%29%C3%A9~')
  expect(encodeKey('a\n')).toBe('a%0A')
  expect(encodeKey(decodePathname(Buffer.of(0xff, 0x2f)))).toBe('%FF/')
})

describe('XML', () => {
  test('is elements and text', () => {
    const root = readXml(
      '<?xml version="1.0"?>\n<A x="1>2"><B>a &lt; &#98;&#x63;&amp;amp;</B><C/><B>2</B></A>',
    )
    expect(root?.name).toBe('A')
    expect(root?.children.map(({ name, text }) => [name, text])).toEqual([
      ['B', 'a < bc&amp;'],
      ['C', ''],
      ['B', '2'],
    ])
    expect(textOf(root, 'B')).toBe('a < bc&amp;')
  })

  test.each([
    '',
    'text',
    '<A>',
    '<A><B></A></B>',
    '<A></A><B></B>',
    '<!DOCTYPE A [<!ENTITY x "y">]><A>&x;</A>',
    '<A'.repeat(10),
    '<A>'.repeat(100),
    '</A>',
    '<A></A></A>',
  ])('%j is none that a store sends', (xml) => {
    expect(readXml(xml)).toBeUndefined()
  })
})

test('profiles have nested settings, comments and spaces', () => {
  const text = `# a comment
[default]
aws_access_key_id=A   ; not this
aws_secret_access_key = b=c
[ profile  two ]
s3 =
  addressing_style = virtual
  endpoint_url=https://localhost:1
region = eu-central-1
no setting
[profile three`
  expect(parseProfiles(text)).toEqual(
    new Map([
      [
        'default',
        new Map([
          ['aws_access_key_id', 'A'],
          ['aws_secret_access_key', 'b=c'],
        ]),
      ],
      [
        'profile two',
        new Map([
          ['s3', ''],
          ['s3.addressing_style', 'virtual'],
          ['s3.endpoint_url', 'https://localhost:1'],
          ['region', 'eu-central-1'],
        ]),
      ],
      ['', new Map()],
    ]),
  )
})

const noFiles = { AWS_CONFIG_FILE: '/nonexistent', AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' }

test.each([
  [{}, 'backups', 'https://backups.s3.eu-west-1.amazonaws.com/'],
  [{}, 'with.dot', 'https://s3.eu-west-1.amazonaws.com/with.dot/'],
  [{ endpointUrl: 'https://minio:9000' }, 'backups', 'https://minio:9000/backups/'],
  [{ endpointUrl: 'http://host/s3/' }, 'backups', 'http://host/s3/backups/'],
  [
    { endpointUrl: 'https://r2.example', addressingStyle: 'virtual' },
    'backups',
    'https://backups.r2.example/',
  ],
  [{ addressingStyle: 'path' }, 'backups', 'https://s3.eu-west-1.amazonaws.com/backups/'],
] as const)('with %j, bucket %s is at %s', (options, bucket, expected) => {
  const { endpoint, host, basePath } = settingsOf({ env: noFiles, ...options }, bucket, 'eu-west-1')
  expect(`${endpoint.protocol}//${host}${basePath}`).toBe(expected)
})

test.each(['localhost:9000', 'ftp://host', 'https://user:pw@host', 'https://host/?a=b', ''])(
  '%j is no endpoint',
  (endpointUrl) => {
    expect(() => settingsOf({ env: noFiles, endpointUrl }, 'backups', 'eu-west-1')).toThrow(
      'invalid endpoint URL',
    )
  },
)

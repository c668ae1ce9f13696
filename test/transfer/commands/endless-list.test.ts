import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'

const built = new URL('../../../dist/src/transfer/commands/commands.js', import.meta.url).href

/** What reading a list comes to whose rows never end, in a thread that has little memory. */
async function readWithoutEnd(): Promise<unknown> {
  const worker = new Worker(
    `
    const { parentPort } = require('node:worker_threads')
    async function* answers() {
      yield [{ type: 'columns', names: ['pathname', 'kind', 'size', 'modified'] }]
      for (let row = 0; ; row++) yield [{ type: 'row', values: ['base/5/' + row, 'file', '1', '1'] }]
    }
    import(${JSON.stringify(built)})
      .then(({ commandContracts }) => commandContracts.LIST_FILES.result.decode(answers()))
      .catch(({ code, message }) => parentPort.postMessage({ code, message }))`,
    { eval: true, resourceLimits: { maxOldGenerationSizeMb: 64 } },
  )
  try {
    return await new Promise((resolve, reject) => {
      worker.on('message', resolve)
      worker.on('error', reject)
      worker.on('exit', () => reject(new Error('the thread has ended without a word')))
    })
  } finally {
    await worker.terminate()
  }
}

test('a list without end is an error before the memory is full', async () => {
  expect(await readWithoutEnd()).toEqual({
    code: 'SERVER',
    message: expect.stringMatching(/^a list does not fit into memory: \d+ rows, and no end$/),
  })
})

import { join } from 'node:path'
import { mustRun } from '../../helpers/run-program.js'

/** Makes a certificate that signs itself, and its key. */
export async function makeCertificate(
  directory: string,
  name: string,
): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)]
  const what = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-subj',
    '/CN=localhost',
  ]
  await mustRun('openssl', ['req', '-x509', ...what, '-days', '2', '-out', cert, '-keyout', key])
  await mustRun('chmod', ['600', key])
  return { cert, key }
}

// Makes unixfs.json with the JavaScript implementation of UnixFS, which shares no code with ours.
//
//   npm install --prefix DIR ipfs-unixfs-importer@17.1.1
//   node tests/vectors/make_unixfs.mjs DIR > tests/vectors/unixfs.json
//
// The content: block j of 4096 bytes is sha2-256(j as 8 bytes, big-endian) repeated 128 times, cut to size.

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { argv, stdout } from 'node:process'
import { pathToFileURL } from 'node:url'

const MODULES = resolve(argv[2], 'node_modules')
const load = (file) => import(pathToFileURL(resolve(MODULES, file)).href)
const { importer } = await load('ipfs-unixfs-importer/dist/src/index.js')
const { fixedSize } = await load('ipfs-unixfs-importer/dist/src/chunker/fixed-size.js')
const { balanced } = await load('ipfs-unixfs-importer/dist/src/layout/balanced.js')

const BLOCK_BYTES = 4096
const CHUNK_BYTES = 262144
const MAX_LINKS = 174

// Whole files at the real layout, then small layouts so that trees of many levels cost nothing.
const CASES = [
  ...[0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 ** 20, CHUNK_BYTES * MAX_LINKS,
    CHUNK_BYTES * MAX_LINKS + 1, 50 * 2 ** 20].map((size) => [size, CHUNK_BYTES, MAX_LINKS]),
  ...[1, 16, 17, 48, 49, 144, 145, 432, 433, 1000, 5000].map((size) => [size, 16, 3]),
  ...[16 * 174, 16 * 174 + 1, 5000].map((size) => [size, 16, MAX_LINKS])
]

function content (size) {
  const data = Buffer.alloc(Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES)
  for (let j = 0; j * BLOCK_BYTES < size; j++) {
    const counter = Buffer.alloc(8)
    counter.writeBigUInt64BE(BigInt(j))
    data.fill(createHash('sha256').update(counter).digest(), j * BLOCK_BYTES, (j + 1) * BLOCK_BYTES)
  }
  return data.subarray(0, size)
}

async function root (data, chunkBytes, maxLinks) {
  const options = {
    cidVersion: 1,
    rawLeaves: true,
    reduceSingleLeafToSelf: true,
    chunker: fixedSize({ chunkSize: chunkBytes }),
    layout: balanced({ maxChildrenPerNode: maxLinks })
  }
  const discard = { put: async (cid) => cid }
  let last
  for await (const entry of importer([{ content: [data] }], discard, options)) last = entry
  return last.cid.toString()
}

const vectors = []
for (const [size, chunkBytes, maxLinks] of CASES) {
  const data = content(size)
  const sha256 = createHash('sha256').update(data).digest('hex')
  vectors.push({ size, chunk_bytes: chunkBytes, max_links: maxLinks, sha256, cid: await root(data, chunkBytes, maxLinks) })
}
stdout.write(JSON.stringify(vectors, null, 1) + '\n')

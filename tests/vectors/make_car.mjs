// Makes car.json with the JavaScript implementation of CAR and DAG-CBOR, which shares no code with ours.
//
//   npm install --prefix DIR @ipld/car@5.4.2 @ipld/dag-cbor@9.2.5 multiformats@13.4.1
//   node tests/vectors/make_car.mjs DIR > tests/vectors/car.json
//
// Each case is a graph, its blocks in depth-first order, and the file that @ipld/car writes of them. Every file is
// read back with @ipld/car first, block by block.

import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { argv, stdout } from 'node:process'
import { pathToFileURL } from 'node:url'

const MODULES = resolve(argv[2], 'node_modules')
const load = (file) => import(pathToFileURL(resolve(MODULES, file)).href)
const { CarReader } = await load('@ipld/car/src/index.js')
const { CarWriter } = await load('@ipld/car/src/index.js')
const cbor = await load('@ipld/dag-cbor/src/index.js')
const { CID } = await load('multiformats/dist/src/cid.js')
const { sha256 } = await load('multiformats/dist/src/hashes/sha2.js')

const RAW = 0x55
const made = new Map()

async function keep (codec, bytes) {
  const cid = CID.createV1(codec, await sha256.digest(bytes))
  made.set(cid.toString(), { cid, bytes, codec })
  return cid
}
const raw = (text) => keep(RAW, new TextEncoder().encode(text))
const record = (value) => keep(cbor.code, cbor.encode(value))

// Every block below the roots once, depth first: a block that is linked twice comes where it was linked first.
function inOrder (roots) {
  const seen = new Set()
  const order = []
  const schedule = (links) => {
    const fresh = links.filter((cid) => !seen.has(cid.toString()) && seen.add(cid.toString()))
    for (const cid of fresh) visit(cid)
  }
  const visit = (cid) => {
    const block = made.get(cid.toString())
    order.push(block)
    if (block.codec === cbor.code) schedule(links(cbor.decode(block.bytes)))
  }
  schedule(roots)
  return order
}

function links (value) {
  const cid = CID.asCID(value)
  if (cid) return [cid]
  if (value instanceof Uint8Array || value === null || typeof value !== 'object') return []
  return Object.values(value).flatMap(links)
}

async function file (roots, blocks) {
  const { writer, out } = CarWriter.create(roots)
  const parts = []
  const draining = (async () => { for await (const part of out) parts.push(part) })()
  for (const { cid, bytes } of blocks) await writer.put({ cid, bytes })
  await writer.close()
  await draining
  return Buffer.concat(parts)
}

async function vector (name, roots) {
  const blocks = inOrder(roots)
  const data = await file(roots, blocks)
  const reader = await CarReader.fromBytes(data)
  assert.deepEqual((await reader.getRoots()).map(String), roots.map(String))
  let index = 0
  for await (const { cid, bytes } of reader.blocks()) {
    assert.equal(cid.toString(), blocks[index].cid.toString())
    assert.deepEqual(Buffer.from(bytes), Buffer.from(blocks[index++].bytes))
  }
  assert.equal(index, blocks.length)
  return {
    name,
    roots: roots.map(String),
    blocks: blocks.map(({ cid, bytes }) => ({ cid: cid.toString(), hex: Buffer.from(bytes).toString('hex') })),
    car: data.toString('base64')
  }
}

const [a, b, empty, long] = [await raw('a'), await raw('b'), await raw(''), await raw('0123456789'.repeat(30))]
const leafless = await record({ version: 1, text: 'no links' })
const shared = await record({ parts: [b, { deep: { deeper: [a] } }], zero: 0 })
const top = await record({ first: shared, second: [a, leafless, shared], last: null, size: long, nothing: empty })
const chain = [top]
for (let i = 0; i < 20; i++) chain.push(await record({ previous: chain[chain.length - 1], round: i }))

stdout.write(JSON.stringify([
  await vector('one leaf', [a]),
  await vector('an empty leaf', [empty]),
  await vector('shared links', [top]),
  await vector('several roots', [leafless, a, top]),
  await vector('a chain', [chain[chain.length - 1]])
], null, 1) + '\n')

// A node of npm's bittorrent-dht, the DHT of WebTorrent, that puts or gets items (BEP 44) and says on standard output what
// came of it.
//
// The only argument is a JSON object: `library` (where the package lies), `listen` (host and port), `bootstrap`, `work` (the
// name of a function below) and its arguments. The test ends this process if nothing comes of it.

import crypto from 'node:crypto'

const order = JSON.parse(process.argv[2])
const { default: DHT } = await import(order.library)

// The package takes its signatures from outside. Node has them, for keys in their DER form.
const PRIVATE = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC = Buffer.from('302a300506032b6570032100', 'hex')
const publicKey = (raw) => crypto.createPublicKey({ key: Buffer.concat([PUBLIC, raw]), format: 'der', type: 'spki' })
const privateKey = (seed) => crypto.createPrivateKey({ key: Buffer.concat([PRIVATE, seed]), format: 'der', type: 'pkcs8' })
const verify = (signature, message, key) => crypto.verify(null, message, publicKey(key), signature)
const hex = (text) => Buffer.from(text, 'hex')

const dht = new DHT({ bootstrap: order.bootstrap, verify })
await new Promise((resolve) => dht.listen(order.listen.port, order.listen.host, resolve))
await new Promise((resolve) => dht.once('ready', resolve))

// A callback of the package as a promise; its further arguments come along.
const done = (call) => new Promise((resolve, reject) => {
  call((error, ...results) => error ? reject(error) : resolve(results))
})

const put = async (options) => {
  const [target, storedAt] = await done((callback) => dht.put(options, callback))
  return { target: target.toString('hex'), stored_at: storedAt }
}

const get = async (target, options) => {
  const [found] = await done((callback) => dht.get(hex(target), { cache: false, ...options }, callback))
  return found && { text: found.v.toString(), seq: found.seq }
}

const works = {
  put_immutable: (text) => put({ v: Buffer.from(text) }),
  get_immutable: (target) => get(target),
  put_mutable: (seed, salt, seq, text) => {
    const key = privateKey(hex(seed))
    const k = crypto.createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
    const sign = (message) => crypto.sign(null, message, key)
    return put({ k, salt: Buffer.from(salt), seq, v: Buffer.from(text), sign })
  },
  get_mutable: (target, salt) => get(target, { salt }),
}

console.log(JSON.stringify(await works[order.work](...order.arguments)))
process.exit(0)

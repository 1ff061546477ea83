// A bittorrent-dht node, to be measured: node bittorrent_dht_node.mjs ADDR:PORT BOOTSTRAP_ADDR:PORT
import DHT from 'bittorrent-dht'

const [listen, bootstrap] = process.argv.slice(2)
const [host, port] = listen.split(':')
const dht = new DHT({ bootstrap: [bootstrap], maxTables: 2000000, maxValues: 2000000, maxPeers: 10000000 })
dht.on('error', error => console.error(String(error)))
dht.listen(Number(port), host, () => console.log('bittorrent-dht listens'))

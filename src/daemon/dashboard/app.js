// The page of a running node. Everything comes from the control interface, live by server-sent events; nothing is built,
// nothing is fetched from elsewhere. Text of others is only ever set as text.
'use strict';

const ROW = 32; // height of a row, in pixels, as in the style sheet
const $ = id => document.getElementById(id);
const numbers = new Intl.NumberFormat();
const decimals = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });

const make = (tag, fields = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'class') element.className = value;
    else if (name.includes('-') || name === 'role') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
};
const shape = (tag, fields, text = '') => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(fields)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
};
const tile = (value, name) => make('div', { class: 'tile' }, make('b', {}, value), make('span', {}, name));
const counted = (count, thing) => `${numbers.format(count)} ${thing}${count === 1 ? '' : 's'}`;
const span = seconds =>
  seconds < 120 ? `${Math.floor(seconds)} s` : seconds < 7200 ? `${Math.floor(seconds / 60)} min`
  : seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
const bytes = count => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; count >= 1024 && unit + 1 < units.length; unit++) count /= 1024;
  return `${decimals.format(count)} ${units[unit]}`;
};

// ---- the control interface ----

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: 'same-origin', ...options });
  if (answer.status === 401) needLogin();
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ detail: `status ${answer.status}`, cure: '' }));
    throw Object.assign(new Error(`${problem.detail}. Cure: ${problem.cure}`), { status: answer.status });
  }
  return answer.status === 204 ? null : answer.json();
}
const send = (method, path, body) =>
  ask(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? null) });

function needLogin() {
  $('login').hidden = false;
  $('logout').hidden = true;
}

$('login').addEventListener('submit', async event => {
  event.preventDefault();
  try {
    await send('POST', 'login', { token: $('token').value.trim() });
    $('token').value = '';
    $('login').hidden = true;
    $('logout').hidden = false;
    start();
  } catch (error) {
    $('token-help').textContent = error.message;
  }
});
$('logout').addEventListener('click', async () => {
  await send('POST', 'logout').catch(() => {});
  location.reload();
});

// ---- the figures ----

let before = null;
let known = 0; // nodes of the network, by its estimated size

function show(view) {
  $('verdict').textContent = view.verdict;
  $('verdict').className = `verdict ${view.ready ? 'well' : 'bad'}`;
  document.title = `${view.ready ? '' : '! '}trackerless`;
  $('about').textContent = `version ${view.version}, running for ${span(view.uptime_secs)}, data in ${view.data_dir}`;
  $('families').replaceChildren(...view.nodes.flatMap(family), ...kept(view.announcer));
  known = Math.max(...view.nodes.map(node => node.network_size ?? node.contacts), 1);
  showTraffic(view);
  $('gateway').replaceChildren(...(view.gateway
    ? [tile(numbers.format(view.gateway.torrents), 'torrents of clients'),
       tile(numbers.format(view.gateway.held), 'answers that wait for peers'),
       tile(bytes(view.gateway.bytes), 'memory')]
    : [make('p', { class: 'quiet' }, 'there is none')]));
}

function family(node) {
  const outside = node.external_address === null
    ? 'not known yet how others see it'
    : `seen by others as ${node.external_address}`;
  const size = node.network_size === null ? '' : ` of about ${numbers.format(node.network_size)}`;
  return [
    make('div', { class: 'tile family' }, make('b', {}, `${node.family} ${node.address}`),
      make('span', {}, `${outside}; id `), make('code', {}, node.id)),
    tile(`${numbers.format(node.good_contacts)}`, `good nodes${size}`),
    tile(numbers.format(node.swarms), 'torrents of others'),
    tile(numbers.format(node.peers), 'their peers'),
    tile(numbers.format(node.items), 'items of others'),
    tile(`${numbers.format(node.own_announces_seen)} of ${numbers.format(node.own_announces)}`, 'own announces seen by another query'),
  ];
}

// What is kept announced; nothing where nothing is.
function kept(announcer) {
  if (announcer.infohashes === 0) return [];
  const visible = announcer.states.find(state => state.name === 'visible')?.count ?? 0;
  return [
    tile(`${numbers.format(visible)} of ${numbers.format(announcer.wanted)}`, 'infohashes kept announced and visible'),
    tile(numbers.format(announcer.behind), 'infohashes whose turn to be announced it is'),
  ];
}

function sums(view, list) {
  const all = new Map();
  for (const node of view.nodes) for (const { name, count } of node[list]) all.set(name, (all.get(name) ?? 0) + count);
  return all;
}

function showTraffic(view) {
  const total = field => view.nodes.reduce((sum, node) => sum + node.traffic[field], 0);
  const now = { at: view.uptime_secs, values: {} };
  for (const field of ['received', 'received_bytes', 'sent', 'sent_bytes']) now.values[field] = total(field);
  const passed = before && now.at > before.at ? now.at - before.at : null;
  const rate = field => passed === null ? null : Math.max(0, now.values[field] - before.values[field]) / passed;
  const tiles = [['received', 'received_bytes'], ['sent', 'sent_bytes']].flatMap(([datagrams, size]) => [
    tile(rate(datagrams) === null ? '…' : `${decimals.format(rate(datagrams))} /s`, `datagrams ${datagrams}; ${numbers.format(now.values[datagrams])} in all`),
    tile(rate(size) === null ? '…' : `${bytes(rate(size))}/s`, `${datagrams}; ${bytes(now.values[size])} in all`),
  ]);
  $('rates').replaceChildren(...tiles);
  before = now;
  for (const [id, list] of [['served', 'served'], ['refused', 'refused'], ['own', 'own_queries']]) {
    const rows = [...sums(view, list)].map(([name, count]) =>
      make('tr', {}, make('th', { scope: 'row' }, name.replaceAll('_', ' ')), make('td', { class: 'number' }, numbers.format(count))));
    $(id).replaceChildren(...rows);
  }
}

// ---- announces: only the rows on the screen exist ----

let announces = [];
let shown = [];

async function loadAnnounces() {
  const all = await ask('api/v1/announces');
  const best = new Map();
  for (const { announces } of all) for (const one of announces) {
    const other = best.get(one.infohash);
    if (!other || one.verified > other.verified) best.set(one.infohash, one);
  }
  announces = [...best.values()];
  filter();
}

function filter() {
  const [begin, visible] = [$('search').value.trim().toLowerCase(), $('visible').value];
  shown = announces.filter(one => one.infohash.startsWith(begin)
    && (visible === '' || String(one.verified > 0) === visible));
  $('announce-count').textContent = announces.length === 0
    ? 'nothing was announced by this node in the last 45 minutes'
    : `${numbers.format(shown.length)} of ${numbers.format(announces.length)}`;
  $('announce-rows').style.height = `${shown.length * ROW}px`;
  drawRows();
}

function drawRows() {
  const box = $('announces');
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4);
  const last = Math.min(shown.length, first + Math.ceil(box.clientHeight / ROW) + 8);
  const rows = [];
  for (let index = first; index < last; index++) {
    const one = shown[index];
    const seen = one.verified > 0;
    const row = make('div', { class: 'row', role: 'row', 'aria-rowindex': index + 2 },
      make('span', { role: 'cell', class: 'mono', title: one.infohash }, one.infohash),
      make('span', { role: 'cell' }, numbers.format(one.stored_at)),
      make('span', { role: 'cell', class: seen ? 'seen' : 'unseen' }, seen ? `${one.verified} of ${one.verified_at}` : 'not seen'),
      make('span', { role: 'cell' }, span(one.age_secs)));
    row.style.top = `${index * ROW}px`;
    rows.push(row);
  }
  $('announce-rows').replaceChildren(...rows);
}
$('announces').addEventListener('scroll', () => requestAnimationFrame(drawRows));
$('announce-filter').addEventListener('input', filter);
$('announce-filter').addEventListener('submit', event => event.preventDefault());

// ---- a lookup, while it runs ----

let lookup = null;

$('lookup').addEventListener('submit', async event => {
  event.preventDefault();
  await stopLookup();
  try {
    const started = await send('POST', 'api/v1/lookups', { target: $('target').value.trim() });
    watch(started);
  } catch (error) {
    $('lookup-said').textContent = error.message;
    if (error.status === 401) $('token').focus();
  }
});
$('stop').addEventListener('click', stopLookup);

async function stopLookup() {
  if (lookup === null) return;
  const { id, source } = lookup;
  lookup = null;
  source.close();
  $('stop').disabled = true;
  await ask(`api/v1/lookups/${id}`, { method: 'DELETE' }).catch(() => {});
}

function watch({ id, infohashes }) {
  const source = new EventSource(`api/v1/lookups/${id}/events`);
  const state = lookup = { id, source, target: infohashes[0], answered: 0, peers: new Set(), points: new Map() };
  const picture = $('lookup-picture');
  picture.replaceChildren(shape('line', { class: 'axis', x1: 40, y1: 200, x2: 790, y2: 200 }),
    shape('text', { x: 4, y: 16 }, 'far'), shape('text', { x: 4, y: 204 }, 'near'));
  // Elements of SVG have no property of this name.
  picture.removeAttribute('hidden');
  $('lookup-legend').hidden = false;
  $('peers').replaceChildren();
  $('stop').disabled = false;
  const say = end => {
    $('lookup-said').textContent = `${counted(state.answered, 'node')} answered, ${counted(state.peers.size, 'peer')} found${end}`;
  };
  source.addEventListener('answered', event => {
    const { by, peers, rtt_ms } = JSON.parse(event.data);
    state.answered += 1;
    point(state, picture, by, peers, rtt_ms);
    say(' so far');
  });
  source.addEventListener('peers', event => {
    for (const peer of JSON.parse(event.data).peers) {
      if (state.peers.has(peer) || state.peers.size >= 500) continue;
      state.peers.add(peer);
      $('peers').append(make('li', { class: 'mono' }, peer));
    }
    say(' so far');
  });
  source.addEventListener('end', () => {
    source.close();
    say('; the lookup is over');
    $('stop').disabled = true;
    if (lookup === state) lookup = null;
  });
}

// Leading bits that an id and the target have in common: 160 for the target itself.
function commonBits(a, b) {
  for (let digit = 0; digit < 40; digit++) {
    const difference = parseInt(a[digit], 16) ^ parseInt(b[digit], 16);
    if (difference !== 0) return digit * 4 + Math.clz32(difference) - 28;
  }
  return 160;
}

function point(state, picture, by, peers, rtt) {
  const bits = commonBits(by.id, state.target);
  const x = 48 + (state.points.size * 12) % 740;
  // The nearest of 2^n nodes has about n bits in common; a few have more.
  const most = Math.max(8, Math.ceil(Math.log2(known)) + 4);
  const y = 12 + Math.min(bits, most) / most * 185;
  const circle = shape('circle', { cx: x, cy: y, r: peers > 0 ? 5 : 4, class: peers > 0 ? 'peers' : 'plain' });
  circle.append(shape('title', {}, `${by.address}: ${bits} bits in common, ${decimals.format(rtt)} ms, ${peers} peers`));
  state.points.set(by.id, circle);
  picture.append(circle);
}

// ---- the routing table ----

async function loadTable(view) {
  const nodes = await ask('api/v1/nodes');
  const pictures = view.nodes.map(own => {
    const buckets = new Map();
    for (const node of nodes.filter(node => node.address.startsWith('[') === own.address.startsWith('['))) {
      const bits = commonBits(node.id, own.id);
      buckets.set(bits, [...(buckets.get(bits) ?? []), node]);
    }
    const rows = [...buckets.keys()].sort((a, b) => a - b).map(bits => bucketRow(bits, buckets.get(bits), own.network_size));
    return make('div', {}, make('h3', { class: 'quiet' }, `${own.family} ${own.address}`), ...rows);
  });
  $('buckets').replaceChildren(...pictures);
}

function bucketRow(bits, nodes, size) {
  const squares = nodes.map(node => make('span', { class: `square ${node.state}`,
    title: `${node.address}, ${node.state}, ${decimals.format(node.rtt_ms)} ms, known for ${span(node.known_secs)}` }));
  const rtts = nodes.map(node => node.rtt_ms).sort((a, b) => a - b);
  const there = size === null ? '' : ` of ${numbers.format(Math.max(nodes.length, Math.round(size / 2 ** (bits + 1))))}`;
  return make('div', { class: 'bucket' },
    make('span', {}, `${bits} bits`),
    make('span', { class: 'squares', role: 'img', 'aria-label': counted(nodes.length, 'node') }, ...squares),
    make('span', { class: 'quiet' }, `${nodes.length}${there}, ${decimals.format(rtts[rtts.length >> 1])} ms`));
}

// ---- events and configuration ----

function addEvent({ at, event, node, text }) {
  const when = new Date(at * 1000);
  const item = make('li', {}, make('time', { dateTime: when.toISOString() }, clock.format(when)),
    `${node ? `${node}: ` : ''}${text ?? event}`);
  $('events').prepend(item);
  while ($('events').children.length > 200) $('events').lastChild.remove();
}

async function loadConfig() {
  const rows = (await ask('api/v1/config')).map(({ key, value, origin, meaning }) =>
    make('tr', { title: meaning }, make('th', { scope: 'row', class: 'mono' }, key),
      make('td', { class: 'mono' }, JSON.stringify(value)), make('td', {}, origin)));
  $('config').replaceChildren(...rows);
}

// ---- from start to end ----

let streams = [];

function start() {
  streams.forEach(stream => stream.close());
  const figures = new EventSource('api/v1/status');
  let view = null;
  figures.addEventListener('status', event => {
    view = JSON.parse(event.data);
    show(view);
  });
  figures.onerror = () => {
    $('verdict').textContent = 'the node does not answer: see whether it still runs';
    $('verdict').className = 'verdict bad';
  };
  const happenings = new EventSource('api/v1/events');
  const names = ['ready', 'disconnected', 'reconnected', 'reachable', 'id_changed', 'id_taken', 'woke', 'setting', 'announce_again'];
  for (const name of names) happenings.addEventListener(name, event => addEvent(JSON.parse(event.data)));
  happenings.addEventListener('setting', () => loadConfig().catch(() => {}));
  happenings.onopen = () => $('events').replaceChildren();
  streams = [figures, happenings];
  const tables = async () => {
    await loadAnnounces().catch(() => {});
    if (view !== null) await loadTable(view).catch(() => {});
  };
  figures.addEventListener('status', tables, { once: true });
  clearInterval(start.timer);
  start.timer = setInterval(tables, 10000);
  loadConfig().catch(() => {});
}

ask('session').then(({ logged_in, open }) => {
  $('login').hidden = logged_in;
  $('logout').hidden = !logged_in;
  if (logged_in || open) return start();
  $('verdict').textContent = 'log in to see how the node is';
}).catch(error => { $('verdict').textContent = error.message; });

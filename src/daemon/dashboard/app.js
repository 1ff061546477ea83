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
  const worst = view.findings[0] ? severityOf(view.findings[0]) : 'note';
  const mood = worst === 'wrong' || !view.ready ? 'bad' : worst === 'warning' ? 'unsure' : 'well';
  $('verdict').className = `verdict ${mood}`;
  document.title = `${mood === 'well' ? '' : '! '}trackerless`;
  showFindings(view.findings);
  $('about').textContent = `version ${view.version}, running for ${span(view.uptime_secs)}, data in ${view.data_dir}`;
  $('families').replaceChildren(...view.nodes.flatMap(family), ...ports(view.mapping), ...kept(view.announcer));
  known = Math.max(...view.nodes.map(node => node.network_size ?? node.contacts), 1);
  showTraffic(view);
  showGateway(view.gateway);
  showIndex(view.index);
}

// ---- what the doctor finds ----

const RANK = ['note', 'warning', 'wrong'];
const severityOf = ({ finding, consequences }) =>
  [finding, ...consequences].map(one => one.severity).sort((a, b) => RANK.indexOf(b) - RANK.indexOf(a))[0];
let findingsShown = '';

function showFindings(findings) {
  $('health').hidden = findings.length === 0;
  const text = JSON.stringify(findings);
  // What is read aloud or has the keyboard is not replaced by the same.
  if (text === findingsShown) return;
  findingsShown = text;
  $('findings').replaceChildren(...findings.map(({ finding, consequences }) =>
    make('article', { class: `finding ${finding.severity}` },
      make('h3', {}, make('span', { class: 'badge' }, finding.severity), ` ${finding.what}`),
      make('p', {}, make('b', {}, 'Cure: '), finding.cure),
      make('details', {}, make('summary', {}, 'Why, and how it is known'),
        make('p', {}, `${finding.cause} ${finding.evidence}.`),
        make('p', { class: 'quiet' }, `Known by: ${finding.known_by}. In docs/DOCTOR.md: ${finding.code}.`)),
      ...consequences.map(one => make('p', { class: 'quiet' }, `So: ${one.what} (${one.evidence})`)))));
}

function showGateway(gateway) {
  $('gateway').replaceChildren(...(gateway
    ? [tile(numbers.format(gateway.torrents), 'torrents of clients'),
       tile(numbers.format(gateway.held), 'answers that wait for peers'),
       tile(gateway.answers.count === 0 ? '…' : `${decimals.format(gateway.answers.sum_secs / gateway.answers.count)} s`, 'wait for an answer, on average'),
       tile(bytes(gateway.bytes), 'memory')]
    : [make('p', { class: 'quiet' }, 'there is none')]));
  $('gateway-tables').hidden = $('g-clients').hidden = !gateway;
  if (gateway) for (const [id, list] of [['g-requests', 'requests'], ['g-refused', 'refused'], ['g-work', 'work']]) {
    counts(id, gateway[list].map(({ name, count }) => [name, count]));
  }
}

// Its clients, a page at a time, when they are asked for.
let nextClients = null;

const WHERE = { host: 'this host', lan: 'the local network', neighbour: 'a neighbour', remote: 'elsewhere' };
const SAID = { public: 'public', private: 'private', withheld: 'gives no metadata', no_metadata: 'no metadata yet', unknown: 'no answer' };
const saidOf = said => Object.entries(said).filter(([, count]) => count > 0)
  .map(([verdict, count]) => `${SAID[verdict] ?? verdict}: ${numbers.format(count)}`).join(', ');

async function loadClients(after) {
  if ($('logout').hidden) {
    needLogin();
    $('g-clients-note').textContent = 'log in with the token to see them';
    return;
  }
  try {
    const { clients, next } = await ask(`api/v1/clients/gateway${after === null ? '' : `?after=${encodeURIComponent(after)}`}`);
    nextClients = next;
    $('g-clients-next').hidden = next === null;
    $('g-clients-note').textContent = clients.length === 0 ? 'none' : '';
    $('g-clients-rows').replaceChildren(...clients.map(one => make('tr', {},
      ...[one.address, one.program ?? '', WHERE[one.near] ?? one.near, `${span(one.seen_secs)} ago`, ...[one.seeds, one.leeches, one.refused].map(count => numbers.format(count)), saidOf(one.said)]
        .map(text => make('td', {}, text)))));
  } catch (error) {
    $('g-clients-rows').replaceChildren();
    $('g-clients-note').textContent = error.message;
  }
}
$('g-clients').addEventListener('toggle', () => { if ($('g-clients').open) loadClients(null); });
$('g-clients-first').addEventListener('click', () => loadClients(null));
$('g-clients-next').addEventListener('click', () => loadClients(nextClients));

function ports(mapping) {
  return (mapping ?? []).map(({ port, udp, refused, external }) => tile(
    external !== null ? `open at ${external}` : refused ? 'refused' : 'not asked for',
    `${udp ? 'UDP' : 'TCP'} port ${port} at the router`));
}

function family(node) {
  const outside = node.external_address === null
    ? 'not known yet how others see it'
    : `seen by others as ${node.external_address}`;
  const size = node.network_size === null ? '' : ` of about ${numbers.format(node.network_size)}`;
  const reached = node.reached ? 'strangers reach it' : 'no strangers have reached it yet';
  return [
    make('div', { class: 'tile family' }, make('b', {}, `${node.family} ${node.address}`),
      make('span', {}, `${outside}; ${reached}; id `), make('code', {}, node.id)),
    tile(`${numbers.format(node.good_contacts)}`, `good nodes${size}`),
    tile(numbers.format(node.swarms), 'torrents of others'),
    tile(numbers.format(node.peers), 'their peers'),
    tile(numbers.format(node.items), 'items of others'),
    tile(`${numbers.format(node.own_announces_seen)} of ${numbers.format(node.own_announces)}`, 'own announces looked for that were seen'),
  ];
}

// What is kept announced; nothing where nothing is.
function kept(announcer) {
  if (announcer.infohashes === 0) return [];
  const visible = announcer.states.find(state => state.name === 'visible')?.count ?? 0;
  return [
    tile(`${numbers.format(visible)} of ${numbers.format(announcer.wanted)}`, 'infohashes kept announced and visible'),
    tile(numbers.format(announcer.behind), 'infohashes that wait for their turn'),
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
  for (const [id, list] of [['served', 'served'], ['refused', 'refused'], ['own', 'own_queries']]) counts(id, [...sums(view, list)]);
}

function counts(id, pairs) {
  $(id).replaceChildren(...pairs.map(([name, count]) =>
    make('tr', {}, make('th', { scope: 'row' }, name.replaceAll('_', ' ')), make('td', { class: 'number' }, numbers.format(count)))));
}

// ---- what is kept announced: only the rows on the screen exist ----

const WITHHELD = ['paused', 'private', 'privacy unknown', 'elsewhere', 'no port'];
const MOST_ROWS = 100000;
let announces = [];
let shown = [];
let loading = false;

async function loadAnnounces() {
  if (loading) return;
  loading = true;
  try {
    const all = [];
    for (let after = ''; all.length < MOST_ROWS;) {
      const page = await ask(`api/v1/announcements?limit=1000&history=true${after && `&after=${after}`}`);
      all.push(...page.announcements.map(one => ({ ...one, at: page.now, words: `${one.name ?? ''}\n${one.infohash}`.toLowerCase() })));
      if (!page.next) break;
      after = page.next;
    }
    announces = all;
    filter();
  } finally {
    loading = false;
  }
}

function filter() {
  const [word, kind] = [$('search').value.trim().toLowerCase(), $('visible').value];
  const fits = { '': () => true, visible: one => one.state === 'visible', withheld: one => WITHHELD.includes(one.state),
    hidden: one => one.state !== 'visible' && !WITHHELD.includes(one.state) }[kind];
  shown = announces.filter(one => fits(one) && one.words.includes(word));
  $('announce-none').hidden = announces.length > 0;
  $('announces').hidden = announces.length === 0;
  $('announces').setAttribute('aria-rowcount', shown.length + 1);
  $('announce-count').textContent = announces.length === 0 ? '' : `${numbers.format(shown.length)} of ${numbers.format(announces.length)}`;
  $('announce-rows').style.height = `${shown.length * ROW}px`;
  drawRows();
}

// Seeds and all peers as two lines; of each point its place from left to right (0 to 1), seeds and other peers.
function swarmLines(picture, points, width, height, margin) {
  const most = Math.max(1, ...points.map(([, seeds, peers]) => seeds + peers));
  const line = (name, of) => picture.append(shape('polyline', { class: name, points: points.map(point =>
    `${(point[0] * (width - 2 * margin) + margin).toFixed(1)},${(height - margin - of(point) / most * (height - 2 * margin)).toFixed(1)}`).join(' ') }));
  line('all', ([, seeds, peers]) => seeds + peers);
  line('seeds', ([, seeds]) => seeds);
  return most;
}

// Over a day at most.
function sparkline(history) {
  const picture = shape('svg', { class: 'spark', viewBox: '0 0 60 20', 'aria-hidden': 'true' });
  if (history.length > 1) swarmLines(picture, history.map((counts, index) => [index / (history.length - 1), ...counts]), 60, 20, 1);
  return picture;
}

const ago = (at, one) => at === null ? '' : `${span(Math.max(0, one.at - at))} ago`;

function row(one, index) {
  const name = one.name ?? one.infohash;
  const mood = one.state === 'visible' ? 'seen' : WITHHELD.includes(one.state) ? 'quiet' : ['failing', 'not visible'].includes(one.state) ? 'unseen' : '';
  const why = one.error ?? (one.visible_as ? `found as ${one.visible_as}` : '');
  // A folder, a list and a client have their own ways; a single torrent that was named is steered here.
  const byHand = one.sources.some(source => /^(magnet:.*|[0-9a-f]{40}|[a-z2-7]{32})$/i.test(source));
  const steer = byHand ? [
    make('button', { type: 'button', class: 'small', 'aria-label': `${one.state === 'paused' ? 'Resume' : 'Pause'} ${name}`,
      onclick: () => steerRow(one, 'PATCH', { paused: one.state !== 'paused' }) }, one.state === 'paused' ? 'Resume' : 'Pause'),
    make('button', { type: 'button', class: 'small', 'aria-label': `Remove ${name}`, onclick: () => steerRow(one, 'DELETE') }, 'Remove'),
  ] : [make('span', { class: 'quiet', title: one.sources.join(', ') }, one.sources[0] ?? '')];
  const swarm = one.seeds === null ? '' : `${numbers.format(one.seeds)} + ${numbers.format(one.peers)}`;
  const made = make('div', { class: 'row', role: 'row', 'aria-rowindex': index + 2 },
    make('span', { role: 'cell', class: one.name ? '' : 'mono', title: `${name}\n${one.infohash}` }, name),
    make('span', { role: 'cell', class: mood, title: why }, one.state),
    make('span', { role: 'cell', class: 'wide-only' }, one.stored_at === 0 ? '' : numbers.format(one.stored_at)),
    make('span', { role: 'cell', class: 'swarm' }, swarm, sparkline(one.history ?? [])),
    make('span', { role: 'cell', class: 'wide-only' }, ago(one.announced_at, one)),
    make('span', { role: 'cell', class: 'wide-only' }, one.next_in_seconds === null ? '' : one.next_in_seconds === 0 ? 'now' : `in ${span(one.next_in_seconds)}`),
    make('span', { role: 'cell', class: 'steer' }, ...steer));
  made.style.top = `${index * ROW}px`;
  return made;
}

function drawRows() {
  const box = $('announces');
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 4);
  const last = Math.min(shown.length, first + Math.ceil(box.clientHeight / ROW) + 8);
  const focused = $('announce-rows').contains(document.activeElement) ? document.activeElement.getAttribute('aria-label') : null;
  $('announce-rows').replaceChildren(...shown.slice(first, last).map((one, index) => row(one, first + index)));
  // The keyboard stays where it was.
  if (focused) [...$('announce-rows').querySelectorAll('button')].find(button => button.getAttribute('aria-label') === focused)?.focus();
}

async function steerRow(one, method, body) {
  try {
    if (method === 'DELETE') await ask(`api/v1/announcements/${one.infohash}`, { method });
    else await send(method, `api/v1/announcements/${one.infohash}`, body);
    $('add-said').textContent = '';
    await loadAnnounces();
  } catch (error) {
    said('add-said', error);
  }
}

$('add').addEventListener('submit', async event => {
  event.preventDefault();
  const port = $('add-port').value === '' ? null : Number($('add-port').value);
  try {
    const added = await send('POST', 'api/v1/announcements', { target: $('add-target').value.trim(), port, seed: $('add-seed').checked });
    $('add-target').value = '';
    $('add-said').textContent = `added: ${added.map(one => one.name ?? one.infohash).join(', ')}`;
    await loadAnnounces();
  } catch (error) {
    said('add-said', error);
  }
});

$('announces').addEventListener('scroll', () => requestAnimationFrame(drawRows));
$('announce-filter').addEventListener('input', filter);
$('announce-filter').addEventListener('submit', event => event.preventDefault());

// Says what went wrong; who has not logged in is led there.
function said(id, error) {
  $(id).textContent = error.message;
  if (error.status === 401) $('token').focus();
}

// ---- a lookup, while it runs ----

let lookup = null;

$('lookup').addEventListener('submit', async event => {
  event.preventDefault();
  await stopLookup();
  try {
    const started = await send('POST', 'api/v1/lookups', { target: $('target').value.trim() });
    watch(started);
  } catch (error) {
    said('lookup-said', error);
  }
});
$('stop').addEventListener('click', () => { stopLookup(); checking?.abort(); });

// ---- a check from outside, step by step ----

let checking = null;

const STEPS = {
  stored: ({ peers, holders, closest, answered }) =>
    `In the DHT: ${counted(peers, 'peer')}, at ${holders} of the ${closest} closest nodes (${numbers.format(answered)} answered)`,
  peer: ({ peer, connects, demands_encryption, speaks, program, metadata }) =>
    `${peer}: ${!connects ? 'no connection' : `connects, ${demands_encryption ? 'demands encryption, ' : ''}${speaks ? `speaks BitTorrent for this torrent${program ? ` (${program})` : ''}` : 'does not take part'}${
      { given: ', has the metadata', offered: ', has the metadata', none: ', gives no metadata' }[metadata] ?? ''}`}`,
  metadata: ({ name, size_bytes, files, private: isPrivate }) =>
    `Metadata: ${name ?? '(no name)'}, ${bytes(size_bytes)} in ${counted(files, 'file')}${isPrivate ? '; private: it should not be in the DHT' : ''}`,
  count: ({ seeds, peers }) => `${counted(seeds, 'seed')} and ${counted(peers, 'other peer')}, as nodes count them`,
  verdict: ({ works, peers, working, cut_short }) =>
    `${works ? `It works: ${working} of ${counted(peers, 'peer')} can be used` : peers === 0 ? 'No peer was found' : `Of ${counted(peers, 'peer')} none can be used from here`}${cut_short ? '; not all was known within a minute' : ''}`,
};

function addStep(name, step) {
  const bad = step.meaning || name === 'verdict' && !step.works;
  const good = name === 'peer' ? step.works : name === 'verdict' ? step.works : !bad;
  $('check-steps').append(make('li', { class: good ? 'good' : bad ? 'bad' : '' }, make('span', { class: name === 'verdict' ? 'final' : '' }, STEPS[name](step)),
    ...(step.meaning ? [make('span', { class: 'quiet' }, step.meaning)] : [])));
}

$('check').addEventListener('click', async () => {
  if (!$('lookup').reportValidity()) return;
  checking?.abort();
  const mine = checking = new AbortController();
  $('check-steps').replaceChildren();
  $('lookup-said').textContent = 'looking at it from outside …';
  $('stop').disabled = false;
  try {
    const answer = await fetch('api/v1/checks', { method: 'POST', credentials: 'same-origin', signal: mine.signal,
      headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream' }, body: JSON.stringify({ target: $('target').value.trim() }) });
    if (!answer.ok) {
      const problem = await answer.json();
      if (answer.status === 401) needLogin();
      throw Object.assign(new Error(`${problem.detail}. Cure: ${problem.cure}`), { status: answer.status });
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = '', part; !(part = await reader.read()).done;) {
      const events = (text + part.value).split('\n\n');
      text = events.pop();
      for (const event of events) {
        const name = /^event: (.*)$/m.exec(event)?.[1];
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (name in STEPS) addStep(name, JSON.parse(data));
      }
    }
    $('lookup-said').textContent = 'the check is over';
  } catch (error) {
    if (error.name === 'AbortError') $('lookup-said').textContent = 'the check was stopped';
    else said('lookup-said', error);
  } finally {
    if (checking === mine) checking = null;
    if (checking === null && lookup === null) $('stop').disabled = true;
  }
});

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

// ---- a torrent: its files in a tree, its seeds over time ----

const magnetOf = (infohash, name) => `magnet:?xt=urn:btih:${infohash}${name ? `&dn=${encodeURIComponent(name)}` : ''}`;
const MOST_SHOWN = 1000; // files

// Folders with the bytes of all that is in them; what is not in a folder is a file.
function tree(files) {
  const root = { folders: new Map(), files: [], size: 0 };
  for (const { path, size } of files.slice(0, MOST_SHOWN)) {
    const parts = path.split('/');
    const name = parts.pop();
    let at = root;
    for (const part of parts) {
      if (!at.folders.has(part)) at.folders.set(part, { folders: new Map(), files: [], size: 0 });
      at = at.folders.get(part);
      at.size += size;
    }
    at.files.push({ name, size });
  }
  return root;
}

function branches({ folders, files }, open) {
  const list = make('ul', { class: 'tree' });
  for (const [name, folder] of folders) {
    list.append(make('li', {}, make('details', { open },
      make('summary', {}, `${name}/ `, make('span', { class: 'quiet' }, bytes(folder.size))), branches(folder, folders.size === 1 && open))));
  }
  for (const { name, size } of files) list.append(make('li', {}, `${name} `, make('span', { class: 'quiet' }, bytes(size))));
  return list;
}

// Seeds and all peers, each count at its time.
function overTime(history) {
  if (history.length < 2) return [];
  const [first, last] = [history[0].counted, history.at(-1).counted];
  const picture = shape('svg', { class: 'history', viewBox: '0 0 320 64', role: 'img',
    'aria-label': `Seeds over time: ${history.map(({ seeds }) => seeds).join(', ')}` });
  const points = history.map(({ counted, seeds, peers }) => [(counted - first) / Math.max(last - first, 1), seeds, peers]);
  const most = swarmLines(picture, points, 320, 64, 4);
  return [make('p', { class: 'quiet' }, `Seeds (green) and all peers over ${span(last - first)}, ${numbers.format(most)} at most`), picture];
}

function torrentFacts({ infohash, name, size, file_count, files, seeds, peers, history = [], from }) {
  const unknown = 'unknown';
  const said = make('span', { class: 'quiet', role: 'status' });
  const keep = make('button', { type: 'button', class: 'small' }, 'Keep announced');
  keep.addEventListener('click', async () => {
    try {
      await send('POST', 'api/v1/announcements', { target: magnetOf(infohash, name) });
      said.textContent = 'it is kept announced from now on, at the port of the settings';
      loadAnnounces().catch(() => {});
    } catch (error) {
      said.textContent = error.message;
    }
  });
  const cut = file_count > Math.min(files.length, MOST_SHOWN) ? `, the first ${numbers.format(Math.min(files.length, MOST_SHOWN))} of them below` : '';
  return [
    make('p', {}, `${bytes(size)} in ${counted(file_count, 'file')}${cut}; seeds: ${seeds ?? unknown}, other peers: ${peers ?? unknown}${from ?? ''}`),
    make('p', { class: 'mono' }, infohash),
    make('p', { class: 'steer' }, make('a', { href: magnetOf(infohash, name) }, 'Magnet URI'), keep, said),
    ...overTime(history),
    ...(files.length > 0 ? [branches(tree(files), true)] : []),
  ];
}

$('info').addEventListener('click', async () => {
  if (!$('lookup').reportValidity()) return;
  $('info-said').replaceChildren(make('p', { class: 'quiet' }, 'asking its peers …'));
  try {
    const info = await send('POST', 'api/v1/info', { target: $('target').value });
    const from = `; from ${counted(info.asked, 'peer')} within ${decimals.format(info.seconds)} s${info.private ? '; private: only its own trackers may know its peers' : ''}`;
    $('info-said').replaceChildren(make('h3', {}, info.name ?? '(no name)'),
      ...torrentFacts({ ...info, infohash: info.infohashes[0], from }));
  } catch (error) {
    $('info-said').replaceChildren(make('p', { class: 'quiet' }, error.message));
  }
});

// ---- the index ----

function showIndex(index) {
  $('index-form').hidden = $('query-help').hidden = !index;
  if (!index) {
    $('index-figures').replaceChildren(make('p', { class: 'quiet' }, 'there is none; run the node with --index survey, passive or mine'));
    return;
  }
  const did = name => numbers.format(index.work.find(one => one.name === name)?.count ?? 0);
  $('index-figures').replaceChildren(
    ...(index.holds
      ? [tile(numbers.format(index.holds.torrents), 'torrents'), tile(bytes(index.holds.used_bytes), `of ${bytes(index.holds.most_bytes)} on the disk`)]
      : [tile('…', 'not measured: it was just opened, or its database is away')]),
    tile(numbers.format(index.wanted), 'names that are wanted'),
    tile(did('fetched'), `names fetched since the start; ${did('not_given')} given by no peer`),
    ...(index.survey ? [tile(`${Math.round(index.survey.place * 100)} %`, `of this sweep, after ${counted(index.survey.sweeps, 'whole one')}; ${counted(index.survey.nodes, 'node')} known`)] : []));
}

// What is looked for as one types; an answer that comes too late is for another question.
const search = { waiting: null, asking: null, text: '', next: null };

$('query').addEventListener('input', () => {
  clearTimeout(search.waiting);
  search.waiting = setTimeout(() => results(null), 200);
});
$('index-form').addEventListener('submit', event => {
  event.preventDefault();
  clearTimeout(search.waiting);
  results(null);
});
$('more-results').addEventListener('click', () => results(search.next));

async function results(after) {
  search.asking?.abort();
  const asking = search.asking = new AbortController();
  const text = after === null ? $('query').value.trim() : search.text;
  if (text === '') {
    $('results').replaceChildren();
    $('index-said').textContent = '';
    $('more-results').hidden = true;
    return;
  }
  try {
    const place = after === null ? '' : `&after=${encodeURIComponent(after)}`;
    const { torrents, next } = await ask(`api/v1/search?limit=50&q=${encodeURIComponent(text)}${place}`, { signal: asking.signal });
    if (after === null) $('results').replaceChildren();
    $('results').append(...torrents.map(result));
    Object.assign(search, { text, next });
    $('more-results').hidden = next === null;
    const shown = $('results').childElementCount;
    $('index-said').textContent = shown === 0 ? 'nothing in the index fits' : `${counted(shown, 'torrent')}${next === null ? '' : ', and more'}`;
  } catch (error) {
    if (error.name !== 'AbortError') $('index-said').textContent = error.message;
  }
}

function result(torrent) {
  const swarm = torrent.seeds === undefined ? 'seeds unknown' : `${counted(torrent.seeds, 'seed')}, ${counted(torrent.peers, 'other peer')}`;
  const ago = span(Math.max(Date.now() / 1000 - torrent.seen, 0));
  const box = make('div', { class: 'torrent' });
  const all = make('details', {}, make('summary', {}, make('b', {}, torrent.name || '(no name)'),
    make('span', { class: 'quiet' }, ` ${bytes(torrent.size)}, ${swarm}, seen ${ago} ago${torrent.source === 'import' ? ', unchecked' : ''}`)), box);
  all.addEventListener('toggle', async () => {
    if (!all.open || box.childElementCount > 0) return;
    try {
      const { files, history } = await ask(`api/v1/index/${torrent.infohash}`);
      const counted_at = torrent.counted === undefined ? '' : `, counted ${span(Math.max(Date.now() / 1000 - torrent.counted, 0))} ago`;
      box.replaceChildren(...torrentFacts({ ...torrent, files, history, from: counted_at }));
    } catch (error) {
      box.replaceChildren(make('p', { class: 'quiet' }, error.message));
    }
  });
  return make('li', {}, all);
}

// ---- the routing table ----

let contactsShown = null;

async function loadTable(view) {
  contactsShown = contacts(view);
  const nodes = await ask('api/v1/nodes');
  const pictures = view.nodes.map(own => {
    const buckets = new Map();
    for (const node of nodes.filter(node => node.own_address === own.address)) {
      const bits = commonBits(node.id, own.id);
      buckets.set(bits, [...(buckets.get(bits) ?? []), node]);
    }
    const rows = [...buckets.keys()].sort((a, b) => a - b).map(bits => bucketRow(bits, buckets.get(bits), own.network_size));
    return make('div', {}, make('h3', { class: 'quiet' }, `${own.family} ${own.address}`), ...rows);
  });
  $('buckets').replaceChildren(...pictures);
}

const contacts = view => view.nodes.map(node => node.contacts).join();

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
    if (contactsShown !== null && contactsShown !== contacts(view) && !document.hidden) loadTable(view).catch(() => {});
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
  // A hundred thousand rows are not fetched every ten seconds.
  start.timer = setInterval(() => { if (!document.hidden) tables(); }, 15000);
  loadConfig().catch(() => {});
  if ($('g-clients').open) loadClients(null);
}

ask('session').then(({ logged_in, open }) => {
  $('login').hidden = logged_in;
  $('logout').hidden = !logged_in;
  if (logged_in || open) return start();
  $('verdict').textContent = 'log in to see how the node is';
}).catch(error => { $('verdict').textContent = error.message; });

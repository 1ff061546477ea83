// Opens the page of a running node in a real Chromium, by playwright-core, and says on standard output what it saw, as JSON.
//
// The only argument is a JSON object: `library` and `axe` (where they lie), `page` (its URL), `token`, `infohash`, `folder` (for
// the screenshots), `kind` (what is done), `until` (what the verdict must say), `rows` (how many are waited for), `refused` (with
// which status the node is to refuse something), and `views`: a name, a width, a height and a colour scheme each.

import path from 'node:path'

const order = JSON.parse(process.argv[2])
const { default: { chromium } } = await import(order.library)
const seen = { hosts: [], errors: [], violations: [], views: {} }
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })

const judge = async (page, name) => {
  // The page forbids every script but its own: axe comes in by the debugger.
  await page.evaluate(await import('node:fs').then(fs => fs.readFileSync(order.axe, 'utf8')) + ';0')
  const found = await page.evaluate(() => window.axe.run(document))
  for (const { id, nodes } of found.violations) seen.violations.push(`${name}: ${id}: ${nodes.map(node => node.target).join(' ')}`)
}

const look = async ({ name, width, height, colorScheme }) => {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme })
  const page = await context.newPage()
  page.on('console', (message) => {
    const isWished = order.refused.some((status) => message.text().includes(`with a status of ${status}`))
    if (message.type() === 'error' && !isWished) seen.errors.push(message.text())
  })
  page.on('pageerror', (error) => seen.errors.push(String(error)))
  page.on('request', (request) => seen.hosts.push(new URL(request.url()).host))
  await page.goto(order.page)
  await page.waitForFunction((until) => /well|bad|unsure/.test(document.querySelector('#verdict').className)
    && document.querySelector('#verdict').textContent.includes(until), order.until, { timeout: 60000 })
    .catch(async () => { throw new Error(`the verdict is ${await page.textContent('#verdict')} (${await page.getAttribute('#verdict', 'class')})`) })
  const view = seen.views[name] = { verdict: await page.textContent('#verdict') }
  view.firstPaint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime)
  view.findings = await page.textContent('#findings')
  if (order.kind === 'all') await all(page, view)
  if (order.kind === 'many') await many(page, view)
  if (order.kind === 'clients') await clients(page, view)
  if (order.kind === 'cure') await cure(page, view, name)
  if (order.kind === 'index') await index(page, view)
  view.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  view.scripted = await page.evaluate(() => document.cookie)
  await judge(page, name)
  await page.screenshot({ path: path.join(order.folder, `${order.kind}-${name}.png`), fullPage: true })
  await context.close()
}

// The keyboard alone: to the token, in, to the box, look, check; add, pause, resume, remove.
const all = async (page, view) => {
  const tabTo = async (is, argument) => {
    for (let presses = 0; presses < 60; presses++) {
      if (await page.evaluate(is, argument)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`the keyboard does not lead to ${argument}`)
  }
  const toId = (id) => tabTo((id) => document.activeElement?.id === id, id)
  const toButton = (label) => tabTo((label) => document.activeElement?.getAttribute('aria-label')?.startsWith(label), label)
  const state = (word) => page.waitForFunction((word) =>
    document.querySelector('#announce-rows .row')?.children[1].textContent.includes(word), word)
  await toId('token')
  await page.keyboard.type(order.token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#logout:not([hidden])')
  view.states = []
  await toId('add-target')
  await page.keyboard.type(`magnet:?xt=urn:btih:${'7'.repeat(40)}&dn=A%20name`)
  await toId('add-port')
  await page.keyboard.type('5001')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#announce-rows .row')
  view.states.push('added')
  await toButton('Pause')
  await page.keyboard.press('Enter')
  await state('paused')
  view.states.push('paused')
  await toButton('Resume')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => !document.querySelector('#announce-rows .row').children[1].textContent.includes('paused'))
  view.states.push('resumed')
  await toId('target')
  await page.keyboard.type(order.infohash)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#lookup-said').textContent.includes('lookup is over'))
  view.said = await page.textContent('#lookup-said')
  view.peers = await page.locator('#peers li').allTextContents()
  view.points = await page.locator('#lookup-picture circle').count()
  view.pictureIsShown = await page.locator('#lookup-picture').isVisible()
  await toId('check')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#lookup-said').textContent.includes('check is over'), null, { timeout: 90000 })
  view.steps = await page.locator('#check-steps li').allTextContents()
  await page.waitForSelector('.bucket .square')
  view.announces = await page.textContent('#announce-count')
  await page.screenshot({ path: path.join(order.folder, `steps-${view.name ?? ''}${page.viewportSize().width}.png`), fullPage: true })
  await page.locator('#announces').focus()
  await toButton('Remove')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#announce-none:not([hidden])')
  view.states.push('removed')
}

// Scrolls through all rows, and looks for the longest time in which nothing else could be done.
const many = async (page, view) => {
  await page.waitForFunction((rows) => document.querySelector('#announce-count').textContent.endsWith(rows), order.rows.toLocaleString('en-US'), { timeout: 60000 })
  view.announces = await page.textContent('#announce-count')
  view.rows = await page.locator('#announce-rows .row').count()
  const scrolled = await page.evaluate(async () => {
    let longestTask = 0
    const observer = new PerformanceObserver((list) => list.getEntries().forEach((entry) => { longestTask = Math.max(longestTask, entry.duration) }))
    observer.observe({ type: 'longtask' })
    const box = document.querySelector('#announces')
    let frames = 0
    for (let at = 0; at < box.scrollHeight; at += box.scrollHeight / 120) {
      box.scrollTop = at
      await new Promise(requestAnimationFrame)
      frames += 1
    }
    observer.disconnect()
    return { longestTask, frames }
  })
  Object.assign(view, scrolled)
}

// The clients of the gateway: not without the token, then page by page.
const clients = async (page, view) => {
  const rows = () => page.locator('#g-clients-rows tr').evaluateAll(rows => rows.map(row => [...row.children].map(cell => cell.textContent).join('\t')))
  await page.locator('#g-clients summary').click()
  await page.waitForFunction(() => document.querySelector('#g-clients-note').textContent !== '')
  view.clientsBefore = await page.textContent('#g-clients-note')
  await page.fill('#token', order.token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#g-clients-rows tr')
  view.clients = await rows()
  await page.click('#g-clients-next')
  await page.waitForSelector('#g-clients-next', { state: 'hidden' })
  view.clientsNext = await rows()
  await page.click('#g-clients-first')
  await page.waitForFunction((count) => document.querySelectorAll('#g-clients-rows tr').length === count, view.clients.length)
}

// Results as one types; one of them opened by the keyboard, and kept announced; what is wrong, what is not there.
const index = async (page, view) => {
  const said = (word) => page.waitForFunction((word) => document.querySelector('#index-said').textContent.includes(word), word)
  const type = async (text) => {
    await page.fill('#query', '')
    await page.locator('#query').pressSequentially(text)
  }
  await page.fill('#token', order.token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#logout:not([hidden])')
  await page.waitForFunction(() => document.querySelector('#index-figures').textContent.includes('torrents'))
  view.figures = await page.textContent('#index-figures')
  await type('film')
  await said('and more')
  view.first = await page.locator('#results > li').count()
  await page.locator('#more-results').focus()
  await page.keyboard.press('Enter')
  await page.waitForSelector('#more-results', { state: 'hidden' })
  view.shown = await page.locator('#results > li').count()
  await type('"film')
  await said('character')
  view.wrong = await page.textContent('#index-said')
  await type('nothing')
  await said('fits')
  view.nothing = await page.textContent('#index-said')
  await type('film seeds>=61')
  await said('1 torrent')
  await page.locator('#results summary').first().focus()
  await page.keyboard.press('Enter')
  await page.waitForSelector('#results .tree')
  const texts = (selector) => page.locator(selector).evaluateAll((all) => all.map((one) => one.firstChild.textContent.trim()))
  view.name = await page.textContent('#results summary b')
  view.folders = await texts('#results .tree summary')
  view.files = await texts('#results .tree li:not(:has(details))')
  view.history = await page.getAttribute('#results svg', 'aria-label')
  view.magnet = await page.getAttribute('#results a', 'href')
  await page.locator('#results button').focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#results .steer [role=status]').textContent !== '')
  view.kept = await page.textContent('#results .steer [role=status]')
  await page.waitForSelector('#announce-rows .row')
  view.announces = await page.textContent('#announce-count')
  await page.fill('#target', order.infohash)
  await page.locator('#info').focus()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#info-said').textContent.includes('Cure'), null, { timeout: 60000 })
  view.info = await page.textContent('#info-said')
  await page.evaluate(async () => fetch('api/v1/announcements/' + '0'.repeat(40), { method: 'DELETE' }))
}

// What was found is on the page and in a picture; somebody follows the cure; then it is gone.
const cure = async (page, view, name) => {
  await page.screenshot({ path: path.join(order.folder, `cure-before-${name}.png`), fullPage: true })
  await page.waitForSelector('#verdict.well', { timeout: 120000 })
  view.after = await page.textContent('#verdict')
  view.findingsAfter = await page.textContent('#findings')
}

for (const view of order.views) await look(view)
await browser.close()
console.log(JSON.stringify(seen))

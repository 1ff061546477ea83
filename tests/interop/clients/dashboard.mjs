// Opens the page of a running node in a real Chromium, by playwright-core, and says on standard output what it saw, as JSON.
//
// The only argument is a JSON object: `library` (where the package lies), `page` (its URL), `token`, `infohash`, `folder` (for the
// screenshots), and `views`: a name, a width, a height and a colour scheme each.

import path from 'node:path'

const order = JSON.parse(process.argv[2])
const { default: { chromium } } = await import(order.library)
const seen = { hosts: [], errors: [], views: {} }
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })

const look = async ({ name, width, height, colorScheme }) => {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme })
  const page = await context.newPage()
  page.on('console', (message) => message.type() === 'error' && seen.errors.push(message.text()))
  page.on('pageerror', (error) => seen.errors.push(String(error)))
  page.on('request', (request) => seen.hosts.push(new URL(request.url()).host))
  await page.goto(order.page)
  await page.waitForFunction(() => /well|bad/.test(document.querySelector('#verdict').className))
  const view = seen.views[name] = { verdict: await page.textContent('#verdict') }
  view.firstPaint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime)
  // The keyboard alone: to the token, in, to the box, and look.
  const tabTo = async (id) => {
    for (let presses = 0; presses < 40; presses++) {
      if (await page.evaluate(() => document.activeElement?.id) === id) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`the keyboard does not lead to ${id}`)
  }
  await tabTo('token')
  await page.keyboard.type(order.token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#logout:not([hidden])')
  await tabTo('target')
  await page.keyboard.type(order.infohash)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#lookup-said').textContent.includes('over'))
  view.said = await page.textContent('#lookup-said')
  view.peers = await page.locator('#peers li').allTextContents()
  view.points = await page.locator('#lookup-picture circle').count()
  view.pictureIsShown = await page.locator('#lookup-picture').isVisible()
  await page.waitForSelector('.bucket .square')
  await page.waitForSelector('#announce-rows .row')
  view.announces = await page.textContent('#announce-count')
  view.rows = await page.locator('#announce-rows .row').count()
  view.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  view.scripted = await page.evaluate(() => document.cookie)
  await page.screenshot({ path: path.join(order.folder, `${name}.png`), fullPage: true })
  await context.close()
}

for (const view of order.views) await look(view)
await browser.close()
console.log(JSON.stringify(seen))

// The layer as visitors of a shop meet it: examples/axum.rs, in a real browser.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openBakery } from "../support/bakery.mjs";
import {
  assertFits,
  assertNoScriptRuns,
  holdAnswers,
  openVisitor,
  PHONE,
  startBrowser,
  takeScreenshots,
} from "../support/chromium.mjs";

const ENDPOINT = "**/.well-known/esper/challenge";
const WORKER = `${ENDPOINT}/proof-of-work.*.js`;
// A browser remarks on every answer that is no success.
const REFUSED = /status of (429|403)/;

/** A shop, and a visitor on its page. */
async function visit(context, { browser = {} } = {}) {
  const chromium = await startBrowser(context);
  const shop = await openBakery(context);
  const visitor = await openVisitor(context, chromium, [shop.url], browser);
  const page = await visitor.open();
  await page.goto(shop.url);
  return { chromium, shop, visitor, page };
}

/** A shop whose visitor is challenged from now on, because a bot came from the same browser. */
async function challenged(context, options = {}) {
  const all = await visit(context, options);
  all.visitor.expect(REFUSED);
  const bot = await all.chromium.newPage();
  await bot.goto(all.shop.url);
  await press(bot, "Behave like a bot", 429);
  await bot.close();
  return all;
}

/** Lets the page behave in one way, until it is stopped. */
async function press(page, name, status) {
  await page.getByRole("button", { name, exact: true }).click();
  await page.getByRole("status").getByText(`stopped with ${status}`).waitFor();
}

/** How many answers of a status the bot of a page got. */
async function count(page, status) {
  return Number(await page.locator(`#s${status}`).innerText());
}

/** Lets no calculation end. */
async function calculateForEver(visitor) {
  const body = "self.onmessage = () => self.postMessage({ hashes: 40_000 });";
  await visitor.context.route(WORKER, (route) =>
    route.fulfill({ contentType: "text/javascript", body }));
}

async function allowed(page) {
  await page.getByText("Allowed by").waitFor();
}

/** The samples that Prometheus would read. */
async function scrape(shop) {
  const answer = await fetch(`${shop.url}/metrics`);
  assert.equal(answer.status, 200);
  return (await answer.text()).split("\n").filter((line) => line && !line.startsWith("#"));
}

/** Takes pictures of a page of the layer, which has to fit on a phone. */
async function look(page, name) {
  await takeScreenshots(page, name);
  await assertFits(page, PHONE);
}

test("an ordinary visitor notices nothing", async (context) => {
  const { shop, visitor, page } = await visit(context);
  assert.match(await page.locator("#visit").innerText(), /^Allowed by: service\. You are 127\.0\.0\.1/);
  await page.getByLabel("Loaves").fill("3");
  await page.getByRole("button", { name: "Order" }).click();
  await page.getByText("Thank you for your order of 3 loaves.").waitFor();
  assert.equal(page.url(), `${shop.url}/order`);
  assert.deepEqual(await visitor.context.cookies(), []);
});

test("a challenged visitor solves the challenge, and is back where they wanted to go", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  const wanted = `${shop.url}/?q=a%20b+c&x=1#top`;
  await page.goto("data:text/html,before");
  const answer = await page.goto(wanted);
  assert.equal(answer.status(), 429);
  await allowed(page);
  assert.equal(page.url(), wanted);
  const [cookie, ...others] = await visitor.context.cookies();
  assert.deepEqual(others, []);
  const { name, path, httpOnly, sameSite } = cookie;
  assert.deepEqual({ name, path, httpOnly, sameSite },
    { name: "esper_challenge", path: "/", httpOnly: true, sameSite: "Lax" });
  await page.goBack();
  assert.equal(page.url(), "data:text/html,before", "the page of the challenge is not gone back to");
});

test("a scrape shows the way of a visitor through a challenge", async (context) => {
  const { shop, page } = await challenged(context);
  await page.reload();
  await allowed(page);
  const stages = (sample) => sample.startsWith("esper_challenges_total{");
  let counted;
  for (const started = Date.now(); Date.now() - started < 10_000; ) {
    const samples = (await scrape(shop)).filter(stages);
    counted = Object.fromEntries(samples.map((sample) => /"(\w+)"} (\d+)$/.exec(sample).slice(1)));
    // The notice that the page runs travels beside the answer.
    if (counted.loaded) break;
  }
  const { issued, ...once } = counted;
  assert.deepEqual(once, { loaded: "1", submitted: "1", redeemed: "1" });
  assert.ok(Number(issued) >= 2, "the bot and the page were challenged");
});

test("who has passed is not challenged again, and a bot among them is blocked", async (context) => {
  const { visitor, page } = await challenged(context);
  await page.reload();
  await allowed(page);
  await press(page, "Behave badly", 403);
  assert.equal(await count(page, 429), 0);
  assert.ok((await count(page, 200)) > 0);
  const blocked = await page.reload();
  assert.equal(blocked.status(), 403);
  await page.getByRole("heading", { name: "This request was blocked" }).waitFor();
  await look(page, "enforce-blocked");
});

test("two tabs are challenged at once, and both pass", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  const letGo = await holdAnswers(visitor, ENDPOINT);
  const pages = [page, await visitor.open()];
  for (const [tab, one] of pages.entries()) {
    await one.goto(`${shop.url}/?tab=${tab}`);
    await one.getByText("Handing in the answer").waitFor();
  }
  letGo();
  for (const [tab, one] of pages.entries()) {
    await allowed(one);
    assert.equal(one.url(), `${shop.url}/?tab=${tab}`);
  }
});

test("a form that was posted into a challenge is there again after it, and is sent", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  const letGo = await holdAnswers(visitor, ENDPOINT);
  await page.getByLabel("Loaves").fill("7");
  await page.getByRole("button", { name: "Order" }).click();
  await page.getByText("What you just sent has not arrived yet.").waitFor();
  letGo();
  const back = page.getByRole("button", { name: "Go back" });
  await back.waitFor();
  assert.equal(page.url(), `${shop.url}/order`, "it does not go on by itself");
  assert.ok(await back.evaluate((button) => button === document.activeElement));
  await look(page, "enforce-challenge-posted");
  await back.click();
  await allowed(page);
  assert.equal(await page.getByLabel("Loaves").inputValue(), "7");
  await page.getByRole("button", { name: "Order" }).click();
  await page.getByText("Thank you for your order of 7 loaves.").waitFor();
});

test("without JavaScript the page of a challenge says what it needs", async (context) => {
  const { visitor, page } = await challenged(context, { browser: { javaScriptEnabled: false } });
  await page.reload();
  // Playwright finds no text in a noscript element, so it is found by its class.
  const notice = page.locator("noscript .notice");
  await notice.waitFor();
  assert.match(await notice.innerText(), /^The calculation needs JavaScript/);
  assert.equal(await page.locator("#work").isVisible(), false);
  await takeScreenshots(page, "enforce-challenge-no-script");
});

test("the page of a challenge shows its progress, and no script that came into it runs", async (context) => {
  const { visitor, page } = await challenged(context);
  await calculateForEver(visitor);
  await page.reload();
  const bar = page.getByRole("progressbar", { name: "Calculation" });
  await page.getByRole("status").getByText("Calculating").waitFor();
  await page.waitForFunction(() => document.querySelector("progress").value > 40);
  assert.ok(await bar.isVisible());
  await look(page, "enforce-challenge");
  await assertNoScriptRuns(visitor, page);
});

test("the bar and the buttons of a page can be seen in a contrast theme", async (context) => {
  const { visitor, page } = await challenged(context);
  await calculateForEver(visitor);
  await page.reload();
  await page.waitForFunction(() => document.querySelector("progress").value > 40);
  await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
  const bar = page.getByRole("progressbar", { name: "Calculation" });
  const at = async (value) => {
    await bar.evaluate((bar, value) => (bar.value = value), value);
    return bar.screenshot();
  };
  assert.notDeepEqual(await at(0), await at(100));
  const border = await page.locator("#again").evaluate((button) => getComputedStyle(button).borderTopWidth);
  assert.notEqual(border, "0px");
});

test("an answer that is not accepted, or does not get through, can be tried again", async (context) => {
  const { visitor, page } = await challenged(context);
  visitor.expect(/ERR_FAILED/);
  const lost = [(route) => route.abort(), (route) => route.fulfill({ status: 403 })];
  await visitor.context.route(ENDPOINT, (route) => (lost.shift() ?? ((last) => last.continue()))(route));
  await page.reload();
  const again = page.getByRole("button", { name: "Try again" });
  await page.getByRole("status").getByText("did not get through").waitFor();
  await again.click();
  await page.getByRole("status").getByText("was not accepted").waitFor();
  await look(page, "enforce-challenge-refused");
  // A fresh challenge, as this one may have expired.
  await again.click();
  await allowed(page);
});

test("a shop with open connections closes in good order", async (context) => {
  const { shop, page } = await visit(context);
  await allowed(page);
  const { code, said } = await shop.close();
  assert.equal(code, 0);
  assert.match(said.at(-1), /^Closed\. Of (\d+) events \1 were delivered, 0 lost\.$/);
});

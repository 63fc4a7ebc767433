// The managed challenge as a visitor sees it: the application, the page, and the way back.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  assertFits,
  assertNoScriptRuns,
  holdAnswers,
  openVisitor,
  PHONE,
  startBrowser,
  takeScreenshots,
} from "../support/chromium.mjs";
import { startSandbox } from "../support/sandbox.mjs";
import { startShop } from "../support/shop.mjs";

// Hours of work: the page stays as it is while it calculates.
const ENDLESS = ["--challenge-difficulty", "32"];
const CHALLENGES = "**/challenge/*";
const GONE = /status of 410/;
const BURST = 61;

/** A shop, and a visitor whom it challenges. */
async function challenged(context, { options = [], browser = {}, shop: where = {} } = {}) {
  // What starts first ends first, and a browser that is gone holds no connection open.
  const chromium = await startBrowser(context);
  const sandbox = await startSandbox(context, options);
  const shop = await startShop(context, sandbox, where);
  const visitor = await openVisitor(context, chromium, [sandbox.url, shop.url], browser);
  const page = await visitor.open();
  const userAgent = await page.evaluate(() => navigator.userAgent);
  await sandbox.observe({ ip: shop.ip, user_agent: userAgent }, BURST);
  return { sandbox, shop, visitor, page };
}

/** Waits until an address answers with a status. */
async function answers(url, status) {
  const end = Date.now() + 20_000;
  while ((await fetch(url)).status !== status) {
    assert.ok(Date.now() < end, `${url} does not answer ${status}`);
  }
}

test("a challenged visitor is back where they wanted to go, with a proof that is good once", async (context) => {
  const { sandbox, shop, visitor, page } = await challenged(context);
  const wanted = `${shop.url}/cart?q=a%20b+c&x=1#top`;
  await page.goto(wanted);
  await page.getByRole("heading", { name: "allow" }).waitFor();
  assert.equal(page.url(), wanted);
  const [{ proof, visitor: presenter, url }] = shop.presented;
  assert.equal(url, `${shop.url}/cart?q=a%20b+c&x=1&esper_challenge_proof=${proof}`);
  assert.deepEqual(shop.verdicts, [true]);
  assert.equal(await sandbox.verify(proof, presenter), false);
});

test("the way back skips the page that is over", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  await page.goto("data:text/html,before");
  await page.goto(`${shop.url}/cart`);
  await page.getByRole("heading", { name: "allow" }).waitFor();
  await page.goBack();
  assert.equal(page.url(), "data:text/html,before");
});

test("two tabs are challenged at once, and both pass", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  const letGo = await holdAnswers(visitor, CHALLENGES);
  const pages = [page, await visitor.open()];
  for (const [tab, one] of pages.entries()) {
    await one.goto(`${shop.url}/tab-${tab}`);
    await one.getByText("Handing in the answer").waitFor();
  }
  letGo();
  for (const [tab, one] of pages.entries()) {
    await one.getByRole("heading", { name: "allow" }).waitFor();
    assert.equal(one.url(), `${shop.url}/tab-${tab}`);
  }
  assert.deepEqual(shop.verdicts, [true, true]);
});

test("a page in a second tab that was passed in the first leads on", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  visitor.expect(GONE);
  const letGo = await holdAnswers(visitor, CHALLENGES);
  await page.goto(`${shop.url}/cart`);
  const other = await visitor.open();
  await other.goto(page.url());
  for (const one of [page, other]) await one.getByText("Handing in the answer").waitFor();
  letGo();
  const link = visitor.context.pages().map((one) =>
    one.getByRole("link", { name: "Go on to shop.localhost" }).waitFor().then(() => one));
  const late = await Promise.any(link);
  await late.getByRole("link").click();
  await late.getByRole("heading", { name: "allow" }).waitFor();
  assert.deepEqual(shop.verdicts, [true]);
});

test("a page that expires while it is open says so and gives the way back", async (context) => {
  const { shop, visitor, page } = await challenged(context, {
    options: ["--challenge-lifetime", "6"],
  });
  visitor.expect(GONE);
  const letGo = await holdAnswers(visitor, CHALLENGES);
  await page.goto(`${shop.url}/cart?x=1`);
  await page.getByText("Handing in the answer").waitFor();
  await answers(page.url(), 410);
  letGo();
  await page.getByRole("heading", { name: "This check has expired" }).waitFor();
  const link = page.getByRole("link", { name: "Back to shop.localhost" });
  assert.equal(await link.getAttribute("href"), `${shop.url}/cart?x=1`);
  await takeScreenshots(page, "managed-challenge-expired");
});

test("an address that is no challenge says what to do", async (context) => {
  const { sandbox, visitor, page } = await challenged(context);
  visitor.expect(/status of 404/);
  await page.goto(`${sandbox.url}/challenge/x.y`);
  await page.getByText("Go back to where you came from").waitFor();
  await takeScreenshots(page, "managed-challenge-unknown");
});

test("without JavaScript the page says what it needs", async (context) => {
  const { shop, visitor, page } = await challenged(context, {
    browser: { javaScriptEnabled: false },
  });
  await page.goto(`${shop.url}/cart`);
  // Playwright finds no text in a noscript element, so it is found by its class.
  const notice = page.locator("noscript .notice");
  await notice.waitFor();
  assert.match(await notice.innerText(), /^The calculation needs JavaScript/);
  assert.equal(await page.locator("#work").isVisible(), false);
  await takeScreenshots(page, "managed-challenge-no-script");
});

test("an answer that does not get through can be handed in again", async (context) => {
  const { shop, visitor, page } = await challenged(context, { browser: { viewport: PHONE } });
  visitor.expect(/ERR_FAILED/);
  let lost = 0;
  await visitor.context.route(CHALLENGES, (route) => {
    const lose = route.request().method() === "POST" && (lost += 1) === 1;
    return lose ? route.abort() : route.continue();
  });
  await page.goto(`${shop.url}/cart`);
  const again = page.getByRole("button", { name: "Try again" });
  await again.waitFor();
  const { width, height } = await again.boundingBox();
  assert.ok(width >= 44 && height >= 44, `${width} by ${height}`);
  await page.getByRole("status").getByText("did not get through").waitFor();
  await takeScreenshots(page, "managed-challenge-failed");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "allow" }).waitFor();
});

test("a worker that does not load can be started again", async (context) => {
  const { shop, visitor, page } = await challenged(context);
  visitor.expect(/ERR_FAILED/);
  let lost = 0;
  await visitor.context.route("**/assets/proof-of-work.js", (route) =>
    (lost += 1) === 1 ? route.abort() : route.continue());
  await page.goto(`${shop.url}/cart`);
  await page.getByRole("status").getByText("did not start").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "allow" }).waitFor();
});

test("the page tells its progress while it calculates, and answers meanwhile", async (context) => {
  const { shop, visitor, page } = await challenged(context, { options: ENDLESS });
  await page.goto(`${shop.url}/cart`);
  await page.getByRole("status").getByText("Calculating").waitFor();
  const bar = page.getByRole("progressbar", { name: "Calculation" });
  await bar.evaluate((element) =>
    new Promise((resolve) => {
      const look = () => (element.value > 0 ? resolve() : requestAnimationFrame(look));
      look();
    }));
  // For the pictures, as if it had come further and stayed there.
  await bar.evaluate((element) => {
    element.value = 40;
    Object.defineProperty(element, "value", { set() {} });
  });
  await takeScreenshots(page, "managed-challenge");
});

test("a host with a long name fits on a phone", async (context) => {
  const host = `${"a-shop-with-a-very-long-name-".repeat(2)}x.${"sub-domain.".repeat(4)}localhost`;
  const { shop, visitor, page } = await challenged(context, {
    options: ENDLESS,
    browser: { viewport: PHONE },
    shop: { host },
  });
  await page.goto(`${shop.url}/cart`);
  await page.getByText(host).waitFor();
  await assertFits(page, PHONE);
});

test("nothing moves for those who asked for less motion", async (context) => {
  const { shop, page } = await challenged(context, {
    options: ENDLESS,
    browser: { reducedMotion: "reduce" },
  });
  await page.goto(`${shop.url}/cart`);
  const durations = await page.evaluate(() =>
    [...document.querySelectorAll("*")].map((element) => getComputedStyle(element).transitionDuration));
  assert.deepEqual([...new Set(durations)], ["0s"]);
});

test("the policy stops a script that found its way into the page", async (context) => {
  const { shop, visitor, page } = await challenged(context, { options: ENDLESS });
  await page.goto(`${shop.url}/cart`);
  await assertNoScriptRuns(visitor, page);
});

test("another site can neither frame the page nor hand in for it", async (context) => {
  const { sandbox, shop, visitor, page } = await challenged(context, { options: ENDLESS });
  visitor.expect(/frame-ancestors/, /CORS policy/, /ERR_FAILED/, /ERR_BLOCKED_BY_RESPONSE/);
  const { redirect_url: challenge } = await sandbox.decide({
    ip: shop.ip,
    user_agent: await page.evaluate(() => navigator.userAgent),
    return_url: `${shop.url}/cart`,
  });
  shop.ip = "203.0.113.8";
  await page.goto(`${shop.url}/cart`);
  const status = await page.evaluate(async (address) => {
    const frame = document.createElement("iframe");
    frame.src = address;
    const loaded = new Promise((resolve) => (frame.onload = resolve));
    document.body.append(frame);
    await loaded;
    // The kind of body that a page may send to other sites without asking them.
    const sent = fetch(address, { method: "POST", body: '{"response":"1"}' });
    return sent.then(() => "read", () => "unreadable");
  }, challenge);
  assert.equal(status, "unreadable");
  const [, frame] = page.frames();
  assert.equal(await frame.locator("h1").filter({ hasText: "Checking" }).count(), 0);
  assert.match(visitor.complaints.join("\n"), /frame-ancestors/);
});

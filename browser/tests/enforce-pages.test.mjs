// The pages of the layer that need an Esper of a test's own, or a browser in a state of its own.
import assert from "node:assert/strict";
import { test } from "node:test";

import { openBakery } from "../support/bakery.mjs";
import { assertFits, openVisitor, PHONE, startBrowser, takeScreenshots } from "../support/chromium.mjs";
import { startEsper } from "../support/esper.mjs";

const WIDGET = "https://challenges.cloudflare.com";
const PROOF_OF_WORK = {
  type: "proof_of_work",
  token: "a-token",
  params: { algorithm: "sha256", salt: "s", difficulty: 4 },
};
const TURNSTILE = { type: "turnstile", token: "a-token", params: { site_key: "a-site" } };
// A widget that finds a person at once.
const WIDGET_SCRIPT = `window.turnstile = {
  render(element, { sitekey, callback }) {
    element.textContent = "The widget of " + sitekey;
    callback("an-answer");
    return "1";
  },
  remove() {},
};`;

/** A shop whose Esper challenges everybody, and a visitor of it. */
async function challenged(context, decision) {
  const chromium = await startBrowser(context);
  const esper = await startEsper(context);
  esper.decision = { action: "challenge", ...decision };
  const shop = await openBakery(context, esper);
  const visitor = await openVisitor(context, chromium, [shop.url, esper.url, WIDGET]);
  // A browser remarks on every answer that is no success.
  visitor.expect(/status of (429|403|503)/);
  return { esper, shop, visitor, page: await visitor.open() };
}

function cleared(page) {
  return page.getByText("Allowed by: clearance.").waitFor();
}

function says(page, text) {
  return page.getByRole("status").getByText(text).waitFor();
}

async function look(page, name) {
  await takeScreenshots(page, name);
  await assertFits(page, PHONE);
}

test("a visitor whom Turnstile takes for a person passes", async (context) => {
  const { esper, shop, visitor, page } = await challenged(context, { challenge: TURNSTILE });
  let letGo;
  const gate = new Promise((resolve) => (letGo = resolve));
  await visitor.context.route(`${WIDGET}/**`, async (route) => {
    await gate;
    await route.fulfill({ contentType: "text/javascript", body: WIDGET_SCRIPT });
  });
  await page.goto(`${shop.url}/?a=b`, { waitUntil: "commit" });
  await says(page, "Waiting for the check");
  await look(page, "enforce-turnstile");
  letGo();
  await cleared(page);
  assert.equal(page.url(), `${shop.url}/?a=b`);
  const verified = esper.asked.filter(({ path }) => path === "/v1/verify");
  assert.deepEqual(verified.map(({ body }) => body), [{ token: "a-token", response: "an-answer" }]);
});

test("a Turnstile that does not load can be tried again", async (context) => {
  const { shop, visitor, page } = await challenged(context, { challenge: TURNSTILE });
  visitor.expect(/ERR_FAILED/);
  let lost = 0;
  await visitor.context.route(`${WIDGET}/**`, (route) => (lost += 1) === 1
    ? route.abort()
    : route.fulfill({ contentType: "text/javascript", body: WIDGET_SCRIPT }));
  await page.goto(shop.url);
  await says(page, "did not load");
  await page.getByRole("button", { name: "Try again" }).click();
  await cleared(page);
});

test("a Turnstile that a network drops in silence is not waited for", async (context) => {
  const { shop, visitor, page } = await challenged(context, { challenge: TURNSTILE });
  let asked;
  const isAsked = new Promise((resolve) => (asked = resolve));
  await visitor.context.route(`${WIDGET}/**`, asked);
  await page.clock.install();
  await page.goto(shop.url, { waitUntil: "commit" });
  await isAsked;
  await page.clock.runFor(20_000);
  await says(page, "did not load");
  await page.getByRole("button", { name: "Try again" }).waitFor();
});

test("a check that the layer cannot show is named", async (context) => {
  const riddle = { type: "riddle", token: "a-token", params: {} };
  const { shop, page } = await challenged(context, { challenge: riddle });
  await page.goto(shop.url);
  await page.getByRole("heading", { name: "A check is missing" }).waitFor();
  await page.getByText("riddle").waitFor();
  await look(page, "enforce-unsupported");
});

test("a visitor comes back from a managed challenge with a clearance", async (context) => {
  const { shop, page } = await challenged(context, { managed: true, challenge: PROOF_OF_WORK });
  await page.goto(shop.url);
  await cleared(page);
  assert.equal(page.url(), `${shop.url}/`);
});

test("a proof that is not accepted leads to another try", async (context) => {
  const { esper, shop, page } = await challenged(context, { managed: true, challenge: PROOF_OF_WORK });
  esper.verdict = false;
  await page.goto(shop.url);
  await page.getByRole("heading", { name: "The check was not passed" }).waitFor();
  await look(page, "enforce-unproven");
  esper.verdict = true;
  await page.getByRole("link", { name: "Try again" }).click();
  await cleared(page);
});

test("a proof that cannot be verified for a while is not lost", async (context) => {
  const { esper, shop, page } = await challenged(context, { managed: true, challenge: PROOF_OF_WORK });
  esper.verdict = 400;
  await page.goto(shop.url);
  await page.getByRole("heading", { name: "The check is not finished" }).waitFor();
  assert.match(page.url(), /esper_challenge_proof=a-proof$/);
  await look(page, "enforce-unverified");
  esper.verdict = true;
  esper.asked.splice(0);
  await page.getByRole("link", { name: "Try again" }).click();
  await cleared(page);
  const proofs = esper.asked.filter(({ path }) => path === "/api/v1/challenge/proof/verify");
  assert.deepEqual(proofs.map(({ body }) => body.proof), ["a-proof"]);
});

test("a worker that does not load can be started again", async (context) => {
  const { shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  visitor.expect(/ERR_FAILED/);
  let lost = 0;
  await visitor.context.route("**/proof-of-work.*.js", (route) =>
    (lost += 1) === 1 ? route.abort() : route.continue());
  await page.goto(shop.url);
  await says(page, "did not start");
  await page.getByRole("button", { name: "Try again" }).click();
  await cleared(page);
});

test("a browser without cookies is told so before it works", async (context) => {
  const { esper, shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  // As Firefox has it: with the cookies goes all that could keep something.
  await visitor.context.addInitScript(() => {
    const insecure = () => {
      throw new DOMException("The operation is insecure.", "SecurityError");
    };
    Object.defineProperty(navigator, "cookieEnabled", { get: () => false });
    Object.defineProperty(window, "sessionStorage", { get: insecure });
    window.BroadcastChannel = insecure;
  });
  await page.goto(shop.url);
  await says(page, "Cookies are off");
  assert.ok(esper.asked.every(({ path }) => path !== "/v1/verify"));
});

test("whoever is challenged again at once does not go round in circles", async (context) => {
  const { shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  await page.goto(shop.url);
  await cleared(page);
  await visitor.context.clearCookies();
  await page.reload();
  await says(page, "You have just passed a check");
  await page.getByRole("button", { name: "Try again" }).click();
  await cleared(page);
});

test("a tab that was asleep for long, or was left and comes back, asks for a fresh challenge", async (context) => {
  const { shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  // No calculation ends, so that the page stays.
  const body = "self.onmessage = () => {};";
  await visitor.context.route("**/proof-of-work.*.js", (route) =>
    route.fulfill({ contentType: "text/javascript", body }));
  const envelope = () => page.locator("#work").getAttribute("data-envelope");
  const isFresh = (before) => page.waitForFunction((before) => {
    const work = document.getElementById("work");
    return work && !work.hidden && work.dataset.envelope !== before;
  }, before);
  await page.goto(shop.url);
  await says(page, "Calculating");
  let before = await envelope();
  await page.evaluate(() => {
    performance.now = () => 61_000;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await isFresh(before);
  await says(page, "Calculating");
  before = await envelope();
  await page.evaluate(() => {
    window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
  });
  await isFresh(before);
});

test("a form whose check was refused is gone back to when another tab has passed one", async (context) => {
  const { esper, shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  esper.decision = { action: "allow" };
  await page.goto("data:text/html,before");
  await page.goto(shop.url);
  await page.getByLabel("Loaves").fill("7");
  esper.decision = { action: "challenge", challenge: PROOF_OF_WORK };
  esper.verdict = false;
  await page.getByRole("button", { name: "Order" }).click();
  await says(page, "was not accepted");
  esper.verdict = true;
  const other = await visitor.open();
  await other.goto(shop.url);
  await cleared(other);
  await says(page, "What you sent before the check has not arrived");
  await page.getByRole("button", { name: "Go back" }).click();
  await cleared(page);
  assert.equal(await page.getByLabel("Loaves").inputValue(), "7");
});

test("in a window of its own, a form that was lost has nothing to go back to", async (context) => {
  const { esper, shop, visitor, page } = await challenged(context, { challenge: PROOF_OF_WORK });
  esper.decision = { action: "allow" };
  await page.goto(shop.url);
  await page.getByText("Allowed by: service.").waitFor();
  esper.decision = { action: "challenge", challenge: PROOF_OF_WORK };
  const opened = visitor.context.waitForEvent("page");
  await page.evaluate(() => {
    const form = document.querySelector("form");
    form.target = "_blank";
    form.requestSubmit();
  });
  const window = await opened;
  const open = window.getByRole("link", { name: "Open the page without it" });
  await open.waitFor();
  assert.equal(await window.getByRole("button", { name: "Go back" }).isVisible(), false);
  assert.ok(await open.evaluate((link) => link === document.activeElement));
});

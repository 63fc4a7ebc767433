// The browser, and an eye on everything that goes wrong in it.
import assert from "node:assert/strict";
import { accessSync, constants, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-proxy-server",
];
const SCREENSHOTS = fileURLToPath(new URL("../screenshots", import.meta.url));

export const PHONE = { width: 360, height: 640 };
export const DESKTOP = { width: 1280, height: 800 };

/** Starts a browser without a past, and ends it when the test does. */
export async function startBrowser(test) {
  const browser = await chromium.launch({ executablePath: executable(), args: FLAGS });
  test.after(() => browser.close());
  return browser;
}

/**
 * Opens a visitor's own window on a browser. What the browser complains about, and every request
 * to an origin that is none of these, fails the test in the end, unless the test expects it.
 */
export async function openVisitor(test, browser, origins, options = {}) {
  const context = await browser.newContext(options);
  const complaints = [];
  const expected = [];
  test.after(() => {
    const isExpected = (complaint) => expected.some((pattern) => pattern.test(complaint));
    assert.deepEqual(complaints.filter((complaint) => !isExpected(complaint)), []);
  });
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("request", (request) => {
    const url = new URL(request.url());
    const inside = url.protocol === "data:" || origins.includes(url.origin);
    if (!inside) complaints.push(`a request to ${request.url()}`);
  });
  return {
    context,
    complaints,
    open: () => context.newPage(),
    expect: (...patterns) => expected.push(...patterns),
  };
}

/** Asserts that a script which found its way into a page is stopped by the page's policy. */
export async function assertNoScriptRuns(visitor, page) {
  visitor.expect(/Content Security Policy/);
  const before = visitor.complaints.length;
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.head.append(script);
    return globalThis.ran === true;
  });
  assert.equal(ran, false);
  assert.equal(visitor.complaints.length, before + 1);
  assert.match(visitor.complaints.at(-1), /Content Security Policy/);
}

/** Takes pictures of a page, of its top or of all of it: phone and desktop, light and dark. */
export async function takeScreenshots(page, name, { fullPage = false } = {}) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [device, size] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      const path = join(SCREENSHOTS, `${name}-${device}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage });
    }
  }
}

/** Asserts that nothing of a page is wider than a window of this size. */
export async function assertFits(page, size) {
  await page.setViewportSize(size);
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  assert.ok(scrollWidth <= clientWidth, `${scrollWidth} of ${clientWidth} pixels`);
}

/** Holds back what pages post to an address, until it is let go. */
export async function holdAnswers(visitor, address) {
  let letGo;
  const gate = new Promise((resolve) => (letGo = resolve));
  await visitor.context.route(address, async (route) => {
    if (route.request().method() === "POST") await gate;
    await route.continue();
  });
  return letGo;
}

/** The browser that CHROMIUM names, or the first that is installed under a usual name. */
function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(runs);
  if (!found) throw new Error("no Chromium; install one or set CHROMIUM to its path");
  return found;
}

function runs(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

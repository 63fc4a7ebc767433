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
 * to an origin that is none of these, fails the test when `assertCalm` is called.
 */
export async function openVisitor(browser, origins, options = {}) {
  const context = await browser.newContext(options);
  const complaints = [];
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
    assertCalm: () => assert.deepEqual(complaints, []),
  };
}

/** Asserts that a script which found its way into a page is stopped by the page's policy. */
export async function assertNoScriptRuns(visitor, page) {
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.head.append(script);
    return globalThis.ran === true;
  });
  assert.equal(ran, false);
  assert.equal(visitor.complaints.length, 1);
  assert.match(visitor.complaints[0], /Content Security Policy/);
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

// The worker that solves proofs of work: its hash, and what it finds in a real browser.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

import { openVisitor, startBrowser } from "../support/chromium.mjs";
import { startSandbox } from "../support/sandbox.mjs";

const WORKER = new URL("../../src/enforce/answers/pages/proof-of-work.js", import.meta.url);

/** The hash of the worker's file, in hexadecimal. */
function workerHash() {
  const context = vm.createContext({ self: {}, TextEncoder, performance });
  vm.runInContext(readFileSync(WORKER, "utf8"), context);
  const sha256 = vm.runInContext("sha256", context);
  return (bytes) =>
    [...sha256(bytes, bytes.length)].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function leadingZeroBits(hash) {
  const bits = [...hash].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.indexOf("1") === -1 ? bits.length : bits.indexOf("1");
}

/** The first nonce that solves a challenge. */
function solve(salt, difficulty) {
  for (let nonce = 0; ; nonce += 1) {
    const hash = createHash("sha256").update(`${salt}:${nonce}`).digest();
    if (leadingZeroBits(hash) >= difficulty) return String(nonce);
  }
}

test("the hash gives the known answers of the standard", () => {
  const hash = workerHash();
  const text = (value) => new TextEncoder().encode(value);
  const known = {
    "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    abc: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq:
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  };
  for (const [message, expected] of Object.entries(known)) assert.equal(hash(text(message)), expected);
  const million = hash(text("a".repeat(1_000_000)));
  assert.equal(million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
});

test("the hash is right for every length over several blocks", () => {
  const hash = workerHash();
  for (let length = 0; length <= 200; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 167 + length) % 256);
    assert.equal(hash(bytes), createHash("sha256").update(bytes).digest("hex"), `${length} bytes`);
  }
});

test("the worker finds the first nonce, whatever the salt", async (context) => {
  const browser = await startBrowser(context);
  const sandbox = await startSandbox(context);
  const visitor = await openVisitor(context, browser, [sandbox.url]);
  const page = await visitor.open();
  // Any page of the sandbox will do, to work under its policy. This one is answered with 404.
  await page.goto(`${sandbox.url}/challenge/none`);
  visitor.expect(/status of 404/);
  const salts = ["5f2c9a1e5f2c9a1e", "", "ünïcode", "long".repeat(40)];
  for (const salt of salts) {
    for (const difficulty of [0, 1, 9, 13]) {
      const answer = await page.evaluate((task) => {
        const worker = new Worker("../assets/proof-of-work.js");
        return new Promise((resolve) => {
          worker.onmessage = ({ data }) => data.nonce === undefined || resolve(data);
          worker.postMessage(task);
        });
      }, { salt, difficulty });
      const nonce = solve(salt, difficulty);
      assert.deepEqual(answer, { hashes: Number(nonce) + 1, nonce }, `${difficulty} bits: ${salt}`);
    }
  }
});

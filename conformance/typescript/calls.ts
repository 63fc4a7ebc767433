// Makes every call of the Esper API with a client that was generated from the spec, and compares
// the answers with what the spec says. Exits with 1 at the first answer that differs.

import { createHash, randomUUID } from "node:crypto";
import createClient from "openapi-fetch";

import type { components, paths } from "./generated/esper.js";

type Schemas = components["schemas"];
type ErrorBody = Schemas["ErrorBody"];
type BeaconPaths = Pick<paths, "/v1/events">;
type ApiPaths = Omit<paths, keyof BeaconPaths>;

const apiUrl = setting("ESPER_API_URL");
const beaconUrl = setting("ESPER_BEACON_URL");
const apiKey = setting("ESPER_API_KEY");

// One client for each server of the spec, because they take the key in different headers.
// Redirects are no part of this API, and a key must not reach another host.
const api = apiClient(apiKey);
const beacon = beaconClient(apiKey);

// A visitor of whom the service knows nothing, however often this program runs.
const ip = "203.0.113.7";
const userAgent = `conformance-typescript/${randomUUID()}`;
const visitor: Schemas["MitigationRequest"] = {
  ip,
  user_agent: userAgent,
  path: "/login",
  method: "POST",
  headers: { "accept-language": "de-CH" },
  body: { items: 2 },
  metadata: { session_id: "session-123" },
  return_url: "https://shop.example.net/login",
};
const event: Schemas["BeaconEvent"] = {
  type: "http_request",
  timestamp: Date.now(),
  ip,
  user_agent: userAgent,
  path: "/login",
  method: "POST",
  session_id: "session-123",
  data: { status: 200, duration_ms: 12.5 },
};

const before = await usage();

const fresh = await decide();
same("a fresh visitor", fresh.action, "allow");

// 60 events within 10 s are no excess. A repeated Idempotency-Key does not count as a 61st.
const last = uuid7();
for (let count = 1; count < 60; count += 1) await send(uuid7());
await send(last);
await send(last);
same("60 events, one of them sent twice", (await decide()).action, "allow");

await send(uuid7());
const decision = await decide();
same("61 events", decision.action, "challenge");

const challenge = decision.challenge ?? fail("the decision has no challenge");
same("the type of the challenge", challenge.type, "proof_of_work");
same("a wrong response", await verify(challenge.token, "x"), false);
const nonce = solve(challenge);
same("the right response", await verify(challenge.token, nonce), true);
same("the same response again", await verify(challenge.token, nonce), false);
same("the visitor who solved the challenge", (await decide()).action, "allow");

const proof = await api.POST("/api/v1/challenge/proof/verify", {
  body: { proof: "x", ip, user_agent: userAgent },
});
same("a proof that nobody issued", succeeded(proof.data, proof.response).valid, false);

const after = await usage();
same("decisions in the usage", after.requests - before.requests, 4);
same("allowed decisions", after.allowed - before.allowed, 3);
same("challenged decisions", after.challenged - before.challenged, 1);
same("blocked decisions", after.blocked - before.blocked, 0);

const malformed = await api.POST("/v1/mitigate", { body: { ip: "not an address" } });
refused("a malformed address", malformed.error, malformed.response, 400);

const wrong = apiClient(`${apiKey}-wrong`);
const wrongBeacon = beaconClient(`${apiKey}-wrong`);
const responses = [
  await wrong.POST("/v1/mitigate", { body: visitor }),
  await wrong.POST("/v1/verify", { body: { token: "x", response: "x" } }),
  await wrong.POST("/api/v1/challenge/proof/verify", { body: { proof: "x", ip } }),
  await wrong.GET("/v1/usage"),
  await wrongBeacon.POST("/v1/events", { body: event }),
];
for (const { error, response } of responses) {
  refused(`a wrong key at ${new URL(response.url).pathname}`, error, response, 401);
}

function apiClient(key: string) {
  const headers = { Authorization: `Bearer ${key}` };
  return createClient<ApiPaths>({ baseUrl: apiUrl, headers, redirect: "error" });
}

function beaconClient(key: string) {
  const headers = { "X-Esper-Key": key };
  return createClient<BeaconPaths>({ baseUrl: beaconUrl, headers, redirect: "error" });
}

async function decide(): Promise<Schemas["MitigationResponse"]> {
  const { data, response } = await api.POST("/v1/mitigate", { body: visitor });
  return succeeded(data, response);
}

async function verify(token: string, answer: string): Promise<boolean> {
  const { data, response } = await api.POST("/v1/verify", { body: { token, response: answer } });
  return succeeded(data, response).valid;
}

async function usage(): Promise<Schemas["UsageStats"]> {
  const { data, response } = await api.GET("/v1/usage");
  return succeeded(data, response);
}

async function send(idempotencyKey: string): Promise<void> {
  const { response } = await beacon.POST("/v1/events", {
    params: { header: { "Idempotency-Key": idempotencyKey } },
    body: event,
    // The body of a success has no meaning, whatever its type.
    parseAs: "text",
  });
  if (!response.ok) fail(`POST /v1/events answered ${response.status}`);
}

// The smallest decimal nonce that solves a proof of work.
function solve({ params }: Schemas["ChallengeData"]): string {
  const { algorithm, salt, difficulty } = params ?? fail("the challenge has no params");
  same("the algorithm of the challenge", algorithm, "sha256");
  if (typeof salt !== "string") fail("the salt is not a string");
  if (typeof difficulty !== "number") fail("the difficulty is not a number");
  if (difficulty > 24) fail(`a difficulty of ${difficulty} bits takes too long`);
  for (let nonce = 0; ; nonce += 1) {
    const hash = createHash("sha256").update(`${salt}:${nonce}`).digest();
    // The difficulty is at most 24 bits, so the first 32 decide.
    if (Math.clz32(hash.readUInt32BE()) >= difficulty) return String(nonce);
  }
}

// A UUID of version 7, which begins with the time.
function uuid7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

function setting(name: string): string {
  return process.env[name] || fail(`${name} is not set`);
}

function succeeded<T>(data: T | undefined, response: Response): T {
  return data ?? fail(`${new URL(response.url).pathname} answered ${response.status}`);
}

function refused(
  what: string,
  error: ErrorBody | undefined,
  response: Response,
  status: number,
): void {
  same(what, response.status, status);
  if (typeof error?.message !== "string") fail(`${what}: the error body has no message`);
  if (!["string", "undefined"].includes(typeof error.code)) fail(`${what}: the code is no string`);
}

function same<T>(what: string, actual: T, expected: T): void {
  if (actual !== expected) fail(`${what}: ${String(actual)}, expected ${String(expected)}`);
  console.log(`ok: ${what}: ${String(actual)}`);
}

function fail(why: string): never {
  console.error(`failed: ${why}`);
  process.exit(1);
}

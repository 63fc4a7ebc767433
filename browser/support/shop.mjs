// A small application that does what an integration does with the managed challenge.
import { listen } from "./listen.mjs";

const PROOF = "esper_challenge_proof";
const PROOF_PAIR = /[?&]esper_challenge_proof=[^&]*/;

/** Starts a shop that asks a sandbox about every request, and stops it when the test ends. */
export async function startShop(test, sandbox, { host = "shop.localhost", ip = "203.0.113.7" } = {}) {
  const shop = { ip, presented: [], verdicts: [] };
  const port = await listen(test, (request, response) => {
    serve(shop, sandbox, request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  shop.url = `http://${host}:${port}`;
  return shop;
}

async function serve(shop, sandbox, request, response) {
  const url = new URL(request.url, shop.url);
  const visitor = { ip: shop.ip, user_agent: request.headers["user-agent"] };
  const proof = url.searchParams.get(PROOF);
  if (proof !== null) {
    shop.presented.push({ proof, visitor, url: url.href });
    shop.verdicts.push(await sandbox.verify(proof, visitor));
    // The rest of the query stays as it was written.
    url.search = url.search.replace(PROOF_PAIR, "");
    return response.writeHead(303, { Location: url.href }).end();
  }
  if (url.pathname === "/favicon.ico") return response.writeHead(404).end();
  const decision = await sandbox.decide({ ...visitor, path: url.pathname, return_url: url.href });
  if (decision.redirect_url) {
    return response.writeHead(302, { Location: decision.redirect_url }).end();
  }
  const status = decision.action === "allow" ? 200 : 429;
  response.writeHead(status, { "Content-Type": "text/html" });
  // The empty icon keeps the browser from asking for one.
  const page = `<title>Shop</title><link rel="icon" href="data:,"><h1>${decision.action}</h1>`;
  return response.end(`<!doctype html>${page}`);
}
